"""TAP: a file of uint8 activations is cut off by kernels that sum pairs at 16 bits; with step avoid-saturation it is not.

The kernels of ONNX Runtime on x86 without VNNI, simulated: products of neighbours 2j and 2j + 1 are added and clamped to
16 bits, then summed at 32. Order of what is summed: channel, row, column of the kernel, or row, column, channel.

usage: saturation.py [MODEL DATA [SAMPLES]]: the accuracy that is left, of plans for that network
"""
import os
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

import peer
from faithful import ROOT, finish, ok, pare

EXAMPLE = os.path.join(ROOT, "examples", "fashion")


def columns(x, n, last):
    """[positions][what an output sums over] of a convolution; zero points are put around it."""
    attr = {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute}
    (kh, kw), (sh, sw) = attr["kernel_shape"], attr.get("strides", [1, 1])
    windows = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), (2, 3))[:, :, ::sh, ::sw]
    order = (0, 2, 3, 4, 5, 1) if last else (0, 2, 3, 1, 4, 5)
    out = windows.transpose(order)
    return out.reshape(-1, int(np.prod(out.shape[3:]))), out.shape[:3]


class Machine:
    def __init__(self, path, clamps, last=False):
        self.m, self.clamps, self.last, self.cut = onnx.load(path), clamps, last, 0
        self.held = {t.name: numpy_helper.to_array(t) for t in self.m.graph.initializer}
        self.made = {n.output[0]: n for n in self.m.graph.node}

    def pairs(self, a, w):
        """[positions][outputs] of a [positions][k] and w [outputs][k]."""
        if a.shape[1] % 2:
            a, w = (np.pad(v, ((0, 0), (0, 1))) for v in (a, w))
        a, w, total = a.astype(np.int32), w.astype(np.int32), np.zeros((len(a), len(w)), np.int32)
        for j in range(0, a.shape[1], 2):
            two = np.outer(a[:, j], w[:, j]) + np.outer(a[:, j + 1], w[:, j + 1])
            if self.clamps:
                self.cut += int(np.count_nonzero((two > 32767) | (two < -32768)))
                two = np.clip(two, -32768, 32767)
            total += two
        return total

    def bytes_of(self, n, values):
        """Codes, scale and zero point of the layer's input, codes and scales of its weight; None: it is no such layer."""
        x, w = self.made.get(n.input[0]), self.made.get(n.input[1])
        if x is None or w is None or x.op_type != "DequantizeLinear" or w.op_type != "DequantizeLinear":
            return None
        codes, (weight, scale, zero) = values[x.input[0]], (self.held[i] for i in w.input)
        if codes.dtype != np.uint8 or weight.dtype != np.int8 or zero.any():
            return None
        return codes, self.held[x.input[1]], int(self.held[x.input[2]]), weight, scale

    def layer(self, n, values):
        attr = {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute}
        given = self.bytes_of(n, values) if n.op_type in ("Conv", "Gemm") and attr.get("group", 1) == 1 else None
        if given is None:
            return None
        codes, s, z, w, scale = given
        bias = values[n.input[2]].astype(np.float32).ravel() if len(n.input) > 2 else np.float32(0)
        if n.op_type == "Gemm":
            w = w if attr.get("transB", 0) else w.T
            total = self.pairs(codes, w) - z * w.astype(np.int32).sum(1)
            return total * (s * scale) + bias
        t, l, b, r = attr.get("pads", [0] * 4)
        a, shape = columns(np.pad(codes, ((0, 0), (0, 0), (t, b), (l, r)), constant_values=z), n, self.last)
        flat = (w.transpose(0, 2, 3, 1) if self.last else w).reshape(len(w), -1)
        total = self.pairs(a, flat) - z * flat.astype(np.int32).sum(1)
        return (total * (s * scale) + bias).astype(np.float32).reshape(*shape, -1).transpose(0, 3, 1, 2)

    def run(self, x):
        values = dict(self.held, **{self.m.graph.input[0].name: x})
        for n in self.m.graph.node:
            y = self.layer(n, values)
            if y is None:
                node = ReferenceEvaluator(n, opsets={"": self.m.opset_import[0].version})
                y = node.run(None, {i: values[i] for i in n.input if i})[0]
            values[n.output[0]] = y
        return values[self.m.graph.output[0].name]


def apply(model, data, lines, box, out):
    recipe = os.path.join(box, "r.pare")
    with open(recipe, "w", encoding="utf-8") as f:
        f.write("\n".join(["pare 1", f"model {model}", f"data {data} calibrate 0:256 evaluate 256:306", *lines, ""]))
    return pare("apply", recipe, "-o", out)


PLANS = {
    "uint8": ["set * weights int8 activations uint8"],
    "uint8, nothing cut off": ["set * weights int8 activations uint8", "step avoid-saturation"],
    "uint8, per tensor": ["set * weights int8 per-tensor activations uint8", "step avoid-saturation"],
}


def told(said):
    return [n for n in said["notes"] if "exceed 16 bits" in n]


def check(name, lines, x, box, model, data):
    out, safe = os.path.join(box, "out.onnx"), "step avoid-saturation" in lines
    said = apply(model, data, lines, box, out)
    theirs = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    theirs = theirs.run(None, {theirs.get_inputs()[0].name: x})[0]
    exact = Machine(out, False).run(x)
    far = np.abs(exact - theirs).max()
    ok(far < 0.02 * np.abs(theirs).max(), f"{name}: without clamping it is what ONNX Runtime has here, within {far:.4f}")
    for last in (False, True):
        machine = Machine(out, True, last)
        y = machine.run(x)
        moved = np.abs(y - exact).max()
        order = "channels last" if last else "channels first"
        if safe:
            ok(machine.cut == 0 and moved < 1e-4, f"{name}, {order}: {machine.cut} sums are cut off")
        else:
            ok(machine.cut > 0 and moved > 0.1, f"{name}, {order}: {machine.cut} sums are cut off, answers move by {moved:.2f}")
    ok(bool(told(said)) != safe, f"{name}: {(told(said) or ['nothing is said'])[0]}")


def accuracy(model, data, n):
    conf, x, y = peer.load(data)
    entry = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    x, y = peer.inputs(conf, x[:n], peer.entry_shape(entry, x)), np.asarray(y[:n])
    top = lambda run: 100 * float(np.mean(np.concatenate([run(x[i:i + 20]).argmax(1) for i in range(0, n, 20)]) == y))
    print(f"float: {top(lambda v: entry.run(None, {entry.get_inputs()[0].name: v})[0]):.2f} %")
    with tempfile.TemporaryDirectory() as box:
        for name, lines in PLANS.items():
            out = os.path.join(box, "out.onnx")
            apply(model, data, lines, box, out)
            machine = Machine(out, True)
            print(f"{name}: {top(Machine(out, False).run):.2f} % exact, {top(machine.run):.2f} % with pairs at 16 bits, "
                  f"{machine.cut} sums cut off", flush=True)


if len(sys.argv) > 2:
    accuracy(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), int((sys.argv[3:] + ["200"])[0]))
else:
    config, samples, _ = peer.load(os.path.join(EXAMPLE, "data.conf"))
    network = os.path.join(EXAMPLE, "model.onnx")
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    samples = peer.inputs(config, samples[:8], peer.entry_shape(session, samples))
    with tempfile.TemporaryDirectory() as folder:
        for plan, statements in PLANS.items():
            check(plan, statements, samples, folder, network, os.path.join(EXAMPLE, "data.conf"))
    finish()
