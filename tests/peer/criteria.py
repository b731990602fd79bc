"""TAP: criteria of channels: those that pare removes are those of least score by numpy."""
import os
import subprocess
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARE = os.environ.get("PARE", os.path.join(ROOT, "pare"))
SAMPLES, EDGE, WIDE, NARROW, CLASSES = 48, 6, 12, 8, 4
done = 0


def ok(good, what):
    global done
    done += 1
    print(f"{'ok' if good else 'not ok'} {done} - {what}", flush=True)


def network(rng, scaled):
    """A stem and a residual convolution, each with its BatchNormalization, which make one stream; a convolution that
    reads the stream, and a dense layer."""
    normal = lambda *s: rng.standard_normal(s) * 0.4
    w = {"w1": normal(WIDE, 3, 3, 3), "w2": normal(WIDE, WIDE, 3, 3), "w3": normal(NARROW, WIDE, 3, 3),
         "b3": normal(NARROW), "wf": normal(NARROW, CLASSES) * 4, "bf": normal(CLASSES)}
    for i in "12":
        w["g" + i] = rng.uniform(0.2, 2, WIDE) * rng.choice([-1, 1], WIDE) if scaled else np.ones(WIDE)
        w["s" + i], w["m" + i], w["v" + i] = normal(WIDE), normal(WIDE), rng.uniform(0.5, 2, WIDE)
    return {k: v.astype(np.float32) for k, v in w.items()}


