"""TAP: layers in two lose what numpy's singular values say, and ONNX Runtime runs them with pare's accuracy."""
import os
import tempfile

import numpy as np
import onnx
import onnxruntime

import peer
from faithful import ROOT, finish, ok, pare

EXAMPLE = os.path.join(ROOT, "examples", "fashion")
MODEL, DATA = os.path.join(EXAMPLE, "model.onnx"), os.path.join(EXAMPLE, "data.conf")
LAYER, SAMPLES, LIMIT = "block2_conv2", 256, 500
WHOLE = {
    "in space": ["prune * rank 40%"],
    "across channels": ["prune * rank 30% split channel"],
    "spread": ["prune * rank spread 40%"],
    "spread, W8A8": ["prune * rank spread 40%", "set * weights int8 activations int8"],
    "with zeros, W4A8": ["prune * rank 30%", "prune * weights 40% by obs", "set * weights int4 activations int8"],
    "fewer channels": ["prune * channels 20%", "prune op=Conv rank 25%"],
}


def apply(lines, box):
    recipe, out = os.path.join(box, "r.pare"), os.path.join(box, "out.onnx")
    with open(recipe, "w", encoding="utf-8") as f:
        f.write("\n".join(["pare 1", f"model {MODEL}", f"data {DATA} calibrate 0:{SAMPLES} evaluate 0:{LIMIT}", *lines, ""]))
    return out, pare("apply", recipe, "-o", out)


def layer_output(path, x):
    """What the layer gives, before what follows it: [values, channels]."""
    m = onnx.load(path)
    name = next(n.output[0] for n in m.graph.node if n.name == LAYER)
    m.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"])
    y = session.run([name], {session.get_inputs()[0].name: x})[0].astype(np.float64)
    return np.moveaxis(y, 1, -1).reshape(-1, y.shape[1])


def parts(path, names=(f"{LAYER}.rank", LAYER)):
    held = {t.name: onnx.numpy_helper.to_array(t).astype(np.float64) for t in onnx.load(path).graph.initializer}
    nodes = {n.name: n for n in onnx.load(path).graph.node}
    return [held[nodes[name].input[1]] for name in names]


def tail(matrix, rank):
    return (np.linalg.svd(matrix, compute_uv=False)[rank:] ** 2).sum()


def float_file(box):
    """The network as pare has it, normalizations folded into the layers before them."""
    whole = os.path.join(box, "float.onnx")
    os.rename(apply(["set * weights float32"], box)[0], whole)
    return whole


def plain(whole, box):
    was = parts(whole, [LAYER])[0]
    for split in ("channel", "spatial"):
        a, b = parts(apply([f"prune {LAYER} rank 50% by plain split {split}"], box)[0])
        if split == "channel":
            now, matrix = np.einsum("or,rcij->ocij", b[:, :, 0, 0], a), was.reshape(len(was), -1)
        else:
            now = np.einsum("orj,rci->ocij", b[:, :, 0], a[..., 0])
            matrix = was.transpose(1, 2, 0, 3).reshape(was.shape[1] * 3, -1)
        lost, least = ((was - now) ** 2).sum(), tail(matrix, len(a))
        ok(abs(lost - least) < 1e-4 * least, f"{split}: {lost:.6f} of the weights is lost, numpy says {least:.6f}")


def whitened(whole, box):
    conf = peer.read_conf(DATA)
    with np.load(os.path.join(EXAMPLE, conf["train"][0])) as train:
        x = peer.inputs(conf, train["x"][:SAMPLES], (1, 28, 28))
    y = layer_output(whole, x)
    lost = {}
    for split in ("channel", "spatial"):
        for by in ("plain", "whitened"):
            out, _ = apply([f"prune {LAYER} rank 50% by {by} split {split}"], box)
            lost[split, by] = ((layer_output(out, x) - y) ** 2).sum() / len(y)
    rank = len(parts(apply([f"prune {LAYER} rank 50% split channel"], box)[0])[0])
    least = tail((y - y.mean(0)) / np.sqrt(len(y)), rank)
    ok(least * 0.999 < lost["channel", "whitened"] < least * 1.01,
       f"channel: {lost['channel', 'whitened']:.5f} of what leaves the layer is lost, numpy says {least:.5f}")
    for split in ("channel", "spatial"):
        ok(lost[split, "whitened"] < lost[split, "plain"],
           f"{split}: whitened loses {lost[split, 'whitened']:.4f}, plain {lost[split, 'plain']:.4f}")


def agrees(name, lines, box):
    conf, x, y = peer.load(DATA)
    out, said = apply(lines, box)
    if not said:
        return ok(False, f"{name}: refused")
    value = 100 * float((peer.answers(out, conf, x[:LIMIT]).argmax(1) == y[:LIMIT]).mean())
    ok(abs(value - said["value"]) <= 0.05, f"{name}: {value:.2f} in ONNX Runtime, {said['value']:.2f} said")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as box:
        whole = float_file(box)
        plain(whole, box)
        whitened(whole, box)
        for name, lines in WHOLE.items():
            agrees(name, lines, box)
    finish()
