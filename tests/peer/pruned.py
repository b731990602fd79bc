"""TAP: channels of real networks: the network without them, and the whole one whose layers do not look at them, give the
same in ONNX Runtime.

usage: pruned.py TEST_MASKS [FOLDER [NAME...]]

TEST_MASKS is build/rel/tests/test_masks.  Takes attention and recurrent networks as exporters write them
(sequences.py) and, with FOLDER, the packages' (packages.py), of which names, parts of paths, choose some.  Says for
each how many weights are left, the largest difference and the largest value, and which layers keep their channels and
why.  A difference above 1e-4 of the largest value fails.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

import packages
import sequences


def answers(path, inputs):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


done = 0


def ok(good, what):
    global done
    done += 1
    print(f"{'ok' if good else 'not ok'} {done} - {what}", flush=True)


def check(masks, model, inputs):
    name = os.path.basename(model)
    shapes = " ".join(f"{k}={','.join(map(str, v.shape))}" for k, v in inputs.items() if v.ndim)
    with tempfile.TemporaryDirectory() as box:
        run = subprocess.run([masks, model, shapes, box], capture_output=True, text=True)
        if run.returncode:
            return ok(False, f"{name}: {run.stderr.strip()}")
        said, *stuck = run.stdout.strip().split("\n")
        try:
            cut, whole = (answers(os.path.join(box, file), inputs) for file in ("cut.onnx", "masked.onnx"))
        except Exception as why:
            return ok(False, f"{name}: {str(why)[:300]}")
    errors = [(np.abs(a.astype(float) - b).max(), np.abs(b).max()) for a, b in zip(cut, whole) if a.size]
    good = all(a.shape == b.shape for a, b in zip(cut, whole)) and all(e <= 1e-4 * max(m, 1) for e, m in errors)
    worst = max(errors, key=lambda e: e[0] / max(e[1], 1))
    ok(good, f"{name}: {said}; off by {worst[0]:.2g} of {worst[1]:.3g}")
    for line in stuck:
        print("# " + line.strip())


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    masks, folder, names = sys.argv[1], sys.argv[2:3], sys.argv[3:]
    with tempfile.TemporaryDirectory() as box:
        networks = sequences.write(box)
        if folder:
            packages.fetch(folder[0])
            each = dict((os.path.join(folder[0], file), inputs) for file, inputs in packages.cases())
            networks += each.items()
        for model, inputs in networks:
            if not names or any(n in model for n in names):
                check(masks, model, inputs)
    print(f"1..{done}")


if __name__ == "__main__":
    main()
