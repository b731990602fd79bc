"""Half of every group's channels: the file's bytes and ONNX Runtime's time for one sample, beside the float network's."""
import os
import statistics
import tempfile
import time

import numpy as np
import onnxruntime

from network import run

LINE = "prune * channels 50% by l2 repair none"  # what stays and how it is mended changes neither
ROUNDS, RUNS = 15, 20  # the two take turns; of each the median of the rounds' fastest runs


def session(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def fastest(s, x):
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        s.run(None, x)
        times.append(time.perf_counter() - start)
    return min(times)


def halve(pare, folder):
    model = os.path.join(folder, "model.onnx")
    with tempfile.TemporaryDirectory() as box:
        recipe, out = os.path.join(box, "half.pare"), os.path.join(box, "half.onnx")
        with open(recipe, "w", encoding="utf-8") as f:
            f.write(f"pare 1\nmodel {model}\n{LINE}\n")
        run([pare, "apply", recipe, "-o", out])
        bytes_of = [os.path.getsize(m) for m in (model, out)]
        sessions = [session(m) for m in (model, out)]
    x = {i.name: np.random.default_rng(1).random([d if isinstance(d, int) else 1 for d in i.shape], np.float32)
         for i in sessions[0].get_inputs()}
    rounds = [[fastest(s, x) for s in sessions] for _ in range(ROUNDS + 1)][1:]
    was, now = (statistics.median(r[k] for r in rounds) for k in (0, 1))
    return {"bytes": bytes_of[1] / bytes_of[0], "was": 1e3 * was, "now": 1e3 * now}


def table(pare, folders):
    lines = ["| | file | ms, float | ms, halved | time |\n| --- | --- | --- | --- | --- |\n"]
    for folder in folders:
        h = halve(pare, folder)
        lines.append(f"| {os.path.basename(folder)} | {100 * h['bytes']:.0f} % | {h['was']:.3f} | {h['now']:.3f} | "
                     f"{100 * h['now'] / h['was']:.0f} % |\n")
    return "".join(lines)
