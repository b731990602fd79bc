"""TAP: packed weights, read by the reader of examples/, are the weights that ONNX Runtime has from the same plan."""
import os
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

from faithful import ROOT, finish, ok, pare

sys.path.insert(0, os.path.join(ROOT, "examples"))
import packed  # noqa: E402

EXAMPLE = os.path.join(ROOT, "examples", "fashion")
MODEL, DATA = os.path.join(EXAMPLE, "model.onnx"), os.path.join(EXAMPLE, "data.conf")
PLANS = {
    "W8A8": ["set * weights int8 activations int8"],
    "6, 5, 3 bits": ["set * weights int6 activations uint8", "set 2 weights int5", "set 3 weights int3"],
    "4 bits with zero points": ["set * weights int4 scheme asymmetric activations int16"],
    "2 bits and ternary, powers of two": ["set * weights ternary scheme power-of-two", "set 3 weights int2 per-tensor"],
    "groups of 3 bits": ["set * weights int3 per-group 32 scheme asymmetric", "set last weights int4 per-group 16"],
    "half, and floats that go": ["set * weights float16", "set 2 weights bfloat16", "set 3 weights float32", "prune * weights 80%"],
    "bitmaps of 4 bits": ["set * weights int4 scheme asymmetric", "prune * weights 60%"],
    "2:4": ["set * weights int8 activations int8", "prune * weights 50% pattern 2:4"],
    "blocks of outputs": ["set * weights int8", "prune * weights 70% pattern 4x1"],
    "blocks of inputs": ["set * weights int6 per-group 64", "prune * weights 70% pattern 1x4"],
    "fewer channels": ["set * weights int5 activations int8", "prune * channels 20%"],
}


def theirs(path):
    """The weight of each layer, by the layer's name, as ONNX Runtime computes it; and all constants."""
    m = onnx.load(path)
    made = {n.output[0]: n for n in m.graph.node}
    held = {t.name: onnx.numpy_helper.to_array(t) for t in m.graph.initializer}
    wanted = {n.name: n.input[1] for n in m.graph.node if n.op_type in ("Conv", "Gemm", "MatMul")}
    for name in set(wanted.values()) - set(held):
        m.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(m.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs() if o.name in wanted.values()]
    x = np.zeros([d if isinstance(d, int) else 1 for d in session.get_inputs()[0].shape], np.float32)
    values = dict(zip(names, session.run(names, {session.get_inputs()[0].name: x}) if names else []))
    quantized = {n.name: made[n.input[0]] for n in m.graph.node
                 if n.name in wanted and n.input[0] in made and made[n.input[0]].op_type == "DequantizeLinear"}
    return ({layer: values.get(v, held.get(v)) for layer, v in wanted.items()}, held,
            {layer: (held[n.input[1]], held[n.input[2]]) for layer, n in quantized.items()})


def check(name, lines, box):
    recipe, out, pack = (os.path.join(box, n) for n in ("r.pare", "out.onnx", "out.pack"))
    with open(recipe, "w", encoding="utf-8") as f:
        f.write("\n".join(["pare 1", f"model {MODEL}", f"data {DATA} calibrate 0:64 evaluate 0:50", *lines, ""]))
    said, again = pare("apply", recipe, "-o", out), pare("apply", recipe, "-o", pack, "--format", "packed")
    ok(os.path.getsize(pack) == said["bytes"] == again["bytes"] and os.path.getsize(out) == said["file_bytes"],
       f"{name}: {os.path.getsize(pack)} bytes packed, {os.path.getsize(out)} as ONNX, as was said")
    weights, held, quantized = theirs(out)
    mine = packed.read(pack)
    same = [np.array_equal(mine[layer, "weight"], w.astype(np.float32)) for layer, w in weights.items()]
    ok(all(same) and len(same) == sum(role == "weight" for _, role in mine), f"{name}: the weights of {len(same)} layers")
    biases = [np.any([v.shape == h.shape and np.array_equal(v, h) for h in held.values()])
              for (_, role), v in mine.items() if role in ("bias", "constant")]
    ok(all(biases), f"{name}: {len(biases)} biases and other constants")
    ok(all(mine[layer, "quantizer"][0] == s and mine[layer, "quantizer"][1] == z for layer, (s, z) in quantized.items()),
       f"{name}: {len(quantized)} quantizers of activations")
    told = {(r["name"], r["role"]): r for r in pare("info", pack)["records"]}
    ok(told.keys() == mine.keys() and all(list(v.shape) == told[k]["shape"] for k, v in mine.items() if k[1] != "quantizer"),
       f"{name}: pare info lists the same")


with tempfile.TemporaryDirectory() as folder:
    for plan, statements in PLANS.items():
        check(plan, statements, folder)
finish()
