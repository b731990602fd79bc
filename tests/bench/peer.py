"""Speed of pare as a ratio to ONNX Runtime: the same networks, the same threads, turn by turn.

    peer.py BENCH_EVAL OUT.json MODEL.onnx...

A turn of either is a second of calls on random inputs, and its speed is that of its best call; the
ratio of a round is of two turns that follow each other. One thread is timed by its own clock, two
by the wall's. ONNX Runtime gets the batch size, out of
1, 16, 32, 64 and 128, that suits it best. BENCH_ALONE=1 compares one sample at a time instead.
"""
import json
import os
import subprocess
import sys
import time

import numpy as np
import onnxruntime as ort

ALONE = ["alone"] if os.environ.get("BENCH_ALONE") else []
BATCHES = (1,) if ALONE else (1, 16, 32, 64, 128)
THREADS = [int(t) for t in os.environ.get("BENCH_THREADS", "1,2").split(",")]
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "1"))


def session(path, threads):
    o = ort.SessionOptions()
    o.intra_op_num_threads = threads
    o.inter_op_num_threads = 1
    o.log_severity_level = 3
    return ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])


def turn(s, batch, threads, seconds):
    """Samples per second of the best call."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    i = s.get_inputs()[0]
    shape = [batch] + [d if isinstance(d, int) else 1 for d in i.shape[1:]]
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    best = float("inf")
    end = time.perf_counter() + seconds
    calls = 0
    while calls < 3 or time.perf_counter() < end:
        t = clock()
        s.run(None, {i.name: x})
        best = min(best, clock() - t)
        calls += 1
    return batch / best


def pare_turn(tool, path, threads, seconds):
    command = [tool, path, str(threads), str(seconds)] + ALONE
    r = subprocess.run(command, capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"{path}: {r.stderr.strip()}")
    return float(r.stdout.split()[0])


def measure(tool, path, threads):
    s = session(path, threads)
    fixed = s.get_inputs()[0].shape[0]
    batches = (fixed,) if isinstance(fixed, int) else BATCHES
    batch = max(batches, key=lambda b: turn(s, b, threads, SECONDS / 4))
    rounds = []
    for _ in range(ROUNDS):
        ours = pare_turn(tool, path, threads, SECONDS)
        rounds.append((ours, turn(s, batch, threads, SECONDS)))
    ratios = sorted(a / b for a, b in rounds)
    return {
        "model": os.path.basename(os.path.dirname(os.path.abspath(path))),
        "threads": threads,
        "pare": max(a for a, _ in rounds),
        "onnxruntime": max(b for _, b in rounds),
        "batch": batch,
        "ratio": ratios[len(ratios) // 2],
        "rounds": [{"pare": a, "onnxruntime": b, "ratio": a / b} for a, b in rounds],
    }


def main():
    tool, out, models = sys.argv[1], sys.argv[2], sys.argv[3:]
    rows = []
    print(f"{'model':20} threads {'pare/s':>10} {'ort/s':>10} batch  ratio (of each round)")
    for path in models:
        for threads in THREADS:
            r = measure(tool, path, threads)
            rows.append(r)
            each = " ".join(f"{x['ratio']:.2f}" for x in r["rounds"])
            print(f"{r['model']:20} {threads:7} {r['pare']:10.0f} {r['onnxruntime']:10.0f} "
                  f"{r['batch']:5}  {r['ratio']:.2f} ({each})", flush=True)
    with open(out, "w") as f:
        json.dump({"onnxruntime": ort.__version__, "results": rows}, f, indent=1)


main()
