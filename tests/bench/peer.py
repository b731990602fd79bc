"""Speed of pare as a ratio to ONNX Runtime: the same networks, the same threads, turn by turn.

    peer.py measure BENCH_EVAL ROWS MODEL.onnx    adds a row a measurement to the file ROWS
    peer.py linear BENCH_EVAL ROWS MODEL.onnx…    the same work 1, 10, 100 times
    peer.py report ROWS OUT.json                  the geometric mean, and all rows as JSON

A turn of either is a second of calls on random inputs, and its speed is that of its best call; the
ratio of a round is of two turns that follow each other. One thread is timed by its own clock, two
by the wall's. ONNX Runtime gets the batch size, out of 1, 16, 32, 64 and 128, that suits it best.
Then both run one sample at a time, on one thread.
"""
import json
import math
import os
import subprocess
import sys
import time

import numpy as np
import onnxruntime as ort

BATCHES = (1, 16, 32, 64, 128)
LONG = 1.0  # seconds: larger batches are not tried when a call takes longer
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
    while calls < 2 or time.perf_counter() < end:
        t = clock()
        s.run(None, {i.name: x})
        best = min(best, clock() - t)
        calls += 1
    return batch / best


def best_batch(s, threads):
    fixed = s.get_inputs()[0].shape[0]
    speed = {}
    for batch in (fixed,) if isinstance(fixed, int) else BATCHES:
        speed[batch] = turn(s, batch, threads, SECONDS / 4)
        if batch / speed[batch] > LONG:
            break
    return max(speed, key=speed.get)


def pare_turn(tool, path, threads, seconds, *mode):
    r = subprocess.run([tool, path, str(threads), str(seconds), *mode], capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"{path}: {r.stderr.strip()}")
    return float(r.stdout.split()[0])


def name_of(path):
    return os.path.basename(os.path.dirname(os.path.abspath(path)))


def measure(tool, path, threads, alone):
    s = session(path, threads)
    batch = 1 if alone else best_batch(s, threads)
    rounds = []
    for _ in range(ROUNDS):
        ours = pare_turn(tool, path, threads, SECONDS, *["alone"] * alone)
        rounds.append((ours, turn(s, batch, threads, SECONDS)))
    ratios = [a / b for a, b in rounds]
    return {
        "model": name_of(path),
        "threads": threads,
        "alone": alone,
        "pare": max(a for a, _ in rounds),
        "onnxruntime": max(b for _, b in rounds),
        "batch": batch,
        "ratio": sorted(ratios)[len(ratios) // 2],
        "rounds": [{"pare": a, "onnxruntime": b, "ratio": a / b} for a, b in rounds],
    }


def keep(rows, row):
    with open(rows, "a", encoding="utf-8") as f:
        f.write(json.dumps(row) + "\n")


def measure_all(tool, rows, path):
    for threads, alone in [(t, False) for t in THREADS] + [(1, True)]:
        r = measure(tool, path, threads, alone)
        keep(rows, r)
        each = " ".join(f"{x['ratio']:.2f}" for x in r["rounds"])
        print(f"{r['model']:18} {threads:7} {r['pare']:10.1f} {r['onnxruntime']:10.1f} "
              f"{'single' if alone else r['batch']:>6}  {r['ratio']:.2f} ({each})", flush=True)


def linear(tool, rows, paths):
    """Stacks of layers, each ten times as deep as the one before; and more samples of the first."""
    for path in paths:
        seconds = 1 / pare_turn(tool, path, 1, SECONDS)
        keep(rows, {"work": name_of(path), "seconds": seconds})
        print(f"{name_of(path):18} {1e6 * seconds:10.1f} us a sample")
    for n in (160, 1600, 16000):
        seconds = n / pare_turn(tool, paths[0], 1, SECONDS, str(n))
        keep(rows, {"work": f"{n} samples", "seconds": seconds})
        print(f"{n:10} samples {1e3 * seconds:10.2f} ms")


def report(rows, out):
    with open(rows, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    ratios = [r["ratio"] for r in rows if "ratio" in r and not r["alone"]]
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else 0
    print(f"geometric mean of {len(ratios)} ratios, single samples not counted: {mean:.2f}")
    with open(out, "w", encoding="utf-8") as f:
        json.dump({"onnxruntime": ort.__version__, "geometric_mean": mean, "results": rows}, f, indent=1)


def main():
    what, rest = sys.argv[1], sys.argv[2:]
    if what == "measure":
        measure_all(*rest)
    elif what == "linear":
        linear(rest[0], rest[1], rest[2:])
    else:
        report(*rest)


main()
