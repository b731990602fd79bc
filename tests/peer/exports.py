"""TAP: every form of weights and activations that pare writes is of the types that it should be, and runs as pare says."""
import os
import tempfile

import onnx

import peer
from faithful import ROOT, finish, levels_agree, ok, pare

EXAMPLE = os.path.join(ROOT, "examples", "fashion")
MODEL, DATA = os.path.join(EXAMPLE, "model.onnx"), os.path.join(EXAMPLE, "data.conf")
SAMPLES = 500
# plan, types of what is quantized, opset that it asks for at least, whether narrow weights travel as int8
FORMS = {
    "uint8 activations": (["set * weights int8 activations uint8"], {"INT8", "UINT8"}, 13, False),
    "int16 activations": (["set * weights int8 activations int16"], {"INT8", "INT16"}, 21, False),
    "int4": (["set * weights int4"], {"INT4"}, 21, False),
    "int4, zero points": (["set * weights int4 scheme asymmetric activations uint8"], {"UINT4", "UINT8"}, 21, False),
    "int4 in blocks": (["set * weights int4 per-group 32"], {"INT4"}, 21, False),
    "int4 in blocks, zero points": (["set * weights int4 per-group 32 scheme asymmetric"], {"UINT4"}, 21, False),
    "int8 in blocks": (["set * weights int8 per-group 16 activations uint8"], {"INT8", "UINT8"}, 21, False),
    "one scale a tensor, powers of two": (["set * weights int8 per-tensor scheme power-of-two activations int8 range power-of-two"],
                                          {"INT8"}, 13, False),
    "6 and 5 bits": (["set * weights int6 activations int6", "set 2 weights int5"], {"INT8"}, 13, True),
    "3 and 2 bits, ternary": (["set * weights int3 round descent", "set 2 weights int2", "set 3 weights ternary"], {"INT8"}, 13, True),
    "dynamic": (["set * weights int8 activations int8 range dynamic"], {"INT8"}, 13, False),
    "float16": (["set * weights float16"], {"FLOAT16"}, 13, False),
    "bfloat16": (["set * weights bfloat16"], {"BFLOAT16"}, 13, False),
}
PLAIN = {"FLOAT", "INT64"}


def check(name, lines, types, opset, narrow, box):
    conf, x, y = peer.load(DATA)
    x, y = x[:SAMPLES], y[:SAMPLES]
    recipe, out = os.path.join(box, "r.pare"), os.path.join(box, "out.onnx")
    with open(recipe, "w", encoding="utf-8") as f:
        f.write("\n".join(["pare 1", f"model {MODEL}", f"data {DATA} calibrate 0:256 evaluate 0:{SAMPLES}", *lines, ""]))
    said = pare("apply", recipe, "-o", out)
    m = onnx.load(out)
    onnx.checker.check_model(m)
    got = {onnx.TensorProto.DataType.Name(t.data_type) for t in m.graph.initializer} - PLAIN
    ok(got == types and m.opset_import[0].version >= opset, f"{name}: {sorted(got)}, opset {m.opset_import[0].version}")
    told = [n for n in said["notes"] if "travel as int8" in n]
    ok(bool(told) == narrow and (not narrow or said["bytes"] < said["file_bytes"]),
       f"{name}: {said['bytes']} bytes packed, {said['file_bytes']} as ONNX{'; ' + told[0] if told else ''}")
    ok(os.path.getsize(out) == said["file_bytes"], f"{name}: as large as was said")
    ok(said["drop"] <= 1, f"{name}: {said['drop']:.2f} points lost")
    levels_agree(name, out, conf, x, y, said["value"], box)


with tempfile.TemporaryDirectory() as folder:
    for form, rest in FORMS.items():
        check(form, *rest, folder)
finish()
