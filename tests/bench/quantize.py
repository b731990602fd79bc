"""What each rounding costs, network by network: the page examples/quantize.md.

    quantize.py PARE OUT.md NETWORK...      a folder with model.onnx and its samples

Every figure is the accuracy that ONNX Runtime gives the exported file, against the float network's, on
the same samples; what pare measured is held against it.  ONNX Runtime's own static quantizer gets the
same calibration samples.  network.py says what the environment sets.
"""
import os
import tempfile

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from network import CALIBRATE, KEPT, LIMIT, main, peer, table

ALL = "set * weights int{} activations int8 round {}"
ENDS = "set first,last weights int8"
PLANS = {f"W{bits}A8, round {method}": [ALL.format(bits, method)]
         for bits in (8, 4, 3) for method in ("gptq", "nearest", "descent", "adaround", "auto")
         if bits < 8 or method not in ("adaround", "auto")}
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


def measure(net):
    def static():
        with tempfile.TemporaryDirectory() as box:
            return {"drop": net.float - net.accuracy(theirs(net.folder, box, net.conf))}

    net.measure({})
    if not KEPT:
        net.cell("theirs", static)
    return net.measure(PLANS)


def size(net, width):
    """As any of the roundings has it."""
    known = [name for name in PLANS if name.startswith(width) and "ratio" in net.cells.get(name, {})]
    return net.say(known[0], "ratio", "{:.1f}", 100) if known else "–"


def page(nets):
    return "".join([
        "# What rounding costs\n\n",
        "Points of accuracy lost when every layer's weights and activations are quantized, as ONNX Runtime ",
        f"{onnxruntime.__version__} runs the exported file: up to {LIMIT:,} evaluation samples, ",
        f"{CALIBRATE} samples without labels to calibrate on (the keyword network has 800 and 200). ",
        "`make bench-quantize NETWORKS=FOLDER…` makes this page anew. Weights are rounded by gptq unless a plan says ",
        "otherwise. One sample in 2,000 is 0.05 points, of ",
        "the keyword network's 0.125; differences of 0.3 are within what other samples would give. A dash was not measured.\n\n",
        table(nets, [
            ("samples", lambda n: f"{len(n.y):,}"),
            ("float accuracy", lambda n: f"{n.float:.2f} %"),
            ("W8A8, ONNX Runtime's static quantizer", lambda n: n.say("theirs", "drop", "{:.2f}")),
            *((name, lambda n, name=name: n.say(name, "drop", "{:.2f}")) for name in PLANS),
            ("furthest that pare's own figure was off",
             lambda n: f"{max(c.get('apart', 0) for c in n.cells.values()):.2f}"),
            ("fewest answers that are pare's own",
             lambda n: f"{min(c.get('agree', 100) for c in n.cells.values()):.2f} %")]),
        "\nSize in percent of float, packed:\n\n",
        table(nets, [(f"W{bits}A8", lambda n, bits=bits: size(n, f"W{bits}A8, ")) for bits in (8, 4, 3)])])


if __name__ == "__main__":
    main(page, measure)
