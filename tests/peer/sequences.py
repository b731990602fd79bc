"""Attention and recurrent networks with random weights, as exporters write them."""
import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEADS, TOKENS, HIDDEN = 24, 4, 9, 10


class Graph:
    def __init__(self):
        self.nodes, self.constants, self.random = [], [], np.random.default_rng(1)

    def constant(self, values):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def weight(self, *shape):
        return self.constant((self.random.standard_normal(shape) * 0.3).astype(np.float32))

    def op(self, kind, *inputs, outputs=1, domain="", **attributes):
        out = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), out, name=out[0], domain=domain, **attributes))
        return out[0] if outputs == 1 else out

    def line(self, x, k, n):
        return self.op("Add", self.op("MatMul", x, self.weight(k, n)), self.weight(n))

    def write(self, path, y, shape):
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"] + shape)
        out = helper.make_tensor_value_info(y, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "g", [x], [out], self.constants)
        opsets = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)


def block(g, attention):
    """An encoder's block; only its width inside and its heads can go."""
    norm = lambda x: g.op("LayerNormalization", x, g.weight(WIDTH), g.weight(WIDTH), axis=-1)
    x = norm(g.op("Add", attention(g, "x"), "x"))
    return norm(g.op("Add", g.line(g.op("Gelu", g.line(x, WIDTH, 40)), 40, WIDTH), x))


def sized(g, x, *last):
    """The list of sizes that PyTorch computes for view(N, T, ...): those of the batch out of Shape."""
    shape = g.op("Shape", x)
    first = [g.op("Unsqueeze", g.op("Gather", shape, g.constant(np.int64(i)), axis=0), g.constant(np.array([0])))
             for i in (0, 1)]
    return g.op("Concat", *first, *(g.constant(np.array([n])) for n in last), axis=0)


def attend(g, q, k, v):
    q, v = g.op("Transpose", q, perm=[0, 2, 1, 3]), g.op("Transpose", v, perm=[0, 2, 1, 3])
    scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 2, 3, 1]))
    scores = g.op("Softmax", g.op("Div", scores, g.constant(np.float32(2.4))), axis=-1)
    return g.op("Transpose", g.op("MatMul", scores, v), perm=[0, 2, 1, 3])


def spelt(g, x):
    """BERT's, its sizes computed, one list for all three."""
    sizes = sized(g, x, HEADS, WIDTH // HEADS)
    a = attend(g, *(g.op("Reshape", g.line(x, WIDTH, WIDTH), sizes) for _ in range(3)))
    return g.line(g.op("Reshape", a, sized(g, x, WIDTH)), WIDTH, WIDTH)


def standard(g, x):
    """ONNX's own, heads packed in the last axis."""
    q, k, v = (g.line(x, WIDTH, WIDTH) for _ in range(3))
    return g.line(g.op("Attention", q, k, v, q_num_heads=HEADS, kv_num_heads=HEADS), WIDTH, WIDTH)


def apart(g, x):
    """ONNX's own, heads on an axis of their own."""
    split = lambda y, n: g.op("Transpose", g.op("Reshape", y, g.constant(np.array([0, 0, n, -1]))), perm=[0, 2, 1, 3])
    q = split(g.line(x, WIDTH, WIDTH), HEADS)
    k, v = (split(g.line(x, WIDTH, WIDTH), HEADS) for _ in range(2))
    a = g.op("Transpose", g.op("Attention", q, k, v), perm=[0, 2, 1, 3])
    return g.line(g.op("Reshape", a, g.constant(np.array([0, 0, -1]))), WIDTH, WIDTH)


def shared(g, x):
    """Two heads of queries share one of keys and values."""
    q, k, v = g.line(x, WIDTH, WIDTH), g.line(x, WIDTH, WIDTH // 2), g.line(x, WIDTH, WIDTH // 2)
    return g.line(g.op("Attention", q, k, v, q_num_heads=HEADS, kv_num_heads=HEADS // 2), WIDTH, WIDTH)


def microsoft(g, x):
    a = g.op("Attention", x, g.weight(WIDTH, 3 * WIDTH), g.weight(3 * WIDTH), domain="com.microsoft", num_heads=HEADS)
    return g.line(a, WIDTH, WIDTH)


def microsoft_apart(g, x):
    q, k, v = (g.line(x, WIDTH, WIDTH) for _ in range(3))
    return g.line(g.op("MultiHeadAttention", q, k, v, domain="com.microsoft", num_heads=HEADS), WIDTH, WIDTH)


def recurrent(g, kind, gates, directions):
    """As PyTorch writes it: time first, states of zeros out of the batch's size, two layers, both directions side by
    side, the last step into a dense layer."""
    x, features = g.op("Transpose", "x", perm=[1, 0, 2]), WIDTH
    batch = g.op("Unsqueeze", g.op("Gather", g.op("Shape", "x"), g.constant(np.int64(0)), axis=0),
                 g.constant(np.array([0])))
    sizes = g.op("Concat", g.constant(np.array([directions])), batch, g.constant(np.array([HIDDEN])), axis=0)
    zeros = g.op("ConstantOfShape", sizes)
    for _ in range(2):
        w = [g.weight(directions, gates * HIDDEN, n) for n in (features, HIDDEN)]
        states = [zeros] * (2 if kind == "LSTM" else 1)
        y = g.op(kind, x, *w, g.weight(directions, 2 * gates * HIDDEN), "", *states, hidden_size=HIDDEN,
                 direction="bidirectional" if directions > 1 else "forward",
                 **({"linear_before_reset": 1} if kind == "GRU" else {}))
        y = g.op("Transpose", y, perm=[0, 2, 1, 3])
        x = g.op("Reshape", y, g.constant(np.array([0, 0, -1])))
        features = directions * HIDDEN
    last = g.op("Gather", x, g.constant(np.int64(-1)), axis=0)
    return g.op("Gemm", last, g.weight(features, 3), g.weight(3))


def write(folder):
    """All of them: path, inputs."""
    x = {"x": np.random.default_rng(2).standard_normal((1, TOKENS, WIDTH)).astype(np.float32)}
    out = []

    def add(name, graph, y):
        path = os.path.join(folder, name + ".onnx")
        graph.write(path, y, [TOKENS, WIDTH])
        out.append((path, x))

    for attention in spelt, standard, apart, shared, microsoft, microsoft_apart:
        g = Graph()
        add("attention_" + attention.__name__, g, block(g, attention))
    for kind, gates in ("LSTM", 4), ("GRU", 3), ("RNN", 1):
        for directions in 1, 2:
            g = Graph()
            add(f"{kind.lower()}_{directions}", g, recurrent(g, kind, gates, directions))
    return out
