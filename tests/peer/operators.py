#!/usr/bin/env python3
"""Random networks of one node, in pare and in ONNX Runtime: do they give the same numbers?

    tests/peer/operators.py ./pare [-n 20] [--seed 1] [--keep FOLDER] [OPERATOR…]

For each operator, n cases of random shapes, attributes, opsets and types.  A case agrees, differs,
is refused by pare (which says why), or means nothing to ONNX Runtime.  Exits with 1 when one
differs; those are kept in FOLDER.  Run by hand: wants python3 with numpy, onnx, onnxruntime."""
import argparse
import collections
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper, numpy_helper

ort.set_default_logger_severity(4)
MS = "com.microsoft"
CASES = {}


class Case:
    """What a generator says: inputs are arrays, None where absent; `const` are initializers."""

    def __init__(self, inputs, attrs=None, opset=17, outputs=1, const=(), op=None, domain="", rtol=1e-4,
                 atol=1e-5, off=0, unnamed=()):
        self.inputs, self.attrs, self.opset, self.outputs = inputs, attrs or {}, opset, outputs
        self.const, self.op, self.domain = set(const), op, domain
        self.rtol, self.atol, self.off, self.unnamed = rtol, atol, off, unnamed


def case(*names):
    def add(fn):
        for name in names:
            CASES[name] = fn
        return fn

    return add


# ---- random things --------------------------------------------------------------------------

R = np.random.default_rng(1)


def pick(*choices):
    return choices[R.integers(len(choices))]


def maybe(x, p=0.5):
    return x if R.random() < p else None


def some(**attrs):
    """A random half of them."""
    return {k: v for k, v in attrs.items() if v is not None and R.random() < 0.6}


def shape(low=1, high=4, most=5):
    return tuple(int(d) for d in R.integers(1, most + 1, R.integers(low, high + 1)))


def floats(s, dtype=np.float32):
    return np.asarray(R.standard_normal(s), dtype)


def whole(s, low=-5, high=6, dtype=np.int64):
    return np.asarray(R.integers(low, high, s), dtype)


def numbers(s, types=(np.float32,)):
    t = pick(*types)
    return floats(s, t) if np.issubdtype(t, np.floating) else whole(s, 0 if t(0) - 1 > 0 else -5, 6, t)


def spread(s):
    """A shape that broadcasts with s."""
    s = tuple(d if R.random() < 0.7 else 1 for d in s)
    return s[R.integers(0, len(s) + 1):]


ALL = (np.float32, np.float64, np.int32, np.int64)
REAL = (np.float32, np.float32, np.float16, np.float64)

# ---- element by element ---------------------------------------------------------------------


@case("Abs", "Neg", "Sign", "Relu")
def numeric(op):
    return Case([numbers(shape(0), ALL)], opset=pick(13, 14, 17))


@case("Ceil", "Floor", "Round", "Exp", "Sigmoid", "Tanh", "Erf", "Sin", "Cos", "Softplus", "Softsign",
      "HardSwish", "Reciprocal", "Tan", "Atan", "Sinh", "Cosh", "Asinh", "Identity", "IsNaN", "IsInf")
def unary(op):
    x = floats(shape(0), pick(*REAL) if op in ("Exp", "Sigmoid", "Tanh", "Identity") else np.float32)
    if op in ("IsNaN", "IsInf") and x.size:
        x = np.where(R.random(x.shape) < 0.3, np.float32(pick(np.inf, -np.inf, np.nan)), x)
    return Case([np.asarray(x)], opset=pick(14, 17, 20), rtol=2e-3 if x.dtype == np.float16 else 1e-4)


@case("Log", "Sqrt", "Acosh", "Acos", "Asin", "Atanh")
def positive(op):
    x = np.abs(floats(shape(0)))
    return Case([np.float32(1) + x if op == "Acosh" else np.asarray(x % 0.99, np.float32)])


@case("Elu", "LeakyRelu", "ThresholdedRelu", "Celu", "Selu", "HardSigmoid", "Shrink", "Gelu", "Mish")
def tuned(op):
    names = {"Selu": ("alpha", "gamma"), "HardSigmoid": ("alpha", "beta"), "Shrink": ("lambd", "bias"),
             "Gelu": (), "Mish": ()}
    attrs = {k: float(R.random() + 0.1) for k in names.get(op, ("alpha",)) if R.random() < 0.7}
    if op == "Gelu":
        attrs = some(approximate=pick("none", "tanh"))
    return Case([floats(shape())], attrs, opset=22 if op in ("Gelu", "Mish") else 16)


@case("Add", "Sub", "Mul", "Div", "Pow", "PRelu", "Mod", "Max", "Min", "Equal", "Less", "Greater",
      "LessOrEqual", "GreaterOrEqual")
def binary(op):
    s = shape(0)
    a, opset = numbers(s, (np.float32,) if op == "PRelu" else ALL), pick(13, 15, 17)
    b = np.asarray(numbers(spread(s), (a.dtype.type,)))
    if op == "Div" or op == "Mod":
        b = np.where(b == 0, np.asarray(1, b.dtype), b)
    if op == "Pow":
        a, b = np.abs(a) + np.asarray(1, a.dtype), np.abs(b)
    attrs = {"fmod": 1} if op == "Mod" and a.dtype.kind == "f" else some(fmod=1) if op == "Mod" else {}
    if op != "PRelu" and R.random() < 0.5:
        a, b = b, a
        b = np.where(b == 0, np.asarray(1, b.dtype), b) if op in ("Div", "Mod") else b
    return Case([a, b], attrs, opset, const=maybe([1]) or ())


@case("And", "Or", "Xor")
def logic(op):
    s = shape(0)
    return Case([R.random(s) < 0.5 if s else np.bool_(1), R.random(spread(s)) < 0.5])


