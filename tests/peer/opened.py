"""TAP: a network that is quantized already runs as ONNX Runtime runs it, and is written again as it was."""
import os
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

import peer
from faithful import PARE, ROOT, finish, ok, pare  # noqa: F401

EXAMPLE = os.path.join(ROOT, "examples", "fashion")
MODEL, DATA = os.path.join(EXAMPLE, "model.onnx"), os.path.join(EXAMPLE, "data.conf")
WAYS = {
    "uint8 activations, int8 weights": dict(activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8),
    "int8, per channel": dict(activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, per_channel=True),
    "uint8 weights": dict(activation_type=QuantType.QUInt8, weight_type=QuantType.QUInt8),
    "uint16 activations": dict(activation_type=QuantType.QUInt16, weight_type=QuantType.QInt8),
    "int4 weights": dict(activation_type=QuantType.QInt8, weight_type=QuantType.QInt4),
}
PLANS = {
    "int8": ["set * weights int8 activations int8"],
    "4 and 6 bits": ["set * weights int4 activations int8", "set op=Gemm weights int6 activations int6 per-tensor"],
    "groups of 4 bits": ["set * weights int4 per-group 32"],
    "asymmetric": ["set * weights int8 scheme asymmetric activations int8"],
    "powers of two": ["set * weights int8 per-tensor scheme power-of-two activations int8"],
    "half": ["set * weights float16"],
}


class Samples(CalibrationDataReader):
    def __init__(self, name, x):
        self.rest = iter([{name: x[i:i + 32]} for i in range(0, len(x), 32)])

    def get_next(self):
        return next(self.rest, None)


def plain(path):
    """Without the transformations that change numbers: what the file says."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def weights(path):
    """What each layer's weights are made of, by their bytes."""
    kinds = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT4)
    tensors = onnx.load(path).graph.initializer
    return sorted(onnx.numpy_helper.to_array(t).astype(np.int16).tobytes() for t in tensors
                  if t.data_type in kinds and len(t.dims) > 1)


def check(name, path, x, box):
    session = plain(path)
    theirs = session.run(None, {session.get_inputs()[0].name: x})[0]
    given, out, again = (os.path.join(box, n) for n in ("x.npy", "out.npy", "again.onnx"))
    np.save(given, x)
    pare("run", path, "-i", given, "-o", out)
    mine = np.load(out)
    same = 100 * float((mine.argmax(1) == theirs.argmax(1)).mean())
    ok(same >= 99.5, f"{name}: pare and ONNX Runtime agree on {same:.2f} % of {len(x)} samples")
    recipe = os.path.join(box, "as-it-is.pare")
    with open(recipe, "w", encoding="utf-8") as f:
        f.write(f"pare 1\nmodel {path}\n")
    got = pare("apply", recipe, "-o", again)
    if not got:
        ok(False, f"{name}: written again")
        return
    ok(weights(path) == weights(again), f"{name}: written again with the same integers")
    size, was = os.path.getsize(again), os.path.getsize(path)
    ok(got["file_bytes"] == size and size <= 1.1 * was, f"{name}: {size} bytes, as was said; the file has {was}")
    session = plain(again)
    written = session.run(None, {session.get_inputs()[0].name: x})[0]
    gap = float(np.abs(written - theirs).max())
    ok(gap <= 1e-4 * float(np.abs(theirs).max()), f"{name}: written again, ONNX Runtime differs by {gap:.2g}")


def main():
    conf, x, _ = peer.load(DATA)
    shape = tuple(d.dim_value for d in onnx.load(MODEL).graph.input[0].type.tensor_type.shape.dim)[1:]
    x = peer.inputs(conf, x[:1000], shape)
    with tempfile.TemporaryDirectory() as box:
        path = os.path.join(box, "quantized.onnx")
        name = onnx.load(MODEL).graph.input[0].name
        for way, how in WAYS.items():
            quantize_static(MODEL, path, Samples(name, x[:128]), quant_format=QuantFormat.QDQ, **how)
            check(way, path, x, box)
        for plan, lines in PLANS.items():
            recipe = os.path.join(box, "plan.pare")
            with open(recipe, "w", encoding="utf-8") as f:
                f.write("\n".join(["pare 1", f"model {MODEL}", f"data {DATA}", *lines, ""]))
            pare("apply", recipe, "-o", path)
            check("pare's own " + plan, path, x, box)
    finish()


main()
