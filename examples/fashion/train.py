#!/usr/bin/env python3
"""Make the built-in example: train a small network on Fashion-MNIST, write model.onnx, pack data.

    python3 -m pip install torch onnx onnxruntime
    python3 examples/fashion/train.py

Needs the data of Debian's dataset-fashion-mnist (or the same four files elsewhere: --images DIR).
"""
import argparse
import gzip
import pathlib
import time

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
SCALE, MEAN, STD = 1 / 255, 0.286, 0.353  # as data.conf says it
N_TEST, N_TRAIN = 2000, 1024  # what the repository keeps


def read_idx(path):
    raw = gzip.open(path).read()
    dims = np.frombuffer(raw, ">u4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * len(dims)).reshape(dims)


def load(folder, which):
    return (read_idx(folder / f"{which}-images-idx3-ubyte.gz"),
            read_idx(folder / f"{which}-labels-idx1-ubyte.gz"))


def normalize(x):
    return ((x[:, None].astype(np.float32) * np.float32(SCALE) - np.float32(MEAN)) / np.float32(STD))


# The network, once, as data: a convolution is (name, inputs, outputs, kernel, stride, groups).  Each
# is followed by its BatchNormalization; `relu` says whether a Relu follows that.
STEM = ("stem", 1, 24, 3, 1, 1)
BLOCKS = [
    # (branch, shortcut): the branch's output is added to the shortcut's (None: no addition,
    # []: the block's own input); the sum goes through Relu.
    ([("block1_conv1", 24, 24, 3, 1, 1), ("block1_conv2", 24, 24, 3, 1, 1)], []),
    ([("block2_conv1", 24, 40, 3, 1, 1), ("block2_conv2", 40, 40, 3, 1, 1)],
     [("block2_short", 24, 40, 1, 1, 1)]),
    ([("block3_dw", 40, 40, 3, 2, 40), ("block3_pw", 40, 64, 1, 1, 1)], None),
    ([("block4_dw", 64, 64, 3, 1, 64), ("block4_pw", 64, 64, 1, 1, 1)], []),
    ([("block5_expand", 64, 128, 1, 1, 1), ("block5_dw", 128, 128, 3, 1, 128),
      ("block5_project", 128, 64, 1, 1, 1)], []),
]
WIDTH, CLASSES = 64, 10


def all_convs():
    yield STEM
    for branch, shortcut in BLOCKS:
        yield from branch
        yield from shortcut or []


def train(folder, epochs, batch, threads):
    import torch
    import torch.nn.functional as F
    from torch import nn

    torch.manual_seed(1)
    torch.set_num_threads(threads)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.ModuleDict(), nn.ModuleDict()
            for name, n_in, n_out, kernel, stride, groups in all_convs():
                self.conv[name] = nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2,
                                            groups=groups, bias=False)
                self.bn[name] = nn.BatchNorm2d(n_out)
            self.fc = nn.Linear(WIDTH, CLASSES)

        def step(self, x, conv):
            return self.bn[conv[0]](self.conv[conv[0]](x))

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.step(x, STEM)), 2)
            for branch, shortcut in BLOCKS:
                y = x
                for i, conv in enumerate(branch):
                    y = self.step(F.relu(y) if i else y, conv)
                if shortcut is not None:
                    for conv in shortcut:
                        x = self.step(x, conv)
                    y = y + x
                x = F.relu(y)
            return self.fc(x.mean((2, 3)))

    def augment(x, rng):
        """Mirror half of the images and move each by up to two pixels."""
        n = len(x)
        x = torch.where(torch.rand(n, 1, 1, 1, generator=rng) < 0.5, x.flip(3), x)
        pad = F.pad(x, (2, 2, 2, 2), value=-MEAN / STD)
        dy, dx = torch.randint(0, 5, (2, n, 1), generator=rng)
        rows, cols = torch.arange(28) + dy, torch.arange(28) + dx
        return pad[torch.arange(n)[:, None, None], 0, rows[:, :, None], cols[:, None, :]][:, None]

    x, y = load(folder, "train")
    x, y = torch.from_numpy(normalize(x)), torch.from_numpy(y.astype(np.int64))
    tx, ty = load(folder, "t10k")
    tx, ty = torch.from_numpy(normalize(tx)), torch.from_numpy(ty.astype(np.int64))
    net = Net()
    steps = epochs * (len(x) // batch)
    opt = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    plan = torch.optim.lr_scheduler.OneCycleLR(opt, 0.15, total_steps=steps, pct_start=0.25)
    rng = torch.Generator().manual_seed(2)
    start = time.time()
    for epoch in range(epochs):
        net.train()
        order, total = torch.randperm(len(x), generator=rng), 0.0
        for at in range(0, len(x) - batch + 1, batch):
            pick = order[at:at + batch]
            loss = F.cross_entropy(net(augment(x[pick], rng)), y[pick])
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()
            plan.step()
            total += loss.item()
        net.eval()
        with torch.no_grad():
            right = sum((net(tx[i:i + 500]).argmax(1) == ty[i:i + 500]).sum().item()
                        for i in range(0, len(tx), 500))
        print(f"epoch {epoch + 1}/{epochs}  loss {total / (len(x) // batch):.4f}  "
              f"test {right / len(tx):.2%}  {time.time() - start:.0f} s", flush=True)
    return {k: v.numpy() for k, v in net.state_dict().items()}


def export(weights, path):
    nodes, inits = [], []

    def constant(name, array):
        inits.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def node(op, inputs, name, **attributes):
        nodes.append(helper.make_node(op, inputs, [f"{name}_out"], name, **attributes))
        return f"{name}_out"

    def conv_bn(x, conv, relu):
        name, _, _, kernel, stride, groups = conv
        w = constant(f"{name}_weight", weights[f"conv.{name}.weight"])
        x = node("Conv", [x, w], name, kernel_shape=[kernel] * 2, strides=[stride] * 2,
                 pads=[kernel // 2] * 4, group=groups)
        bn = [constant(f"{name}_bn_{to}", weights[f"bn.{name}.{of}"]) for of, to in
              (("weight", "scale"), ("bias", "bias"), ("running_mean", "mean"), ("running_var", "var"))]
        x = node("BatchNormalization", [x] + bn, f"{name}_bn", epsilon=1e-5)
        return node("Relu", [x], f"{name}_relu") if relu else x

    x = node("MaxPool", [conv_bn("image", STEM, True)], "pool", kernel_shape=[2, 2], strides=[2, 2])
    for branch, shortcut in BLOCKS:
        y = x
        for conv in branch:
            y = conv_bn(y, conv, shortcut is None or conv is not branch[-1])
        if shortcut is not None:
            for conv in shortcut:
                x = conv_bn(x, conv, False)
            block = branch[0][0].split("_")[0]
            y = node("Relu", [node("Add", [y, x], f"{block}_add")], f"{block}_relu")
        x = y
    x = node("GlobalAveragePool", [x], "average")
    x = node("Flatten", [x], "flatten", axis=1)
    nodes.append(helper.make_node(
        "Gemm", [x, constant("fc_weight", weights["fc.weight"]),
                 constant("fc_bias", weights["fc.bias"])], ["logits"], "fc", transB=1))
    graph = helper.make_graph(
        nodes, "fashion", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])], inits)
    model = helper.make_model(graph, producer_name="pare examples/fashion/train.py", ir_version=8,
                              opset_imports=[helper.make_opsetid("", 13)])
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    params = sum(int(np.prod(i.dims)) for i in inits)
    print(f"{path.name}: {params} values, {path.stat().st_size} bytes")


def measure(path, folder):
    import onnxruntime

    run = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run
    x, y = load(folder, "t10k")
    right = run(None, {"image": normalize(x)})[0].argmax(1) == y
    print(f"accuracy: {right.mean():.2%} of {len(y)}, {right[:N_TEST].mean():.2%} of the first {N_TEST}")


def pack(folder):
    for which, count, name in (("t10k", N_TEST, "test.npz"), ("train", N_TRAIN, "train.npz")):
        x, y = load(folder, which)
        np.savez_compressed(HERE / name, x=x[:count], y=y[:count])


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--images", type=pathlib.Path, default="/usr/share/datasets/fashion-mnist",
                      help="the folder with the four .gz files")
    args.add_argument("--epochs", type=int, default=15)
    args.add_argument("--batch", type=int, default=128)
    args.add_argument("--threads", type=int, default=2)
    args = args.parse_args()
    export(train(args.images, args.epochs, args.batch, args.threads), HERE / "model.onnx")
    pack(args.images)
    measure(HERE / "model.onnx", args.images)


if __name__ == "__main__":
    main()
