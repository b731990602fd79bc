"""TAP: tables and recurrent layers at few bits are as large as said, the same each time, and run as pare says."""
import hashlib
import os
import subprocess
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from faithful import LEVELS, PARE, finish, ok, pare
from sequences import Graph

WORDS, WIDE, TIME, UNITS, SAMPLES = 50, 32, 9, 24, 96
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
# ONNX Runtime (1.32) multiplies dense layers of int8 weights by activations that it quantizes by itself.
LAST = "set last weights float32 activations float32"
# statements, the types of what is quantized, decibels that the answers must be above their noise
FORMS = {
    "W8": (["set * weights int8"], {"INT8"}, 30),
    "W8, one scale": (["set * weights int8 per-tensor round nearest"], {"INT8"}, 25),
    "W8 in groups": (["set * weights int8 per-group 16"], {"INT8"}, 30),
    "W4": (["set * weights int4 round descent"], {"INT4"}, 10),
    "W4, zero points": (["set * weights int4 scheme asymmetric"], {"UINT4"}, 10),
    "W4 in groups": (["set * weights int4 per-group 16"], {"INT4"}, 10),
    "W8A8": (["set * weights int8 activations uint8"], {"INT8", "UINT8"}, 20),
    "units gone, then W8": (["prune cell channels 25%", "set * weights int8"], {"INT8"}, None),
}


def write(path, kind, direction):
    g, dirs = Graph(), 2 if direction == "bidirectional" else 1
    x = g.op("Transpose", g.op("Gather", g.weight(WORDS, WIDE), "x"), perm=[1, 0, 2])
    rows, more = GATES[kind] * UNITS, {"linear_before_reset": 1} if direction == "reverse" and kind == "GRU" else {}
    g.nodes.append(helper.make_node(
        kind, [x, g.weight(dirs, rows, WIDE), g.weight(dirs, rows, UNITS), g.weight(dirs, 2 * rows)], ["all", "last"],
        name="cell", hidden_size=UNITS, direction=direction, **more))
    y = g.op("Reshape", g.op("Transpose", "last", perm=[1, 0, 2]), g.constant(np.array([-1, dirs * UNITS])))
    y = g.op("Gemm", y, g.weight(dirs * UNITS, 6), g.weight(6))
    graph = helper.make_graph(
        g.nodes, "g", [helper.make_tensor_value_info("x", TensorProto.INT64, ["N", TIME])],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["N", 6])], g.constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def run(path, x, level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    return onnxruntime.InferenceSession(path, options).run(None, {"x": x})[0]


def decibels(y, noise):
    return 10 * np.log10((y ** 2).sum() / max((noise ** 2).sum(), 1e-30))


def own(path, x, box):
    entry, out = os.path.join(box, "in.npy"), os.path.join(box, "out.npz")
    np.save(entry, x)
    subprocess.run([PARE, "run", path, "-i", entry, "-o", out], check=True, stdout=subprocess.DEVNULL)
    with np.load(out) as arrays:
        return arrays[arrays.files[0]]


def check(name, lines, types, least, model, data, x, box):
    recipe, out = os.path.join(box, "r.pare"), os.path.join(box, "out.onnx")
    with open(recipe, "w", encoding="utf-8") as f:
        f.write("\n".join(["pare 1", f"model {model}", f"data {data} calibrate 0:64 evaluate 64:{SAMPLES}", *lines, LAST, ""]))
    said, digests = [], set()
    for _ in range(2):
        said.append(pare("apply", recipe, "-o", out))
        with open(out, "rb") as f:
            digests.add(hashlib.sha256(f.read()).hexdigest())
    ok(len(digests) == 1 and os.path.getsize(out) == said[0]["file_bytes"],
       f"{name}: {os.path.getsize(out)} bytes, as was said, and the same each time")
    m = onnx.load(out)
    onnx.checker.check_model(m)
    got = {onnx.TensorProto.DataType.Name(t.data_type) for t in m.graph.initializer} - {"FLOAT", "INT64"}
    large = [t.name for t in m.graph.initializer if t.data_type == TensorProto.FLOAT and np.prod(t.dims) > 500]
    ok(got == types and not large, f"{name}: {sorted(got)}; no weight is float: {large}")
    y, mine = run(model, x, LEVELS[0]), own(out, x, box)
    # a last bit may turn an activation to the next of its steps
    limit = (0.02 if "UINT8" in types else 1e-4) * np.abs(mine).max()
    for level in LEVELS:
        theirs = run(out, x, level)
        ok(np.abs(theirs - mine).max() <= limit, f"{name}: {level} is off by {np.abs(theirs - mine).max():.2g}")
    if least is not None:
        ok(decibels(y, y - mine) >= least, f"{name}: {decibels(y, y - mine):.1f} dB")


with tempfile.TemporaryDirectory() as folder:
    words = np.random.default_rng(2).integers(0, WORDS, (SAMPLES, TIME))
    samples = os.path.join(folder, "words.npz")
    np.savez(samples, x=words)
    for of, way in (("LSTM", "bidirectional"), ("GRU", "reverse"), ("RNN", "forward")):
        file = os.path.join(folder, of + ".onnx")
        write(file, of, way)
        for form, rest in FORMS.items():
            check(f"{of}, {way}, {form}", *rest, file, samples, words[64:], folder)
finish()
