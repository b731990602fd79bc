"""Peak memory of `pare eval` and of ONNX Runtime on the same samples.

    memory.py PARE ROWS MODEL.onnx…      adds a row a model to the file ROWS
    memory.py onnxruntime MODEL.onnx X.npy      what is measured of ONNX Runtime

Both take the same random samples: ONNX Runtime as one batch, pare in as many lanes as it has, each
on one thread.  The peak is that of the whole process; `net` is without what it takes to start (pare
for its version, Python with onnxruntime and numpy imported).  This process imports neither, since a
child is counted with what its parent held when it was born.
"""
import json
import os
import resource
import subprocess
import sys
import tempfile

SAMPLES = 16
MORE = 4  # those that pare sets aside to calibrate on
WRITE = ("import sys, numpy as np; shape = [int(d) for d in sys.argv[2].split(',')]; "
         "np.save(sys.argv[1], np.random.default_rng(1).standard_normal(shape).astype(np.float32))")


def onnxruntime(path=None, samples=None):
    import numpy as np
    import onnxruntime as ort

    if path:
        o = ort.SessionOptions()
        o.intra_op_num_threads = o.inter_op_num_threads = 1
        o.log_severity_level = 3
        s = ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])
        s.run(None, {s.get_inputs()[0].name: np.load(samples)[MORE:]})


def peak(*command):
    """Bytes, in a process of its own: the peak of children is that of the largest so far."""
    here, there = os.pipe()
    if not os.fork():
        r = subprocess.run(command, capture_output=True, text=True)
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        os.write(there, json.dumps([r.returncode, most, r.stderr.strip()]).encode())
        os._exit(0)
    os.close(there)
    code, most, said = json.loads(os.read(here, 1 << 16))
    os.close(here)
    os.wait()
    if code:
        raise RuntimeError(said)
    return most


def shape_of(pare, path):
    info = json.loads(subprocess.run([pare, "info", path, "--json"], capture_output=True, check=True).stdout)
    return [SAMPLES + MORE] + info["inputs"][0]["shape"][1:]


def main():
    if sys.argv[1] == "onnxruntime":
        return onnxruntime(*sys.argv[2:])
    pare, rows, paths = sys.argv[1], sys.argv[2], sys.argv[3:]
    me = [sys.executable, os.path.abspath(__file__), "onnxruntime"]
    start, their_start = peak(pare, "--version"), peak(*me)
    print(f"{'model':18} {'pare':>10} {'ort':>10}  ratio    net: {'pare':>8} {'ort':>8}  ratio")
    for path in paths:
        name = os.path.basename(os.path.dirname(os.path.abspath(path)))
        with tempfile.TemporaryDirectory() as folder:
            x = os.path.join(folder, "x.npy")
            shape = ",".join(map(str, shape_of(pare, path)))
            subprocess.run([sys.executable, "-c", WRITE, x, shape], check=True)
            try:
                ours = peak(pare, "eval", path, "--data", folder, "--threads", "1")
            except RuntimeError as e:
                print(f"{name:18} {e}")
                continue
            theirs = peak(*me, path, x)
        net, their_net = ours - start, theirs - their_start
        with open(rows, "a", encoding="utf-8") as f:
            f.write(json.dumps({"model": name, "samples": SAMPLES, "pare_peak": ours, "onnxruntime_peak": theirs,
                                "pare_net": net, "onnxruntime_net": their_net}) + "\n")
        mb = lambda n: f"{n / 1e6:.1f} MB"
        print(f"{name:18} {mb(ours):>10} {mb(theirs):>10}  {ours / theirs:5.2f}        "
              f"{mb(net):>8} {mb(their_net):>8}  {net / max(their_net, 1):5.2f}", flush=True)


main()
