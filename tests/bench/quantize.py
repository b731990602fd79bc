"""What each rounding costs, network by network: the page examples/quantize.md.

    quantize.py PARE OUT.md NETWORK...      a folder with model.onnx and its samples

Every figure is the accuracy that ONNX Runtime gives the exported file, against the float network's, on
the same samples; what pare measured is held against it.  ONNX Runtime's own static quantizer gets the
same calibration samples.
"""
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
CALIBRATE = int(os.environ.get("CALIBRATE", "256"))
METHODS = ("nearest", "gptq", "descent")
BITS = (8, 4, 3)


def accuracy(path, conf, x, y):
    got = peer.answers(path, conf, x).argmax(1)
    return 100 * float((got == y).mean())


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


def apply(pare, folder, box, conf, line):
    recipe, out = os.path.join(box, "r.pare"), os.path.join(box, "out.onnx")
    bounds = f" calibrate 0:{CALIBRATE} evaluate 0:{LIMIT}" if "train" in conf else ""
    with open(recipe, "w", encoding="utf-8") as f:
        f.write(f"pare 1\nmodel {folder}/model.onnx\ndata {folder}{bounds}\nset * {line}\n")
    start = time.monotonic()
    run = subprocess.run([pare, "apply", recipe, "-o", out, "--json"], capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{folder}: {line}: {run.stderr.strip()}")
    return out, json.loads(run.stdout), time.monotonic() - start


def measure(pare, folder):
    conf, x, y = peer.load(folder)
    x, y = x[:LIMIT], y[:LIMIT]
    base = accuracy(os.path.join(folder, "model.onnx"), conf, x, y)
    row = {"name": os.path.basename(folder), "samples": len(y), "float": base, "apart": 0.0, "cells": {},
           "seconds": {}, "bytes": {}}
    with tempfile.TemporaryDirectory() as box:
        row["theirs"] = base - accuracy(theirs(folder, box, conf), conf, x, y)
        for bits in BITS:
            for method in METHODS:
                out, said, seconds = apply(pare, folder, box, conf,
                                           f"weights int{bits} activations int8 round {method}")
                value = accuracy(out, conf, x, y)
                row["cells"][bits, method] = base - value
                row["seconds"][bits, method] = seconds
                row["bytes"][bits] = said["bytes"]
                row["apart"] = max(row["apart"], abs(value - said["value"]))
                print(f"{row['name']} W{bits}A8 {method}: {base - value:+.2f} ({seconds:.0f} s)", flush=True)
    return row


def page(rows):
    head = "| | " + " | ".join(r["name"] for r in rows) + " |\n| --- |" + " --- |" * len(rows) + "\n"
    line = lambda name, cells: f"| {name} | " + " | ".join(cells) + " |\n"
    out = ["# What rounding costs\n\n",
           "Points of accuracy lost when every layer's weights and activations are quantized, as ONNX Runtime ",
           f"{onnxruntime.__version__} runs the exported file: up to {LIMIT:,} evaluation samples, ",
           f"{CALIBRATE} samples without labels to calibrate on (the keyword network has 800 and 200). ",
           "`make bench-quantize` makes this page anew. One sample in 2,000 is 0.05 points; differences of ",
           "0.3 are within what other samples would give.\n\n", head,
           line("samples", [f"{r['samples']:,}" for r in rows]),
           line("float accuracy", [f"{r['float']:.2f} %" for r in rows]),
           line("W8A8, ONNX Runtime's static quantizer", [f"{r['theirs']:.2f}" for r in rows])]
    for bits in BITS:
        for method in METHODS:
            out.append(line(f"W{bits}A8, round {method}", [f"{r['cells'][bits, method]:.2f}" for r in rows]))
    out += [line("furthest that pare's own figure was off", [f"{r['apart']:.2f}" for r in rows]),
            "\nSeconds to carry the plan out, measure and export it, on the machine that made this page:\n\n",
            head]
    for method in METHODS:
        out.append(line(f"W4A8, round {method}", [f"{r['seconds'][4, method]:.0f}" for r in rows]))
    return "".join(out)


def main():
    pare, out, *folders = sys.argv[1:]
    text = page([measure(pare, f.rstrip("/")) for f in folders])
    with open(out, "w", encoding="utf-8") as f:
        f.write(text)


if __name__ == "__main__":
    main()