@case("Sum", "Mean")
def several(op):
    s = shape()
    return Case([floats(s)] + [floats(spread(s)) for _ in range(R.integers(0, 4))], opset=13)


@case("Where")
def where(op):
    s = shape()
    t = pick(*ALL)
    return Case([np.asarray(R.random(spread(s)) < 0.5), numbers(s, (t,)), np.asarray(numbers(spread(s), (t,)))])


@case("Clip")
def clip(op):
    t = pick(*ALL)
    lo, hi = (np.asarray(v, t) for v in (-1, 1))
    return Case([numbers(shape(), (t,)), maybe(lo), maybe(hi)], opset=13)


@case("Cast")
def cast(op):
    types = [T.FLOAT, T.DOUBLE, T.FLOAT16, T.INT8, T.UINT8, T.INT16, T.INT32, T.INT64, T.BOOL, T.BFLOAT16]
    x = numbers(shape(), ALL)
    to = pick(*types)
    if to in (T.UINT8,):
        x = np.abs(x)
    return Case([x], {"to": to}, 19)


@case("BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot")
def bits(op):
    s, t = shape(), pick(np.uint8, np.uint32, np.uint64) if op == "BitShift" else pick(np.int32, np.uint8)
    a, b = whole(s, 0, 9, t), whole(spread(s), 0, 7, t)
    return Case([a] if op == "BitwiseNot" else [a, b],
                {"direction": pick("LEFT", "RIGHT")} if op == "BitShift" else {}, 18)


# ---- reductions, norms ----------------------------------------------------------------------


@case("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
      "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare")
def reduce(op):
    x = numbers(shape(1, 5, 4), (np.float32, np.int32) if "L" not in op else (np.float32,))
    x = np.abs(x) + np.asarray(1, x.dtype) if op == "ReduceLogSum" else x
    n = x.ndim
    axes = list(R.permutation(n)[:R.integers(1, n + 1)] - (n if R.random() < 0.3 else 0))
    opset = pick(11, 13, 18)
    attrs = some(keepdims=pick(0, 1))
    if opset >= 18 or (op == "ReduceSum" and opset >= 13):
        return Case([x, maybe(np.asarray(axes, np.int64), 0.8)],
                    {**attrs, **some(noop_with_empty_axes=pick(0, 1))}, opset, const=[1])
    return Case([x], {**attrs, **some(axes=[int(a) for a in axes])}, opset)


@case("ArgMax", "ArgMin")
def arg(op):
    x = whole(shape(1, 4), -3, 3, np.int32) if R.random() < 0.5 else floats(shape(1, 4))
    return Case([x], {"axis": int(R.integers(-x.ndim, x.ndim)), **some(keepdims=pick(0, 1),
                                                                       select_last_index=pick(0, 1))}, 13)


@case("Softmax", "LogSoftmax", "Hardmax")
def soft(op):
    x = floats(shape(1, 4))
    return Case([x], some(axis=int(R.integers(-x.ndim, x.ndim))), pick(11, 13))


@case("BatchNormalization")
def batch_norm(op):
    s = shape(2, 5)
    c = [floats((s[1],)) for _ in range(3)] + [np.abs(floats((s[1],)))]
    return Case([floats(s)] + c, some(epsilon=0.01), pick(9, 14, 15), const=[1, 2, 3, 4])


@case("InstanceNormalization")
def instance(op):
    s = shape(3, 5)
    return Case([floats(s), floats((s[1],)), floats((s[1],))], some(epsilon=0.01), rtol=1e-3)


@case("LayerNormalization", "RMSNormalization")
def layer_norm(op):
    x = floats(shape(2, 4))
    axis = int(R.integers(1, x.ndim))
    w = [floats(x.shape[axis:])]
    if op == "LayerNormalization":
        w.append(maybe(floats(x.shape[axis:])))
    return Case([x] + w, {"axis": pick(axis, axis - x.ndim), **some(epsilon=0.01)},
                23 if op[0] == "R" else 17, rtol=1e-3, atol=1e-4)


@case("GroupNormalization")
def group_norm(op):
    g = int(R.integers(1, 4))
    c = g * int(R.integers(1, 3))
    return Case([floats((2, c, 3, 2)), floats((c,)), floats((c,))], {"num_groups": g}, 21, rtol=1e-3, atol=1e-4)


@case("LRN")
def lrn(op):
    return Case([floats((2, 7, 3, 4))], {"size": pick(1, 3, 5), **some(alpha=0.1, beta=0.5, bias=2.0)})


@case("LpNormalization")
def lp(op):
    x = floats(shape(1, 4))
    return Case([x], some(axis=int(R.integers(-x.ndim, x.ndim)), p=pick(1, 2)))


# ---- windows --------------------------------------------------------------------------------


def windows(n, kernel, size, attrs):
    if R.random() < 0.3:
        attrs["auto_pad"] = pick("SAME_UPPER", "SAME_LOWER", "VALID")
    elif R.random() < 0.6:
        attrs["pads"] = [int(R.integers(0, k)) for k in kernel] * 2
    if R.random() < 0.6:
        attrs["strides"] = [int(v) for v in R.integers(1, 4, n)]
        if "auto_pad" in attrs:  # of strides beyond the kernel ONNX Runtime takes negative pads, at times
            attrs["strides"] = [min(s, k) for s, k in zip(attrs["strides"], kernel)]
    return attrs


