#!/usr/bin/env python3
"""ONNX Runtime's word on a model: top-1 on the evaluation samples of a data.conf.

usage: peer.py MODEL.onnx DATA [LIMIT] [OTHER.onnx]

Prints one JSON object: value (percent), samples, and, with OTHER, agreement (percent) of the two models' top-1.
DATA is a data.conf or a folder that holds one or x.npy and y.npy. Needs numpy and onnxruntime.
"""
import json
import os
import sys

import numpy as np
import onnxruntime


def read_conf(path):
    conf = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            words = line.split("#")[0].split()
            if words:
                conf[words[0]] = words[1:]
    return conf


def load(path):
    if os.path.isdir(path):
        path = os.path.join(path, "data.conf")
    if not os.path.exists(path):
        folder = os.path.dirname(path)
        conf = {"samples": ["x.npy"], "labels": ["y.npy"]}
    else:
        folder, conf = os.path.dirname(path), read_conf(path)
    array = lambda name: np.load(os.path.join(folder, name), mmap_mode="r")
    if conf["samples"][0].endswith(".npz"):
        box = np.load(os.path.join(folder, conf["samples"][0]))
        x, y = box["x"], box["y"]
    else:
        x, y = array(conf["samples"][0]), array(conf["labels"][0])
    start, end = (0, len(x)) if "train" in conf else (len(x) // 5, len(x))
    split = conf.get("split", [])
    if "evaluate" in split:
        a, b = split[split.index("evaluate") + 1].split(":")
        start, end = int(a or 0), int(b or len(x))
    return conf, x[start:end], y[start:end]


def inputs(conf, x, shape):
    x = np.asarray(x, np.float32).reshape((len(x),) + shape)
    per_channel = lambda key: np.array([float(v) for v in conf[key]], np.float32).reshape(
        (1, -1) + (1,) * (len(shape) - 1))
    x = x * np.float32(float(conf.get("scale", ["1"])[0]))
    if "mean" in conf:
        x = x - per_channel("mean")
    if "std" in conf:
        x = x / per_channel("std")
    return x.astype(np.float32)


def entry_shape(session, x):
    return tuple(d if isinstance(d, int) else x.shape[i + 1]
                 for i, d in enumerate(session.get_inputs()[0].shape[1:]))


def answers(model, conf, x, level="ORT_ENABLE_ALL"):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name, shape = session.get_inputs()[0].name, entry_shape(session, x)
    return np.concatenate([session.run(None, {name: inputs(conf, x[i:i + 100], shape)})[0].reshape(
        len(x[i:i + 100]), -1) for i in range(0, len(x), 100)])


def main():
    model, data = sys.argv[1:3]
    conf, x, y = load(data)
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    if limit:
        x, y = x[:limit], y[:limit]
    out = answers(model, conf, x)
    report = {"value": 100 * float(np.mean(out.argmax(1) == y)), "samples": len(y)}
    if len(sys.argv) > 4:
        other = answers(sys.argv[4], conf, x)
        report["agreement"] = 100 * float(np.mean(out.argmax(1) == other.argmax(1)))
        report["max_abs"] = float(np.abs(out - other).max())
    print(json.dumps(report))


if __name__ == "__main__":
    main()