def model(path, w, normalized):
    conv = lambda x, k, y, *b: helper.make_node("Conv", [x, k, *b], [y], name=k, pads=[1, 1, 1, 1])
    norm = lambda x, i, y: helper.make_node("BatchNormalization", [x, "g" + i, "s" + i, "m" + i, "v" + i], [y])
    nodes = [conv("x", "w1", "a"), norm("a", "1", "a1"), helper.make_node("Relu", ["a1"], ["s"]),
             conv("s", "w2", "b"), norm("b", "2", "b1"), helper.make_node("Add", ["b1", "s"], ["b2"]),
             helper.make_node("Relu", ["b2"], ["t"]), conv("t", "w3", "c", "b3"), helper.make_node("Relu", ["c"], ["u"]),
             helper.make_node("GlobalAveragePool", ["u"], ["p"]), helper.make_node("Flatten", ["p"], ["f"]),
             helper.make_node("Gemm", ["f", "wf", "bf"], ["y"], name="wf")]
    if not normalized:
        nodes = [n for n in nodes if n.op_type != "BatchNormalization"]
        for n in nodes:
            n.input[:] = [{"a1": "a", "b1": "b"}.get(i, i) for i in n.input]
    used = {i for n in nodes for i in n.input}
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, EDGE, EDGE])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", CLASSES])
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(v, k) for k, v in w.items() if k in used])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def conv(x, w):
    """3×3 with a border of zeros: windows against weights."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return sum(np.einsum("nchw,oc->nohw", padded[:, :, i:i + EDGE, j:j + EDGE], w[:, :, i, j])
               for i in range(3) for j in range(3))


def column(v):
    return v[None, :, None, None]


def folded(w, i):
    return w["w" + i].astype(float) * (w["g" + i] / np.sqrt(w["v" + i] + 1e-5))[:, None, None, None]


def forward(w, x, wide=np.ones(WIDE), narrow=np.ones(NARROW)):
    """Logits, with gates on what layers read; and what they read."""
    d = {k: v.astype(float) for k, v in w.items()}
    norm = lambda y, i: column(d["g" + i]) * (y - column(d["m" + i])) / np.sqrt(column(d["v" + i]) + 1e-5) \
        + column(d["s" + i])
    s = np.maximum(norm(conv(x, d["w1"]), "1"), 0)
    t = np.maximum(norm(conv(s * column(wide), d["w2"]), "2") + s, 0)
    f = np.maximum(conv(t * column(wide), d["w3"]) + column(d["b3"]), 0).mean((2, 3))
    return (f * narrow) @ d["wf"] + d["bf"], s, t, f


def log_chances(y):
    y = y - y.max(1, keepdims=True)
    return y - np.log(np.exp(y).sum(1, keepdims=True))


def slopes(w, x, n, at):
    """d log p / d gate: [units][samples][classes], by double precision."""
    step, out = 1e-5, []
    for u in range(n):
        gate = np.ones(n)
        sides = []
        for sign in 1, -1:
            gate[u] = 1 + sign * step
            sides.append(log_chances(forward(w, x, **{at: gate})[0]))
        out.append((sides[0] - sides[1]) / (2 * step))
    return np.array(out)


def scores(w, x, labels):
    """By criterion: of the stream's units, and of the last convolution's."""
    rows = [np.concatenate([folded(w, i).reshape(WIDE, -1) for i in "12"], 1), w["w3"].astype(float).reshape(NARROW, -1)]
    y, s, t, f = forward(w, x)
    p = np.exp(log_chances(y))
    d = [slopes(w, x, WIDE, "wide"), slopes(w, x, NARROW, "narrow")]
    far = lambda r: np.sqrt(((r[:, None] - r[None]) ** 2).sum(2)).sum(1)
    right = lambda j: np.abs(j[:, np.arange(len(x)), labels]).mean(1)
    return {"l1": [np.abs(r).sum(1) for r in rows], "l2": [(r ** 2).sum(1) for r in rows],
            "fpgm": [far(r) for r in rows],
            "batchnorm": [np.abs(w["g1"]) + np.abs(w["g2"]), None],
            "activation": [(s.mean((0, 2, 3)) + t.mean((0, 2, 3))) / 2, f.mean(0)],
            "taylor": [right(j) for j in d], "taylor without labels": [(p * np.abs(j)).sum(2).mean(1) for j in d],
            "fisher": [(p * j ** 2).sum(2).mean(1) for j in d]}


def apply(box, layer, share, by):
    at = lambda name: os.path.join(box, name)
    with open(at("r.pare"), "w", encoding="utf-8") as f:
        f.write(f"pare 1\nmodel m.onnx\ndata data.conf\nprune {layer} channels {share}% by {by} repair none\n")
    run = subprocess.run([PARE, "apply", at("r.pare"), "-o", at("out.onnx")], capture_output=True, text=True)
    if run.returncode:
        return run.stderr
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(at("out.onnx")).graph.initializer}


def kept(stored, w, layer):
    """Channels of the float network that are left, by their weights."""
    first = next(v for k, v in stored.items() if v.ndim == 4 and v.shape[1] == 3)
    last = next(v for k, v in stored.items() if v.ndim == 2)
    left, all_rows = (first, folded(w, "1")) if layer == "w1" else (last, w["wf"].astype(float))
    left, all_rows = left.reshape(len(left), -1), all_rows.reshape(len(all_rows), -1)
    return {int(np.argmin(((all_rows - r) ** 2).sum(1))) for r in left}


def check(box, w, want, by, name):
    for layer, score in zip(("w1", "w3"), want[name]):
        if score is None:
            continue
        for share in 25, 50, 75:
            gone = round(len(score) * share / 100)
            least = set(np.argsort(score)[:gone].tolist())
            stored = apply(box, layer, share, by)
            if isinstance(stored, str):
                print("# " + stored)
                ok(False, f"{name}, {layer}: it runs")
                continue
            stay = kept(stored, w, layer)
            good = stay == set(range(len(score))) - least
            if not good:
                print(f"# {sorted(stay)} stay, not {sorted(set(range(len(score))) - least)}; {score}")
            ok(good, f"{name}, {layer} at {share} %: as numpy has it")


def main():
    rng = np.random.default_rng(5)
    w = network(rng, True)
    x = rng.standard_normal((SAMPLES * 2, 3, EDGE, EDGE)).astype(np.float32)
    labels = rng.integers(0, CLASSES, len(x))
    want = scores(w, x[:SAMPLES].astype(float), labels[:SAMPLES])
    with tempfile.TemporaryDirectory() as box:
        at = lambda name: os.path.join(box, name)
        np.save(at("x.npy"), x)
        np.save(at("y.npy"), labels.astype(np.int64))
        model(at("m.onnx"), w, True)
        conf = f"samples x.npy\nsplit calibrate 0:{SAMPLES} evaluate {SAMPLES}:\n"
        with open(at("data.conf"), "w", encoding="utf-8") as f:
            f.write(conf + "labels y.npy\n")
        for by in "l1", "l2", "fpgm", "batchnorm", "activation", "taylor", "fisher":
            check(box, w, want, by, by)
        with open(at("data.conf"), "w", encoding="utf-8") as f:
            f.write(conf)
        check(box, w, want, "taylor", "taylor without labels")
        model(at("m.onnx"), w, False)
        why = apply(box, "w1", 50, "batchnorm")
        ok(isinstance(why, str) and "BatchNormalization" in why, "a file without BatchNormalization is told so")
    print(f"1..{done}")


main()
