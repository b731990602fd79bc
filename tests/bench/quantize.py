"""What each rounding costs, network by network: the page examples/quantize.md.

    quantize.py PARE OUT.md NETWORK...      a folder with model.onnx and its samples

Every figure is the accuracy that ONNX Runtime gives the exported file, against the float network's, on
the same samples; what pare measured is held against it.  ONNX Runtime's own static quantizer gets the
same calibration samples.  CACHE names a folder that keeps what was measured with the same pare, so that
a run that was stopped goes on; THREADS, LIMIT and CALIBRATE say how many; SKIP names plans, by a part of
their name after the network's, that are not measured anew: "resnet56 W3A8, round adaround".
"""
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peer"))
import peer  # noqa: E402

LIMIT = int(os.environ.get("LIMIT", "2000"))
CALIBRATE = int(os.environ.get("CALIBRATE", "512"))
THREADS = os.environ.get("THREADS", "0")
CACHE = os.environ.get("CACHE")
SKIP = [part for part in os.environ.get("SKIP", "").split(";") if part]
ALL = "set * weights int{} activations int8 round {}"
ENDS = "set first,last weights int8"
PLANS = {f"W{bits}A8, round {method}": [ALL.format(bits, method)]
         for bits in (8, 4, 3) for method in ("nearest", "gptq", "descent", "adaround")
         if (bits, method) != (8, "adaround")}
PLANS["W2A8, first and last W8, round descent"] = [ALL.format(2, "descent"), ENDS]
PLANS["W4A4, first and last A8, round descent"] = [
    "set * weights int4 activations int4 round descent", "set first,last activations int8"]


class Reader(CalibrationDataReader):
    def __init__(self, model, conf, x):
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        name, shape = session.get_inputs()[0].name, peer.entry_shape(session, x)
        self.feeds = iter([{name: peer.inputs(conf, x[i:i + 1], shape)} for i in range(len(x))])

    def get_next(self):
        return next(self.feeds, None)


def calibration_samples(folder, conf):
    """The samples that pare calibrates on."""
    load = lambda name: np.load(os.path.join(folder, name), mmap_mode="r")
    if "train" in conf:
        return load(conf["train"][0])[:CALIBRATE]
    x = load(conf["samples"][0])
    split = conf.get("split", [])
    end = int(split[split.index("calibrate") + 1].split(":")[1]) if "calibrate" in split else len(x) // 5
    return x[:min(end, CALIBRATE)]


def theirs(folder, box, conf):
    model, out = os.path.join(folder, "model.onnx"), os.path.join(box, "theirs.onnx")
    quantize_static(model, out, Reader(model, conf, calibration_samples(folder, conf)),
                    quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QInt8,
                    weight_type=QuantType.QInt8)
    return out


def apply(pare, folder, box, conf, lines):
    recipe, out = os.path.join(box, "r.pare"), os.path.join(box, "out.onnx")
    bounds = f" calibrate 0:{CALIBRATE} evaluate 0:{LIMIT}" if "train" in conf else ""
    with open(recipe, "w", encoding="utf-8") as f:
        f.write("\n".join(["pare 1", f"model {folder}/model.onnx", f"data {folder}{bounds}", *lines, ""]))
    start = time.monotonic()
    run = subprocess.run([pare, "apply", recipe, "-o", out, "--json", "--threads", THREADS],
                         capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{folder}: {lines}: {run.stderr.strip()}")
    return out, json.loads(run.stdout), time.monotonic() - start


class Network:
    """What was measured of one, and what is kept of it."""

    def __init__(self, pare, folder):
        self.pare, self.folder, self.name = pare, folder, os.path.basename(folder)
        self.conf, x, y = peer.load(folder)
        self.x, self.y = x[:LIMIT], y[:LIMIT]
        with open(pare, "rb") as f:
            digest = hashlib.sha256(f.read() + f"{LIMIT} {CALIBRATE}".encode()).hexdigest()
        self.kept = CACHE and os.path.join(CACHE, f"{self.name}-{digest[:16]}.json")
        self.cells = {}
        if self.kept and os.path.exists(self.kept):
            with open(self.kept, encoding="utf-8") as f:
                self.cells = json.load(f)

    def cell(self, name, find):
        if name not in self.cells:
            self.cells[name] = find()
            print(self.name, name, self.cells[name], flush=True)
            if self.kept:
                os.makedirs(CACHE, exist_ok=True)
                with open(self.kept, "w", encoding="utf-8") as f:
                    json.dump(self.cells, f, indent=1)
        return self.cells[name]

    def answers(self, model):
        return peer.answers(model, self.conf, self.x).argmax(1)

    def accuracy(self, model):
        return 100 * float((self.answers(model) == self.y).mean())

    def theirs(self):
        with tempfile.TemporaryDirectory() as box:
            return {"drop": self.float - self.accuracy(theirs(self.folder, box, self.conf))}

    def ours(self, lines):
        with tempfile.TemporaryDirectory() as box:
            out, said, seconds = apply(self.pare, self.folder, box, self.conf, lines)
            value = self.accuracy(out)
        return {"drop": self.float - value, "apart": abs(value - said["value"]), "seconds": seconds,
                "bytes": said["bytes"], "ratio": said["ratio"]}

    def measure(self):
        model = os.path.join(self.folder, "model.onnx")
        self.float = self.cell("float", lambda: {"value": self.accuracy(model)})["value"]
        self.cell("theirs", self.theirs)
        for name, lines in PLANS.items():
            if name in self.cells or not any(part in f"{self.name} {name}" for part in SKIP):
                self.cell(name, lambda lines=lines: self.ours(lines))
        return self

    def say(self, name, figure, text):
        return text.format(figure(self.cells[name])) if name in self.cells else "–"


def page(nets):
    head = "| | " + " | ".join(n.name for n in nets) + " |\n| --- |" + " --- |" * len(nets) + "\n"
    line = lambda name, find: f"| {name} | " + " | ".join(find(n) for n in nets) + " |\n"
    out = ["# What rounding costs\n\n",
           "Points of accuracy lost when every layer's weights and activations are quantized, as ONNX Runtime ",
           f"{onnxruntime.__version__} runs the exported file: up to {LIMIT:,} evaluation samples, ",
           f"{CALIBRATE} samples without labels to calibrate on (the keyword network has 800 and 200). ",
           "`make bench-quantize NETWORKS=FOLDER…` makes this page anew. One sample in 2,000 is 0.05 points, of ",
           "the keyword network's 0.125; differences of 0.3 are within what other samples would give.\n\n", head,
           line("samples", lambda n: f"{len(n.y):,}"),
           line("float accuracy", lambda n: f"{n.float:.2f} %"),
           line("W8A8, ONNX Runtime's static quantizer", lambda n: f"{n.cells['theirs']['drop']:.2f}")]
    out += [line(name, lambda n, name=name: n.say(name, lambda c: c["drop"], "{:.2f}")) for name in PLANS]
    out += [line("furthest that pare's own figure was off",
                 lambda n: f"{max(c.get('apart', 0) for c in n.cells.values()):.2f}"),
            "\nSize in percent of float, packed:\n\n", head]
    out += [line(f"W{bits}A8", lambda n, bits=bits: n.say(f"W{bits}A8, round descent", lambda c: 100 * c["ratio"], "{:.1f}"))
            for bits in (8, 4, 3)]
    return "".join(out)


def main():
    pare, out, *folders = sys.argv[1:]
    text = page([Network(pare, f.rstrip("/")).measure() for f in folders])
    with open(out, "w", encoding="utf-8") as f:
        f.write(text)


if __name__ == "__main__":
    main()