@case("Conv", "ConvInteger", "QLinearConv")
def conv(op):
    n, g = int(R.integers(1, 4 if op == "Conv" else 3)), pick(1, 1, 2, 3)
    ci, co = g * int(R.integers(1, 4)), g * int(R.integers(1, 4))
    kernel = [int(v) for v in R.integers(1, 4, n)]
    size = [int(v) for v in R.integers(7, 11, n)]
    attrs = windows(n, kernel, size, {"group": g, **some(kernel_shape=kernel)})
    if R.random() < 0.3 and attrs.get("auto_pad", "VALID") == "VALID":
        attrs["dilations"] = [int(v) for v in R.integers(1, 3, n)]
    xs, ws = (int(R.integers(1, 4)), ci, *size), (co, ci // g, *kernel)
    if op == "Conv":
        return Case([floats(xs), floats(ws), maybe(floats((co,)))], attrs, const=maybe([1, 2], 0.8) or ())
    x, w = whole(xs, 0, 255, np.uint8), whole(ws, -128, 127, np.int8)
    if op == "ConvInteger":
        return Case([x, whole(ws, 0, 255, np.uint8), np.uint8(7), np.uint8(3)], attrs, 10, const=[1, 2, 3])
    s = np.float32
    return Case([x, s(0.02), np.uint8(120), w, pick(s(0.01), np.abs(floats((co,))) * s(.01) + s(.001)), np.int8(0),
                 s(0.5), np.uint8(100), maybe(whole((co,), -99, 99, np.int32))], attrs, 10,
                const=[1, 2, 3, 4, 5, 6, 7, 8], off=1)


@case("ConvTranspose")
def conv_transpose(op):
    n, g = int(R.integers(1, 3)), pick(1, 1, 2)
    ci, co = g * int(R.integers(1, 3)), int(R.integers(1, 3))
    kernel = [int(v) for v in R.integers(1, 4, n)]
    strides = [int(v) for v in R.integers(1, 4, n)]
    attrs = {"group": g, "strides": strides}
    if R.random() < 0.5:
        attrs["pads"] = [int(R.integers(0, k)) for k in kernel] * 2
    if R.random() < 0.4:
        attrs["output_padding"] = [int(R.integers(0, s)) for s in strides]
    attrs.update(some(dilations=[pick(1, 2)] * n))
    return Case([floats((2, ci, *[5] * n)), floats((ci, co, *kernel)), maybe(floats((co * g,)))], attrs,
                const=maybe([1, 2], 0.8) or ())


@case("MaxPool", "AveragePool", "LpPool")
def pool(op):
    n = int(R.integers(1, 4))
    kernel = [int(v) for v in R.integers(1, 4, n)]
    attrs = windows(n, kernel, None, {"kernel_shape": kernel})
    opset, outs = pick(11, 19), 1
    if "auto_pad" not in attrs and op != "LpPool":
        attrs.update(some(ceil_mode=pick(0, 1)))
    if op == "AveragePool":
        attrs.update(some(count_include_pad=pick(0, 1)))
    if op == "MaxPool":
        attrs.update(some(dilations=[pick(1, 2)] * n) if "auto_pad" not in attrs else {})
        outs = pick(1, 2)
    if op == "LpPool":
        attrs.update(some(p=pick(1, 2, 3)))
        opset = 11
    return Case([floats((2, 3, *[int(v) for v in R.integers(7, 11, n)]))], attrs, opset, outs)


@case("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def whole_pool(op):
    return Case([floats(shape(3, 5))])


@case("Gemm")
def gemm(op):
    m, n, k = (int(v) for v in R.integers(1, 9, 3))
    ta, tb = pick(0, 1), pick(0, 1)
    c = maybe(floats(pick((m, n), (n,), (1, n), (m, 1), ())))
    return Case([floats((k, m) if ta else (m, k)), floats((n, k) if tb else (k, n)), c],
                {"transA": ta, "transB": tb, **some(alpha=0.5, beta=2.0)}, pick(9, 13), const=maybe([1, 2]) or ())


@case("MatMul", "MatMulInteger", "QLinearMatMul", "FusedMatMul")
def matmul(op):
    m, n, k = (int(v) for v in R.integers(1, 9, 3))
    lead = shape(0, 2, 3)
    a, b = (*lead, m, k), (*spread(lead), k, n)
    if op == "MatMul":
        a, b = (a, (k,)) if R.random() < 0.1 else ((k,), b) if R.random() < 0.1 else (a, b)
        return Case([floats(a), floats(b)], const=maybe([1]) or ())
    if op == "FusedMatMul":
        ta, tb = pick(0, 1), pick(0, 1)
        a = a[:-2] + (k, m) if ta else a
        b = b[:-2] + (n, k) if tb else b
        return Case([floats(a), floats(b)], {"transA": ta, "transB": tb, **some(alpha=0.5)}, domain=MS,
                    const=maybe([1]) or ())
    a, b = whole(a, 0, 255, np.uint8), whole(b, -128, 127, np.int8)
    if op == "MatMulInteger":
        return Case([a, b, np.uint8(7), np.int8(3)], opset=10)
    s = np.float32
    return Case([a, s(.02), np.uint8(3), b, s(.01), np.int8(0), s(.1), np.uint8(100)], opset=10,
                const=[1, 2, 3, 4, 5, 6, 7], off=1)


# ---- moving ---------------------------------------------------------------------------------

ANY = (np.float32, np.int64, np.float16, np.int32, np.uint8)


@case("Transpose")
def transpose(op):
    x = numbers(shape(0, 5), ANY)
    return Case([x], some(perm=[int(v) for v in R.permutation(x.ndim)] or None))


@case("Concat")
def concat(op):
    x = floats(shape())
    axis = int(R.integers(0, x.ndim))
    more = [floats(tuple(int(R.integers(0, 4)) if k == axis else d for k, d in enumerate(x.shape)))
            for _ in range(R.integers(0, 3))]
    return Case([x] + more, {"axis": pick(axis, axis - x.ndim)})


@case("Split")
def split(op):
    parts = [int(v) for v in R.integers(1, 4, R.integers(1, 4))]
    s = list(shape())
    axis = int(R.integers(0, len(s)))
    s[axis] = sum(parts)
    if R.random() < 0.3:
        return Case([floats(s)], {"axis": axis, "num_outputs": len(parts)}, 18, len(parts))
    return Case([floats(s), np.asarray(parts, np.int64)], {"axis": axis}, 13, len(parts), const=[1])


@case("Slice")
def slices(op):
    x = numbers(shape(1, 4, 7), ANY)
    axes = R.permutation(x.ndim)[:R.integers(1, x.ndim + 1)]
    n = len(axes)
    t = pick(np.int64, np.int32)
    v = [np.asarray(R.integers(-9, 9, n), t), np.asarray(R.integers(-9, 9, n), t), np.asarray(axes, t),
         np.asarray([pick(1, 1, 2, -1, -3) for _ in axes], t)]
    return Case([x] + v, opset=13, const=[1, 2, 3, 4])


@case("Gather")
def gather(op):
    x = numbers(shape(1, 4), ANY)
    axis = int(R.integers(0, x.ndim))
    d = x.shape[axis]
    return Case([x, np.asarray(whole(shape(0, 2), -d, d))], {"axis": pick(axis, axis - x.ndim)},
                const=maybe([1]) or ())


@case("GatherElements", "ScatterElements")
def elements(op):
    x = floats(shape(1, 4))
    axis = int(R.integers(0, x.ndim))
    s = tuple(int(R.integers(1, d + 1)) for d in x.shape)
    d = x.shape[axis]
    ix = whole(s, -d, d)
    if op == "GatherElements":
        return Case([x, ix], {"axis": axis}, 13)
    attrs = {"axis": axis, **some(reduction=pick("none", "add", "mul", "min", "max"))}
    if attrs.get("reduction", "none") == "none":
        ix = np.sort(np.argsort(R.random(x.shape), axis), axis)[tuple(slice(0, v) for v in s)]
    return Case([x, np.asarray(ix, np.int64), floats(s)], attrs, 18)


@case("GatherND", "ScatterND")
def nd(op):
    x = floats(shape(2, 4))
    b = int(R.integers(0, 2)) if op == "GatherND" else 0
    n = int(R.integers(1, x.ndim - b + 1))
    lead = x.shape[:b] + shape(1, 2, 3)
    ix = np.stack([whole(lead, -x.shape[b + k], x.shape[b + k]) for k in range(n)], -1)
    if op == "GatherND":
        return Case([x, ix], some(batch_dims=b) if b == 0 else {"batch_dims": b}, 13)
    return Case([x, ix, floats(lead + x.shape[n:])], {"reduction": pick("add", "min", "max")}, 18)


@case("Pad")
def pad(op):
    x = floats(shape(1, 4, 6))
    mode = pick("constant", "constant", "reflect", "edge", "wrap")
    low = -1 if mode == "constant" else 0
    p = np.asarray([R.integers(low, min(d, 3)) for d in x.shape * 2], np.int64)
    opset = 19 if mode == "wrap" else pick(13, 18)
    return Case([x, p, np.float32(2) if mode == "constant" and R.random() < 0.5 else None], {"mode": mode}, opset,
                const=[1])


@case("Tile")
def tile(op):
    x = numbers(shape(), ANY)
    return Case([x, np.asarray(R.integers(1, 4, x.ndim), np.int64)], const=[1])


@case("Expand")
def expand(op):
    s = shape()
    return Case([np.asarray(numbers(spread(s), ANY)), np.asarray(s, np.int64)], const=[1])


@case("Reshape")
def reshape(op):
    x = numbers(shape(), ANY)
    s = [int(v) for v in R.permutation(x.shape)]
    if R.random() < 0.5:
        s[R.integers(len(s))] = -1
    return Case([x, np.asarray(s, np.int64)], const=[1])


@case("Flatten")
def flatten(op):
    x = floats(shape())
    return Case([x], {"axis": int(R.integers(-x.ndim, x.ndim + 1))}, 13)


@case("Squeeze", "Unsqueeze")
def squeeze(op):
    x = floats((1, 3, 1, 2))
    axes = pick([0], [2], [0, 2], [-2], [0, -2]) if op == "Squeeze" else pick([0], [4], [1, -1])
    opset = pick(11, 13)
    if opset == 11:
        return Case([x], {"axes": axes}, opset)
    return Case([x, np.asarray(axes, np.int64)], {}, opset, const=[1])


@case("DepthToSpace", "SpaceToDepth")
def depth(op):
    b = pick(1, 2, 3)
    s = (2, b * b * 2, 3, 2) if op[0] == "D" else (2, 3, b * 2, b)
    return Case([floats(s)], {"blocksize": b, **(some(mode=pick("DCR", "CRD")) if op[0] == "D" else {})}, 13)


@case("ReverseSequence")
def reverse(op):
    x = floats((4, 3, 2))
    b = pick(0, 1)
    return Case([x, whole((x.shape[b],), 1, x.shape[1 - b] + 1)], {"batch_axis": b, "time_axis": 1 - b})


@case("Trilu")
def trilu(op):
    return Case([floats(shape(2, 4)), maybe(whole((), -3, 4))], some(upper=pick(0, 1)))


@case("EyeLike")
def eye(op):
    return Case([floats(shape(2, 2))], some(k=int(R.integers(-2, 3)), dtype=pick(1, 6, 7, 11)))


@case("OneHot")
def one_hot(op):
    x = whole(shape(0, 3), -6, 6)
    return Case([x, np.asarray(6, np.int64), np.asarray([0, 1], np.float32)], some(axis=int(R.integers(-x.ndim - 1,
                x.ndim + 1))), const=[1, 2])


@case("Range")
def ranges(op):
    t = pick(np.float32, np.int64, np.int32)
    return Case([t(R.integers(0, 5)), t(R.integers(5, 20)), t(R.integers(1, 4))], const=[0, 1, 2])


@case("CumSum")
def cumsum(op):
    x = numbers(shape(), ALL)
    return Case([x, np.asarray(R.integers(-x.ndim, x.ndim), np.int64)], some(exclusive=1, reverse=1), const=[1])


@case("TopK")
def topk(op):
    x = floats(shape(1, 4, 9))
    axis = int(R.integers(0, x.ndim))
    return Case([x, np.asarray([R.integers(1, x.shape[axis] + 1)], np.int64)], {"axis": axis, **some(largest=0)}, 11, 2,
                const=[1])


@case("NonZero")
def nonzero(op):
    return Case([np.asarray(numbers(shape(), ALL))])


@case("Compress")
def compress(op):
    x = floats(shape())
    axis = int(R.integers(0, x.ndim))
    return Case([x, R.random(x.shape[axis]) < 0.5], {"axis": axis})


@case("Unique")
def unique(op):
    return Case([whole(shape(1, 2, 6), 0, 3)], some(axis=0, sorted=pick(0, 1)), outputs=4)


@case("Einsum")
def einsum(op):
    eq, s = pick(("ij,jk->ik", [(2, 3), (3, 4)]), ("bij,bjk->bik", [(2, 2, 3), (2, 3, 4)]), ("ii->i", [(3, 3)]),
                 ("...ij->...ji", [(2, 2, 3)]), ("i,j->ij", [(3,), (4,)]), ("bhid,bhjd->bhij", [(2, 2, 3, 4)] * 2),
                 ("ij->", [(2, 3)]), ("ij,j", [(2, 3), (3,)]))
    return Case([floats(v) for v in s], {"equation": eq})


# ---- pictures -------------------------------------------------------------------------------


@case("Resize")
def resize(op):
    mode = pick("nearest", "linear", "cubic")
    x = floats((1, 2, 5, 4)) if mode == "cubic" else floats((2, 2, *[int(v) for v in R.integers(2, 7, 2)]))
    coord = pick("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric",
                 "tf_crop_and_resize")
    attrs = {"mode": mode, "coordinate_transformation_mode": coord}
    if mode == "nearest":
        attrs["nearest_mode"] = pick("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    if mode == "cubic":
        attrs.update(some(exclude_outside=1, cubic_coeff_a=-0.5))
    if mode != "nearest" and coord in ("half_pixel", "pytorch_half_pixel", "asymmetric"):
        attrs.update(some(antialias=1) if R.random() < 0.5 else {})
    size = np.asarray([*x.shape[:2], *R.integers(2, 12, 2)], np.int64)
    roi = np.asarray([0, 0, .1, .2, 1, 1, .8, 1.1], np.float32) if coord == "tf_crop_and_resize" else None
    if coord == "tf_crop_and_resize":
        attrs.update(some(extrapolation_value=3.0))
    if R.random() < 0.5 or coord in ("align_corners", "tf_crop_and_resize"):
        if R.random() < 0.3 and coord == "half_pixel":
            attrs["keep_aspect_ratio_policy"] = pick("not_larger", "not_smaller")
            attrs["axes"] = [2, 3]
            size = size[2:]
        return Case([x, roi, None, size], attrs, 19, const=[1, 2, 3], rtol=1e-3, atol=1e-4)
    return Case([x, roi, np.asarray([1, 1, pick(.5, 2, 1.5, .7), pick(2, 3, .6, 1)], np.float32)], attrs, 19,
                const=[1, 2], rtol=1e-3, atol=1e-4)


@case("Upsample")
def upsample(op):
    return Case([floats((1, 2, 3, 4)), np.asarray([1, 1, 2, 3], np.float32)], {"mode": pick("nearest", "linear")}, 9,
                const=[1])


@case("GridSample")
def grid(op):
    v5 = R.random() < 0.3
    x = floats((2, 2, 3, 4, 5) if v5 else (2, 2, 4, 5))
    g = np.asarray(R.uniform(-1.3, 1.3, (2, 2, 3, 4, 3) if v5 else (2, 3, 4, 2)), np.float32)
    mode = pick("linear", "nearest") if v5 else pick("linear", "nearest", "cubic")
    return Case([x, g], {"mode": mode, **some(padding_mode=pick("zeros", "border", "reflection"),
                                               align_corners=1)}, 20, rtol=1e-3, atol=1e-4)


@case("RoiAlign")
def roi_align(op):
    n = int(R.integers(1, 4))
    r = np.asarray(np.sort(R.uniform(0, 8, (n, 2, 2)), 1).reshape(n, 4), np.float32)
    return Case([floats((2, 2, 8, 8)), r, whole((n,), 0, 2)],
                {"output_height": 2, "output_width": 3, **some(mode=pick("avg", "max"), sampling_ratio=2,
                 spatial_scale=0.5, coordinate_transformation_mode=pick("half_pixel", "output_half_pixel"))}, 16)


@case("MaxRoiPool")
def roi_pool(op):
    n = int(R.integers(1, 4))
    r = np.asarray(np.sort(R.integers(0, 16, (n, 2, 2)), 1).reshape(n, 4), np.float32)
    return Case([floats((2, 2, 8, 8)), np.concatenate([whole((n, 1), 0, 2, np.float32), r], 1)],
                {"pooled_shape": [2, 3], "spatial_scale": 0.5}, 11)


@case("NonMaxSuppression")
def nms(op):
    boxes = np.asarray(np.sort(R.uniform(0, 5, (2, 6, 2, 2)), 2).reshape(2, 6, 4), np.float32)
    return Case([boxes, np.asarray(R.random((2, 2, 6)), np.float32), np.asarray([pick(0, 2, 5)], np.int64),
                 np.asarray([0.3], np.float32), maybe(np.asarray([0.4], np.float32))], some(center_point_box=1), 11)


@case("Col2Im")
def col2im(op):
    return Case([floats((2, 8, 9)), np.asarray([4, 4], np.int64), np.asarray([2, 2], np.int64)], {}, 18, const=[1, 2])


@case("DeformConv")
def deform(op):
    g, og = pick(1, 2), pick(1, 2)
    x, w = floats((1, 4, 5, 5)), floats((4, 4 // g, 2, 2))
    return Case([x, w, floats((1, og * 8, 4, 4)), maybe(floats((4,))), maybe(np.asarray(R.random((1, og * 4, 4, 4)),
                np.float32))], {"group": g, "offset_group": og, "kernel_shape": [2, 2]}, 22, rtol=1e-3, atol=1e-4)


# ---- along time -----------------------------------------------------------------------------


@case("LSTM", "GRU", "RNN")
def recurrent(op):
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    way = pick("forward", "reverse", "bidirectional")
    d, h, i, b, t = 1 + (way[0] == "b"), *(int(v) for v in R.integers(1, 5, 4))
    f = lambda *s: floats(s) * np.float32(.5)
    inputs = [f(t, b, i), f(d, gates * h, i), f(d, gates * h, h), maybe(f(d, 2 * gates * h)),
              maybe(np.asarray(R.integers(1, t + 1, b), np.int32), 0.3), maybe(f(d, b, h))]
    if op == "LSTM":
        inputs += [maybe(f(d, b, h)), maybe(f(d, 3 * h), 0.3)]
    attrs = {"hidden_size": h, "direction": way, **some(clip=1.0)}
    if op == "GRU":
        attrs.update(some(linear_before_reset=pick(0, 1)))
    if op == "LSTM":
        attrs.update(some(input_forget=0))
    return Case(inputs, attrs, 14, 3 if op == "LSTM" else 2, const=[1, 2, 3, 7], rtol=1e-3, atol=1e-4)


@case("DFT")
def dft(op):
    inverse = pick(0, 1)
    x = floats((2, int(R.integers(2, 9)), 3, 2 if inverse else pick(1, 2)))
    attrs = {"inverse": inverse}
    if x.shape[-1] == 1:
        attrs.update(some(onesided=1))
    return Case([x, maybe(whole((), 2, 9)), np.asarray(pick(1, 2), np.int64)], attrs, 20, const=[1, 2], rtol=1e-3,
                atol=1e-4)


@case("STFT")
def stft(op):
    return Case([floats((2, 32, 1)), np.asarray(4, np.int64), maybe(floats((8,))), np.asarray(8, np.int64)],
                some(onesided=pick(0, 1)), 17, const=[1, 2, 3], rtol=1e-3, atol=1e-4)


@case("MelWeightMatrix", "HannWindow", "HammingWindow", "BlackmanWindow")
def made(op):
    if op == "MelWeightMatrix":
        return Case([np.int64(8), np.int64(pick(16, 64, 512)), np.int64(8192), np.float32(pick(0, 20)),
                     np.float32(4096)], opset=17, const=[0, 1, 2, 3, 4])
    return Case([np.int64(R.integers(1, 20))], some(periodic=pick(0, 1)), 17, const=[0])


@case("Attention")
def attention23(op):
    b, h, t, s, d = 2, 2 * pick(1, 2), *(int(v) for v in R.integers(1, 6, 2)), 4
    kv = pick(h, 2)
    packed = R.random() < 0.5
    q, k, v = floats((b, h, t, d)), floats((b, kv, s, d)), floats((b, kv, s, d))
    attrs = some(is_causal=pick(0, 1), softcap=2.0, scale=0.3)
    if packed:
        q, k, v = (np.ascontiguousarray(x.transpose(0, 2, 1, 3)).reshape(b, x.shape[2], -1) for x in (q, k, v))
        attrs.update(q_num_heads=h, kv_num_heads=kv)
    mask = maybe(pick(floats((t, s)), R.random((b, 1, t, s)) < 0.8))
    return Case([q, k, v, mask], attrs, 23, rtol=1e-3, atol=1e-4)


# ---- quantized ------------------------------------------------------------------------------


@case("QuantizeLinear")
def quantize(op):
    x = floats((2, 6, 4)) * np.float32(5)
    t = pick(np.uint8, np.int8, np.uint16, np.int16)
    kind = pick("tensor", "axis", "block")
    s = {"tensor": (), "axis": (6,), "block": (2, 3, 4)}[kind]
    scale = np.asarray(np.abs(floats(s)) + np.float32(.01), np.float32)
    zero = np.asarray(R.integers(0, 9, s), t)
    attrs = {"tensor": {}, "axis": {"axis": 1}, "block": {"axis": 1, "block_size": 2}}[kind]
    return Case([x, scale, zero], attrs, 21, const=[1, 2])


@case("DequantizeLinear")
def dequantize(op):
    t = pick(np.uint8, np.int8, np.uint16, np.int16)
    kind = pick("tensor", "axis", "block")
    s = {"tensor": (), "axis": (6,), "block": (2, 3, 4)}[kind]
    x = whole((2, 6, 4), 0, 100, t)
    attrs = {"tensor": {}, "axis": {"axis": 1}, "block": {"axis": 1, "block_size": 2}}[kind]
    return Case([x, np.asarray(np.abs(floats(s)) + np.float32(.01), np.float32), np.asarray(R.integers(0, 9, s), t)],
                attrs, 21, const=[1, 2])


@case("DynamicQuantizeLinear")
def dynamic(op):
    return Case([floats(shape()) * np.float32(pick(.1, 10))], opset=11, outputs=3)


# ---- com.microsoft --------------------------------------------------------------------------


@case("ms.Gelu", "ms.QuickGelu", "ms.FastGelu", "ms.BiasGelu")
def ms_gelu(op):
    x, name = floats(shape(2, 3)), op[3:]
    inputs = [x] if name in ("Gelu", "QuickGelu") else [x, floats((x.shape[-1],))]
    return Case(inputs if name != "FastGelu" else inputs[:pick(1, 2)],
                some(alpha=1.5) if name == "QuickGelu" else {}, op=name, domain=MS)


@case("FusedConv", "FusedGemm")
def fused(op):
    kind = pick("Relu", "Sigmoid", "Tanh", "LeakyRelu", "Clip", "HardSigmoid")
    params = {"LeakyRelu": [.2], "Clip": [-.5, 1.], "HardSigmoid": [.3, .4]}.get(kind)
    if op == "FusedGemm":
        kind = pick("Relu", "Sigmoid", "Tanh", "LeakyRelu")
        attrs = {"activation": kind, "transB": 1}
        if kind == "LeakyRelu":
            attrs["activation_alpha"] = .2
        return Case([floats((3, 4)), floats((5, 4)), floats((5,))], attrs, domain=MS, const=[1, 2])
    attrs = {"activation": kind, "pads": [1, 1, 1, 1]}
    if params:
        attrs["activation_params"] = params
    return Case([floats((2, 3, 5, 6)), floats((4, 3, 3, 3)), floats((4,)), maybe(floats((2, 4, 5, 6)))], attrs,
                domain=MS, const=[1, 2])


@case("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "SimplifiedLayerNormalization")
def skip(op):
    x, h = floats((2, 3, 8)), (8,)
    if op == "SimplifiedLayerNormalization":
        return Case([x, floats(h)], {"axis": -1, "epsilon": 1e-5}, rtol=1e-3, atol=1e-4)
    inputs = [x, floats(x.shape), floats(h)]
    inputs += [maybe(floats(h)), maybe(floats(h))] if op == "SkipLayerNormalization" else [maybe(floats(h))]
    return Case(inputs, {"epsilon": 1e-5}, domain=MS, outputs=pick(1, 4), rtol=1e-3, atol=1e-4, unnamed=(1, 2))


@case("EmbedLayerNormalization")
def embed(op):
    i32 = lambda s, n: whole(s, 0, n, np.int32)
    seg = R.random() < 0.6
    return Case([i32((2, 5), 9), i32((2, 5), 2) if seg else None, floats((9, 8)), floats((6, 8)),
                 floats((2, 8)) if seg else None, floats((8,)), floats((8,)), i32((2, 5), 2) if R.random() < .5 else None],
                {"epsilon": 1e-5}, domain=MS, outputs=pick(2, 3), const=[2, 3, 4, 5, 6], rtol=1e-3, atol=1e-4)


@case("ms.Attention")
def ms_attention(op):
    b, s, n, h = 2, int(R.integers(1, 6)), 2, 8
    mask = pick(None, np.asarray(R.integers(1, s + 1, b), np.int32), np.asarray(R.random((b, s)) < .8, np.int32),
                np.asarray(R.random((b, s, s)) < .8, np.int32))
    return Case([floats((b, s, 6)), floats((6, 3 * h)), floats((3 * h,)), mask],
                {"num_heads": n, **some(unidirectional=pick(0, 1), scale=.3)}, op="Attention", domain=MS, const=[1, 2],
                rtol=1e-3, atol=1e-4)


@case("MultiHeadAttention")
def mha(op):
    b, s, t, h = 2, *(int(v) for v in R.integers(1, 6, 2)), 8
    mask = pick(None, np.asarray(R.random((b, t)) < .8, np.int32))
    return Case([floats((b, s, h)), floats((b, t, h)), floats((b, t, h)), maybe(floats((3 * h,))), mask],
                {"num_heads": 2, **some(scale=.3)}, domain=MS, const=[3], rtol=1e-3, atol=1e-4)


@case("QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearGlobalAveragePool", "QLinearConcat",
      "QLinearSoftmax", "QLinearAveragePool")
def qlinear(op):
    t = pick(np.uint8, np.int8)
    q = lambda s: [whole(s, 0, 127, t), np.float32(R.uniform(.01, .1)), np.asarray(R.integers(0, 50), t)]
    y = [np.float32(.05), np.asarray(60, t)]
    if op in ("QLinearAdd", "QLinearMul"):
        s = shape(1, 3)
        return Case(q(s) + q(spread(s)) + y, domain=MS, const=[1, 2, 4, 5, 6, 7], off=1)
    if op == "QLinearConcat":
        return Case(y + q((2, 3)) + q((2, 4)), {"axis": 1}, domain=MS, const=[0, 1, 3, 4, 6, 7], off=1)
    if op == "QLinearSoftmax":
        y = [np.float32(1 / 256), np.asarray(0 if t is np.uint8 else -128, t)]
        return Case(q((2, 5)) + y, {"axis": -1, "opset": 13}, domain=MS, const=[1, 2, 3, 4], off=1)
    x = q((2, 3, 5, 4))
    attrs = {"alpha": .2} if op == "QLinearLeakyRelu" else {}
    if op == "QLinearAveragePool":
        attrs = {"kernel_shape": [2, 3], "pads": [1, 0, 0, 1], **some(count_include_pad=1)}
    return Case(x + y, attrs, domain=MS, const=[1, 2, 3, 4], off=1)


@case("MatMulNBits")
def nbits(op):
    n, k, block = int(R.integers(1, 9)), int(R.integers(1, 100)), pick(16, 32)
    blocks = -(-k // block)
    byte = lambda s: whole(s, 0, 256, np.uint8)
    return Case([floats((2, 3, k)), byte((n, blocks, block // 2)), floats((n * blocks,)) * np.float32(.1),
                 maybe(byte((n * ((blocks + 1) // 2),)))],
                {"K": k, "N": n, "bits": 4, "block_size": block}, domain=MS, const=[1, 2, 3], rtol=1e-3, atol=1e-3)


@case("DynamicQuantizeMatMul", "MatMulIntegerToFloat")
def to_float(op):
    k, n = int(R.integers(1, 9)), int(R.integers(1, 9))
    b = whole((k, n), -127, 127, np.int8)
    s = np.abs(floats(pick((1,), (n,)))) * np.float32(.01)
    z = np.zeros(s.shape, np.int8)
    if op == "DynamicQuantizeMatMul":
        return Case([floats((2, 3, k)), b, s, maybe(z), maybe(floats((n,)))], domain=MS, const=[1, 2, 3, 4])
    return Case([whole((2, 3, k), 0, 255, np.uint8), b, np.asarray([.02], np.float32), s, np.asarray([7], np.uint8),
                 maybe(z), maybe(floats((n,)))], domain=MS, const=[1, 2, 3, 4, 5, 6])


@case("DynamicQuantizeLSTM")
def dynamic_lstm(op):
    way = pick("forward", "bidirectional")
    d, h, i, b, t = 1 + (way[0] == "b"), 8, 6, 2, 4
    q = lambda n: whole((d, n, 4 * h), -127, 127, np.int8)
    s = np.full((d,), .005, np.float32)
    z = np.zeros((d,), np.int8)
    # ONNX Runtime rounds activations to 8 bits besides
    return Case([floats((t, b, i)), q(i), q(h), maybe(floats((d, 8 * h)) * np.float32(.1)), None, None, None, None,
                 s, z, s, z], {"hidden_size": h, "direction": way}, domain=MS, outputs=3,
                const=[1, 2, 3, 8, 9, 10, 11], rtol=0, atol=3e-2)


# ---- running --------------------------------------------------------------------------------


def model_of(c, op):
    ins, inits, names, feed = [], [], [], {}
    for i, x in enumerate(c.inputs):
        if x is None:
            names.append("")
            continue
        x, name = np.asarray(x), f"x{i}"
        names.append(name)
        if i in c.const:
            inits.append(numpy_helper.from_array(x, name))
        else:
            ins.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape))
            feed[name] = x
    while names and not names[-1]:
        names.pop()
    outs = [f"y{i}" if i not in c.unnamed else "" for i in range(c.outputs)]
    node = helper.make_node(c.op or op, names, outs, domain=c.domain, **c.attrs)
    graph = helper.make_graph([node], "one", ins, [onnx.ValueInfoProto(name=o) for o in outs if o], inits)
    opsets = [helper.make_opsetid("", c.opset)] + ([helper.make_opsetid(MS, 1)] if c.domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=10), feed


def in_pare(path, feed, folder):
    command = [args.pare, "run", path, "-o", f"{folder}/out.npz"]
    for name, x in feed.items():
        np.save(f"{folder}/{name}.npy", x)
        command += ["-i", f"{name}={folder}/{name}.npy"]
    p = subprocess.run(command, capture_output=True, text=True)
    if p.returncode:
        return None, p.stderr.strip() or f"ends with {p.returncode}"
    with np.load(f"{folder}/out.npz") as z:
        return {k: z[k] for k in z.files}, ""


def difference(c, x, y):
    """Where x, pare's, is not y; empty when it is."""
    if x.shape != y.shape:
        return f"{x.shape}, not {y.shape}"
    if y.dtype.kind == "f":
        a, b = x.astype(np.float64), y.astype(np.float64)
        rtol = max(c.rtol, 4e-3) if y.dtype == np.float16 else c.rtol
        good = np.isclose(a, b, rtol, c.atol, equal_nan=True)
    else:
        a, b = x.astype(np.int64), y.astype(np.int64)
        good = np.abs(a - b) <= c.off
    if np.all(good):
        return ""
    at = tuple(np.argwhere(~good)[0]) if y.ndim else ()
    return f"{a[at]} at {at}, not {b[at]} ({np.count_nonzero(~good)} of {y.size})"


def try_one(op, folder):
    c = CASES[op](op)
    model, feed = model_of(c, op)
    onnx.save(model, f"{folder}/m.onnx")
    try:
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        want = dict(zip([o.name for o in session.get_outputs()], session.run(None, feed)))
    except Exception as e:
        return "nothing", str(e).split("\n")[0][:160], model
    got, why = in_pare(f"{folder}/m.onnx", feed, folder)
    if got is None:
        return "refused", why[:240], model
    for name, y in want.items():
        d = difference(c, got[name], np.asarray(y))
        if d:
            return "differs", f"{name}: {d} {c.attrs} opset {c.opset}", model
    return "agrees", "", model


parser = argparse.ArgumentParser()
parser.add_argument("pare")
parser.add_argument("operators", nargs="*")
parser.add_argument("-n", type=int, default=20)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--keep", default=None)
parser.add_argument("--all", action="store_true", help="say why cases were refused or mean nothing")
args = parser.parse_intermixed_args()
total = collections.Counter()
with tempfile.TemporaryDirectory() as folder:
    for op in args.operators or CASES:
        R = np.random.default_rng([args.seed, *op.encode()])
        count, notes = collections.Counter(), {}
        for k in range(args.n):
            kind, note, model = try_one(op, folder)
            count[kind] += 1
            notes.setdefault(kind, note)
            if kind == "differs" and args.keep:
                os.makedirs(args.keep, exist_ok=True)
                onnx.save(model, f"{args.keep}/{op}-{k}.onnx")
        total.update(count)
        print(f"{op:32}" + "  ".join(f"{v} {k}" for k, v in sorted(count.items())))
        for kind, note in notes.items():
            if note and (kind != "nothing" or args.all or count[kind] == args.n):
                print(f"    {kind}: {note}")
        sys.stdout.flush()
print(", ".join(f"{v} {k}" for k, v in sorted(total.items())))
sys.exit(total["differs"] > 0)
