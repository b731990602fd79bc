"""TAP: a data set for a network of two inputs, one of words and one of numbers, against ONNX Runtime."""
import json
import os
import subprocess
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARE = os.environ.get("PARE", os.path.join(ROOT, "pare"))
WORDS, LENGTH, WIDTH, HIDDEN, CLASSES, SAMPLES, CALIBRATE = 50, 12, 6, 32, 5, 700, 200
done = 0


def ok(good, what):
    global done
    done += 1
    print(f"{'ok' if good else 'not ok'} {done} - {what}", flush=True)


def model(path, rng):
    value = helper.make_tensor_value_info
    weights = {"table": (WORDS, 16), "w1": (HIDDEN, 16 + WIDTH), "b1": (HIDDEN,), "w2": (CLASSES, HIDDEN)}
    make = helper.make_node
    nodes = [make("Gather", ["table", "words"], ["rows"]),
             make("ReduceMean", ["rows"], ["mean"], axes=[1], keepdims=0),
             make("Concat", ["mean", "numbers/in:0"], ["both"], axis=1),
             make("Gemm", ["both", "w1", "b1"], ["h"], name="hidden", transB=1), make("Relu", ["h"], ["r"]),
             make("Gemm", ["r", "w2"], ["y"], name="out", transB=1)]
    graph = helper.make_graph(
        nodes, "g", [value("words", TensorProto.INT64, ["N", LENGTH]),
                     value("numbers/in:0", TensorProto.FLOAT, ["N", WIDTH])],
        [value("y", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(rng.standard_normal(s).astype(np.float32), n) for n, s in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def answers(path, inputs):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, inputs)[0]


def pare(*words, box):
    return subprocess.run([PARE, *words], cwd=box, capture_output=True, text=True, check=False)


def top1(logits, labels):
    return 100 * float(np.mean(logits.argmax(1) == labels))


def main(box):
    rng = np.random.default_rng(5)
    at = lambda name: os.path.join(box, name)
    model(at("m.onnx"), rng)
    x = {"words": rng.integers(0, WORDS, (SAMPLES, LENGTH)),
         "numbers/in:0": (rng.standard_normal((SAMPLES, WIDTH)) * 0.6).astype(np.float32)}
    logits = answers(at("m.onnx"), x)
    labels = (logits + rng.standard_normal(logits.shape) * 0.8 * logits.std()).argmax(1)
    np.savez(at("d.npz"), y=labels, **x)
    np.savez(at("one.npz"), y=labels, words=x["words"])
    np.savez(at("few.npz"), y=labels, words=x["words"], **{"numbers/in:0": x["numbers/in:0"][:9]})
    with open(at("data.conf"), "w", encoding="utf-8") as f:
        f.write(f"samples d.npz\nsplit calibrate 0:{CALIBRATE} evaluate {CALIBRATE}:\n")
    rest = {name: v[CALIBRATE:] for name, v in x.items()}

    got = pare("eval", "m.onnx", "--data", "data.conf", "--json", box=box)
    value = json.loads(got.stdout)["value"] if not got.returncode else got.stderr
    want = top1(logits[CALIBRATE:], labels[CALIBRATE:])
    ok(abs(value - want) < 1e-9, f"eval gives {value} as ONNX Runtime gives {want}")

    for name, plan in ("8 bits", "set * weights int8 activations int8"), ("GPTQ", "set * weights int4 round gptq"):
        with open(at("r.pare"), "w", encoding="utf-8") as f:
            f.write(f"pare 1\nmodel m.onnx\ndata data.conf\n{plan}\n")
        got = pare("apply", "r.pare", "-o", "out.onnx", "--json", box=box)
        if got.returncode:
            ok(False, f"{name}: {got.stderr}")
            continue
        value, want = json.loads(got.stdout)["value"], top1(answers(at("out.onnx"), rest), labels[CALIBRATE:])
        ok(abs(value - want) < 0.21, f"{name}: {value} as ONNX Runtime gives {want} for the exported file")

    got = pare("scan", "m.onnx", "--data", "data.conf", "--json", box=box)
    layers = json.loads(got.stdout)["layers"] if not got.returncode else []
    ok({"hidden", "out"} <= {l["name"] for l in layers}, f"the map has {len(layers)} layers {got.stderr if got.returncode else ''}")

    for data, word in ("one.npz", "no array named numbers/in:0"), ("few.npz", "there must be as many of each"):
        got = pare("eval", "m.onnx", "--data", data, box=box)
        ok(got.returncode == 2 and word in got.stderr, got.stderr.strip())
    os.mkdir(at("x"))
    np.save(at("x/x.npy"), x["words"])
    got = pare("eval", "m.onnx", "--data", "x", box=box)
    ok(got.returncode == 2 and "2 inputs" in got.stderr, got.stderr.strip())
    with open(at("data.conf"), "a", encoding="utf-8") as f:
        f.write("scale 2\n")
    got = pare("eval", "m.onnx", "--data", "data.conf", box=box)
    ok(got.returncode == 2 and "do not say of which" in got.stderr, got.stderr.strip())


with tempfile.TemporaryDirectory() as folder:
    main(folder)
print(f"1..{done}")
