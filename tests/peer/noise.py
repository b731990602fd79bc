"""TAP: the signal-to-noise ratios that pare tells of each layer are those that ONNX Runtime's numbers have."""
import copy
import os
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

import peer
from faithful import ROOT, finish, ok, pare

EXAMPLE = os.path.join(ROOT, "examples", "fashion")
MODEL, DATA = os.path.join(EXAMPLE, "model.onnx"), os.path.join(EXAMPLE, "data.conf")
SAMPLES = 32  # from the first to calibrate with
LAYERS = ("Conv", "Gemm", "MatMul")


def run(m, x, names):
    m = copy.deepcopy(m)
    kept = {o.name for o in m.graph.output}
    m.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in names if n not in kept)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(m.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(names, {session.get_inputs()[0].name: x})


def leaves(layer, graph):
    """The value that leaves the step: a Relu runs with the layer, and a sum with the later of those that make it."""
    made = {n.output[0]: i for i, n in enumerate(graph.node)}
    value = layer.output[0]
    while True:
        readers = [n for n in graph.node if value in n.input]
        if len(readers) != 1 or readers[0].op_type not in ("Relu", "Clip", "Add"):
            return value
        if readers[0].op_type == "Add" and made[value] < max(made[i] for i in readers[0].input):
            return value
        value = readers[0].output[0]


def decibels(x, y):
    lost = np.sum((x.astype(np.float64) - y) ** 2)
    return None if lost == 0 else 10 * np.log10(np.sum(x.astype(np.float64) ** 2) / lost)


def near(said, is_):
    return said == is_ if said is None or is_ is None else abs(said - is_) < 0.02


def with_values(m, names, values):
    m = copy.deepcopy(m)
    for t in m.graph.initializer:
        if t.name in names:
            t.CopyFrom(numpy_helper.from_array(values[names.index(t.name)].astype(np.float32), t.name))
    return m


def with_quantizer(m, layer, scale, zero):
    m = copy.deepcopy(m)
    at = next(i for i, n in enumerate(m.graph.node) if n.name == layer)
    x = m.graph.node[at].input[0]
    m.graph.initializer.extend([numpy_helper.from_array(scale, "q_scale"), numpy_helper.from_array(zero, "q_zero")])
    m.graph.node[at].input[0] = "q_back"
    m.graph.node.insert(at, helper.make_node("QuantizeLinear", [x, "q_scale", "q_zero"], ["q_codes"]))
    m.graph.node.insert(at + 1, helper.make_node("DequantizeLinear", ["q_codes", "q_scale", "q_zero"], ["q_back"]))
    return m


def apply(lines, box, out):
    recipe = os.path.join(box, "r.pare")
    with open(recipe, "w", encoding="utf-8") as f:
        f.write("\n".join(["pare 1", f"model {MODEL}", f"data {DATA} calibrate 0:128 evaluate 0:50", *lines, ""]))
    return pare("apply", recipe, "-o", out)


def check(name, lines, x, box):
    plain, out = os.path.join(box, "float.onnx"), os.path.join(box, "out.onnx")
    apply([], box, plain)
    said = {layer["name"]: layer for layer in apply(lines, box, out)["layers"]}
    m, q = onnx.load(plain), onnx.load(out)
    made, worst = {n.output[0]: n for n in q.graph.node}, {"weights": [], "activations": []}
    held = {t.name: numpy_helper.to_array(t) for t in q.graph.initializer}
    theirs = {n.name: n for n in q.graph.node if n.op_type in LAYERS}
    for layer in [n for n in m.graph.node if n.op_type in LAYERS]:
        other, value = theirs[layer.name], leaves(layer, m.graph)
        was = run(m, x, [value])[0]
        names = list(layer.input[1:])
        values = run(q, x, [n for n in other.input[1:] if n not in held]) if any(n not in held for n in other.input[1:]) else []
        values = [held[n] if n in held else values.pop(0) for n in other.input[1:]]
        worst["weights"].append((said[layer.name]["weights_snr_db"], decibels(was, run(with_values(m, names, values), x, [value])[0])))
        pair = made.get(other.input[0])
        if pair is not None and pair.op_type == "Clip":
            pair = made[pair.input[0]]
        if pair is not None and pair.op_type == "DequantizeLinear":
            changed = with_quantizer(m, layer.name, held[pair.input[1]], held[pair.input[2]])
            worst["activations"].append((said[layer.name]["activations_snr_db"], decibels(was, run(changed, x, [value])[0])))
    for what, pairs in worst.items():
        bad = [p for p in pairs if not near(*p)]
        ok(not bad, f"{name}: {what} of {len(pairs)} layers, within 0.02 dB")
        for p in bad:
            print("#", *p)


def plain_is_plain(box):
    """What is said of plain rounding is what a plan of it has."""
    out = os.path.join(box, "out.onnx")
    craft = apply(["set * weights int4 activations int8 round descent"], box, out)["layers"]
    plain = apply(["set * weights int4 activations int8 calibrate min-max round nearest"], box, out)["layers"]
    for key in ("weights_snr_db", "activations_snr_db"):
        far = [(a["plain_" + key], b[key]) for a, b in zip(craft, plain) if not near(a["plain_" + key], b[key])]
        ok(not far, f"plain {key} is that of the plain plan {far[:3]}")


conf = peer.read_conf(DATA)
x = np.load(os.path.join(EXAMPLE, conf["train"][0]))["x"][:SAMPLES]
entry = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
x = peer.inputs(conf, x, peer.entry_shape(entry, x))
with tempfile.TemporaryDirectory() as folder:
    check("W8A8", ["set * weights int8 activations int8"], x, folder)
    check("W4A8 by descent", ["set * weights int4 activations uint8 round descent"], x, folder)
    check("half of them gone", ["set * activations int8 range symmetric", "prune * weights 50%"], x, folder)
    plain_is_plain(folder)
finish()
