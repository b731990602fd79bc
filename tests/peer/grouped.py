"""TAP: GPTQ of grouped and depthwise convolutions, code by code against numpy by the formulas of the paper."""
import os
import subprocess
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARE = os.environ.get("PARE", os.path.join(ROOT, "pare"))
SAMPLES, EDGE, KERNEL = 64, 8, 3
done = 0


def ok(good, what):
    global done
    done += 1
    print(f"{'ok' if good else 'not ok'} {done} - {what}", flush=True)


def model(path, w, groups):
    """One convolution and the mean of each channel."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", w.shape[1] * groups, EDGE, EDGE])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", w.shape[0]])
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], name="conv", group=groups, pads=[1, 1, 1, 1]),
             helper.make_node("GlobalAveragePool", ["c"], ["p"]), helper.make_node("Flatten", ["p"], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(w, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def columns(x):
    """Windows of a padded image: [channels * 9, samples * pixels]."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.stack([padded[:, c, i:i + EDGE, j:j + EDGE].ravel()
                     for c in range(x.shape[1]) for i in range(KERNEL) for j in range(KERNEL)])


def gptq(row, h, scale, low, high):
    """Most curved first; the error of each goes to those that are left, by the inverse of their part of h."""
    w, left, q = row.copy(), list(np.argsort(-np.diag(h), kind="stable")), np.zeros(len(row), int)
    while left:
        inverse = np.linalg.inv(h[np.ix_(left, left)])
        i = left[0]
        q[i] = np.clip(np.rint(w[i] / scale), low, high)
        w[left] -= (w[i] - scale * q[i]) / inverse[0, 0] * inverse[:, 0]
        left = left[1:]
    return q


def check(groups, width, outs):
    rng = np.random.default_rng(groups)
    x = rng.standard_normal((SAMPLES * 2, groups * width, EDGE, EDGE)).astype(np.float32)
    x = x + x.mean(1, keepdims=True) + 0.7 * np.roll(x, 1, 3) # neighbours that go together
    w = (0.3 * rng.standard_normal((outs, width, KERNEL, KERNEL))).astype(np.float32)
    with tempfile.TemporaryDirectory() as box:
        at = lambda name: os.path.join(box, name)
        np.save(at("x.npy"), x.astype(np.float32))
        model(at("m.onnx"), w, groups)
        with open(at("data.conf"), "w", encoding="utf-8") as f:
            f.write(f"samples x.npy\nsplit calibrate 0:{SAMPLES} evaluate {SAMPLES}:\n")
        with open(at("r.pare"), "w", encoding="utf-8") as f:
            f.write("pare 1\nmodel m.onnx\ndata data.conf\nset * weights int3 round gptq\n")
        run = subprocess.run([PARE, "apply", at("r.pare"), "-o", at("out.onnx")], capture_output=True, text=True)
        if run.returncode:
            print("# " + run.stderr)
            return ok(False, f"{groups} groups: it runs")
        stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(at("out.onnx")).graph.initializer}
    q, scale = (stored[f"conv.weight.{part}"] for part in ("q", "scale"))
    same = 0
    for o in range(outs):
        group = o // (outs // groups)
        z = columns(x[:SAMPLES, group * width:(group + 1) * width].astype(np.float64))
        h = z @ z.T / z.shape[1]
        h += 0.01 * np.mean(np.diag(h)) * np.eye(len(h))
        want = gptq(w[o].astype(np.float64).ravel(), h, float(scale[o]), -4, 3)
        same += int((want == q[o].ravel()).sum())
    share = 100 * same / q.size
    ok(share >= 99.5, f"{groups} groups of {width}: {share:.2f} % of {q.size} codes are numpy's")


check(1, 6, 16)
check(2, 4, 16)
check(4, 2, 16)
check(12, 1, 12)
check(6, 1, 24)
print(f"1..{done}")
