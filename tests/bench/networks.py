"""Networks with random weights, for `make bench` to time: what people run, where no file is at hand.

    networks.py PARE FOLDER      writes FOLDER/NAME/model.onnx, unless it is there
"""
import os
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    def __init__(self):
        self.nodes, self.constants = [], []
        self.random = np.random.default_rng(0)

    def constant(self, values):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def weight(self, *shape, deviation):
        return self.constant((self.random.standard_normal(shape) * deviation).astype(np.float32))

    def op(self, kind, *inputs, outputs=1, **attributes):
        out = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), out, name=out[0], **attributes))
        return out[0]

    def conv(self, x, c, o, kernel, stride=1, groups=1):
        w = self.weight(o, c // groups, kernel, kernel, deviation=(2 / (c // groups * kernel**2)) ** 0.5)
        return self.op("Conv", x, w, self.weight(o, deviation=0.1), kernel_shape=[kernel] * 2,
                       strides=[stride] * 2, pads=[kernel // 2] * 4, group=groups)

    def dense(self, x, c, o):
        return self.op("Gemm", x, self.weight(o, c, deviation=c**-0.5), self.weight(o, deviation=0.1), transB=1)

    def classify(self, x, c, o):
        return self.dense(self.op("Flatten", self.op("GlobalAveragePool", x)), c, o)

    def write(self, path, y, shape, answer):
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"] + shape)]
        outputs = [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["N"] + answer)]
        graph = helper.make_graph(self.nodes, "random", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        onnx.save(model, path)


def residual(g, x, blocks, c):
    """Basic blocks of ResNet: (channels, stride) each."""
    for o, stride in blocks:
        y = g.op("Relu", g.conv(x, c, o, 3, stride))
        y = g.conv(y, o, o, 3)
        if stride != 1 or c != o:
            x = g.conv(x, c, o, 1, stride)
        x, c = g.op("Relu", g.op("Add", y, x)), o
    return x, c


def resnet18(path):
    g = Graph()
    x = g.op("Relu", g.conv("x", 3, 64, 7, 2))
    x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    x, c = residual(g, x, [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)], 64)
    g.write(path, g.classify(x, c, 1000), [3, 224, 224], [1000])


def resnet20(path):
    g = Graph()
    x = g.op("Relu", g.conv("x", 3, 16, 3))
    x, c = residual(g, x, [(16, 1)] * 3 + [(32, 2)] + [(32, 1)] * 2 + [(64, 2)] + [(64, 1)] * 2, 16)
    g.write(path, g.classify(x, c, 10), [3, 32, 32], [10])


def mobilenetv2(path):
    g = Graph()
    low, high = g.constant(np.float32(0)), g.constant(np.float32(6))
    relu6 = lambda x: g.op("Clip", x, low, high)
    x, c = relu6(g.conv("x", 3, 32, 3, 2)), 32
    for times, o, n, first in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                               (6, 160, 3, 2), (6, 320, 1, 1)]:
        for stride in [first] + [1] * (n - 1):
            y, wide = x, c * times
            if times > 1:
                y = relu6(g.conv(y, c, wide, 1))
            y = g.conv(relu6(g.conv(y, wide, wide, 3, stride, wide)), wide, o, 1)
            x = g.op("Add", y, x) if stride == 1 and c == o else y
            c = o
    x = relu6(g.conv(x, c, 1280, 1))
    g.write(path, g.classify(x, 1280, 1000), [3, 224, 224], [1000])


def encoder(path, layers=6, heads=12, width=384, tokens=128):
    """MiniLM behind its embeddings, attention and Gelu spelt out."""
    g = Graph()

    def line(x, c, o):
        return g.op("Add", g.op("MatMul", x, g.weight(c, o, deviation=c**-0.5)), g.weight(o, deviation=0.1))

    def norm(x):
        one, zero = g.constant(np.ones(width, np.float32)), g.constant(np.zeros(width, np.float32))
        return g.op("LayerNormalization", x, one, zero, axis=-1)

    def gelu(x):
        e = g.op("Erf", g.op("Div", x, g.constant(np.float32(2**0.5))))
        return g.op("Mul", g.op("Mul", x, g.op("Add", e, g.constant(np.float32(1)))), g.constant(np.float32(0.5)))

    def attention(x):
        split = g.constant(np.array([0, tokens, heads, width // heads]))
        q, k, v = (g.op("Reshape", line(x, width, width), split) for _ in range(3))
        q, v = g.op("Transpose", q, perm=[0, 2, 1, 3]), g.op("Transpose", v, perm=[0, 2, 1, 3])
        a = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 2, 3, 1]))
        a = g.op("Softmax", g.op("Div", a, g.constant(np.float32((width / heads) ** 0.5))), axis=-1)
        a = g.op("Transpose", g.op("MatMul", a, v), perm=[0, 2, 1, 3])
        return line(g.op("Reshape", a, g.constant(np.array([0, tokens, width]))), width, width)

    x = "x"
    for _ in range(layers):
        x = norm(g.op("Add", attention(x), x))
        x = norm(g.op("Add", line(gelu(line(x, width, 4 * width)), 4 * width, width), x))
    g.write(path, x, [tokens, width], [tokens, width])


def lstm(path, layers=2, hidden=128, steps=100, features=40):
    g = Graph()
    x, c = g.op("Transpose", "x", perm=[1, 0, 2]), features
    for _ in range(layers):
        w = (g.weight(1, 4 * hidden, n, deviation=hidden**-0.5) for n in (c, hidden))
        b = g.weight(1, 8 * hidden, deviation=hidden**-0.5)
        x = g.op("Squeeze", g.op("LSTM", x, *w, b, hidden_size=hidden), g.constant(np.array([1])))
        c = hidden
    last = g.op("Gather", x, g.constant(np.array(-1)), axis=0)
    g.write(path, g.dense(last, hidden, 10), [steps, features], [10])


def stack(path, depth):
    """Layers alike: `depth` times the work of one."""
    g, x, c = Graph(), "x", 16
    for _ in range(depth):
        x = g.op("Relu", g.conv(x, c, 16, 3))
    g.write(path, x, [16, 32, 32], [16, 32, 32])


def odd(path, pare, folder):
    """resnet20 after pare has taken channels away, 11, 21 and 41 stay of 16, 32 and 64."""
    recipe = os.path.join(folder, "odd.pare")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(recipe, "w", encoding="utf-8") as f:
        f.write("pare 1\nmodel resnet20_random/model.onnx\nprune * channels 36% by l2 repair none\n")
    subprocess.run([pare, "apply", recipe, "-o", path], check=True, stdout=subprocess.DEVNULL)


def main():
    pare, folder = sys.argv[1], sys.argv[2]
    at = lambda name: os.path.join(folder, name, "model.onnx")
    made = {"mobilenetv2_224": mobilenetv2, "resnet18_224": resnet18, "minilm_encoder": encoder, "lstm": lstm,
            "resnet20_random": resnet20, "resnet20_odd": lambda path: odd(path, pare, folder)}
    made.update({f"stack_{n}": lambda path, n=n: stack(path, n) for n in (3, 30, 300)})
    for name, make in made.items():
        if not os.path.exists(at(name)):
            make(at(name))


main()
