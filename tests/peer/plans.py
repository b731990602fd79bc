#!/usr/bin/env python3
"""TAP: random plans, carried out by pare and run in ONNX Runtime: the same accuracy, a file as large as was said.

usage: plans.py PARE MODEL.onnx DATA.conf [PLANS [SEED]]

Formats, methods and patterns are those that `pare man` lists, in any mixture; a plan that pare refuses must be refused
in a sentence. 300 samples each, so that one answer is a third of a point. Needs numpy and onnxruntime.
"""
import json
import os
import random
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

import peer

LIMIT = 300
FAR = 1.0  # points: with activations of few codes a handful of answers hang on the last bit of a sum


def rows(pare):
    """Names by title, as the manual lists them."""
    lists, title = {}, ""
    for line in subprocess.run([pare, "man"], capture_output=True, text=True, check=True).stdout.splitlines():
        if line.startswith(".S"):
            title = line[4:]
        elif line.startswith(r"\fB"):
            lists.setdefault(title, []).append(re.match(r"\\fB(.*?)\\fR", line).group(1).replace("\\-", "-"))
    return lists


def formats(pare, model, of):
    """Names that may stand behind `set * weights` or `activations`: those that an error lists."""
    with tempfile.NamedTemporaryFile("w", suffix=".pare") as recipe:
        recipe.write(f"pare 1\nmodel {model}\nset * {of} ?\n")
        recipe.flush()
        said = subprocess.run([pare, "apply", recipe.name], capture_output=True, text=True).stderr
    return re.split(", | or ", said.strip().split("known: ")[1])


class Plans:
    def __init__(self, pare, model, layers, seed):
        self.rows, self.layers, self.random = rows(pare), layers, random.Random(seed)
        for of in ("weights", "activations"):
            self.rows[of] = formats(pare, model, of)

    def maybe(self, chance, word, title):
        return [word, self.random.choice(self.rows[title])] if self.random.random() < chance else []

    def where(self):
        one = str(self.random.randint(1, self.layers))
        return self.random.choice(["*", "*", "first", "last", one, f"{one},{self.random.randint(1, self.layers)}"])

    def numbers(self):
        words = self.maybe(0.85, "weights", "weights")
        if words:
            words += self.maybe(0.4, "", "Scales") + self.maybe(0.3, "scheme", "Codes of weights")
        words += self.maybe(0.6, "activations", "activations")
        if "activations" in words:
            words += self.maybe(0.3, "range", "Bounds of activations") + self.maybe(0.3, "calibrate", "Calibrators")
        return ["set", self.where(), *(words or ["weights", "int8"]), *self.maybe(0.5, "round", "Rounding")]

    def pruning(self):
        if self.random.random() < 0.4:
            return ["prune", self.where(), "channels", f"{self.random.choice([10, 20, 30])}%",
                    *self.maybe(0.5, "by", "Channels that go first"), *self.maybe(0.5, "repair", "Repair after channels")]
        if self.random.random() < 0.3:
            return ["prune", self.where(), "rank", f"{self.random.choice([10, 30, 50])}%",
                    *self.maybe(0.5, "by", "What a layer in two keeps"), *self.maybe(0.5, "split", "Layers in two")]
        pattern = self.maybe(0.7, "pattern", "Patterns of weights that go")
        keep, _, of = (pattern or [""])[-1].partition(":")
        share = 100 - 100 * int(keep) // int(of) if of else self.random.choice([10, 30, 50])
        return ["prune", self.where(), "weights", f"{share}%", *self.maybe(0.6, "by", "Weights that go first"), *pattern]

    def draw(self):
        lines = [self.random.choice([self.numbers, self.numbers, self.pruning])()
                 for _ in range(self.random.randint(1, 3))]
        if self.random.random() < 0.2:
            lines.append(["exit", str(self.random.randint(1, self.layers)), "threshold", "0.8"])
        return [" ".join(word for word in line if word) for line in lines]


def answers(path, conf, x):
    """One sample at a time where the file says so."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    x = peer.inputs(conf, x, peer.entry_shape(session, x))
    step = 1 if entry.shape[0] == 1 else 100
    return np.concatenate([session.run(None, {entry.name: x[i:i + step]})[0].reshape(len(x[i:i + step]), -1)
                           for i in range(0, len(x), step)])


def main():
    pare, model, data = (os.path.abspath(word) for word in sys.argv[1:4])
    n, seed = (int(word) for word in (sys.argv[4:] + ["40", "1"][len(sys.argv) - 4:])[:2])
    info = json.loads(subprocess.run([pare, "info", model, "--json"], capture_output=True, check=True).stdout)
    plans = Plans(pare, model, len(info["layers"]), seed)
    conf, x, y = peer.load(data)
    whole, x, y = len(x), x[:LIMIT], y[:LIMIT]
    split = conf.get("split", ["evaluate", "0:"])
    start = int(split[split.index("evaluate") + 1].split(":")[0] or 0) if "split" in conf or "train" in conf else whole // 4
    print(f"1..{n}")
    for k in range(1, n + 1):
        lines = plans.draw()
        what = "; ".join(lines)
        with tempfile.TemporaryDirectory() as box:
            recipe, out = os.path.join(box, "r.pare"), os.path.join(box, "out.onnx")
            with open(recipe, "w", encoding="utf-8") as f:
                f.write("\n".join(["pare 1", f"model {model}",
                                   f"data {data} calibrate 0:128 evaluate {start}:{start + len(y)}", *lines, ""]))
            run = subprocess.run([pare, "apply", recipe, "-o", out, "--json"], capture_output=True, text=True)
            if run.returncode == 2:
                print(f"ok {k} - {what} # SKIP {run.stderr.strip()[-120:]}", flush=True)
                continue
            good, said = False, {"value": None, "file_bytes": None}
            if run.returncode == 0:
                said, size = json.loads(run.stdout), os.path.getsize(out)
                value = 100 * float((answers(out, conf, x).argmax(1) == y).mean())
                good = abs(value - said["value"]) <= FAR and size == said["file_bytes"]
                what += f": {said['value']:.2f} and {value:.2f}, {said['file_bytes']} and {size} bytes"
            print(f"{'ok' if good else 'not ok'} {k} - {what}", flush=True)
            if not good:
                print("#", run.stderr.strip()[-500:])


if __name__ == "__main__":
    main()
