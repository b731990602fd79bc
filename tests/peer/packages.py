#!/usr/bin/env python3
"""Networks out of public packages, held against ONNX Runtime on the same inputs.

usage: packages.py PARE FOLDER

Fetches silero-vad, rapidocr-onnxruntime and nudenet with pip into FOLDER (once), runs each of their networks in pare
and in ONNX Runtime, and prints the largest absolute difference, the largest value, and the share of argmax that
agree.  Exits 1 when a network does not run or differs by more than a thousandth of its largest value.
Needs pip, numpy and onnxruntime.
"""
import glob
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

PACKAGES = ["silero-vad", "rapidocr-onnxruntime", "nudenet"]
random = np.random.default_rng(7)


def fetch(folder):
    if not glob.glob(os.path.join(folder, "nudenet", "*.onnx")):
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder] + PACKAGES,
                       check=True)


def image(n, h, w):
    """Smooth stripes and noise: what a picture is to a network, without one."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    planes = [np.sin(x / (5 + c + k)) * np.cos(y / (9 + 2 * c + k)) for k in range(n) for c in range(3)]
    noise = random.normal(0, 0.2, (n, 3, h, w))
    return (np.reshape(planes, (n, 3, h, w)) * 0.6 + noise).astype(np.float32)


def page(n, h, w):
    """Black strokes in lines on white: something that a text detector takes for text."""
    x = np.full((n, 3, h, w), 255, np.float32)
    for top in range(12, h - 24, 36):
        for left in range(12, w - 24, 14):
            for _ in range(4):
                a, b = random.integers(0, 16, 2)
                if random.random() < 0.5:
                    x[:, :, top + a:top + a + 3, left:left + 9] = 0
                else:
                    x[:, :, top:top + 18, left + b // 2:left + b // 2 + 3] = 0
    return x / np.float32(127.5) - 1


def speech(n, samples):
    t = np.arange(samples, dtype=np.float32) / 16000
    wave = [np.sin(2 * np.pi * (120 + 30 * k) * t) * 0.3 + random.normal(0, 0.05, samples) for k in range(n)]
    return np.array(wave, np.float32)


def state(n):
    return random.normal(0, 0.3, (2, n, 128)).astype(np.float32)


def cases():
    """Package, file, inputs by name."""
    for n in 1, 3:
        for rate, samples in (16000, 576), (8000, 288):
            yield "silero_vad/data/silero_vad.onnx", {
                "input": speech(n, samples), "state": state(n), "sr": np.array(rate, np.int64)}
            yield "silero_vad/data/silero_vad_op18_ifless.onnx", {
                "input": speech(n, samples), "state": state(n), "sr": np.array(rate, np.int64)}
        yield "silero_vad/data/silero_vad_16k_op15.onnx", {
            "input": speech(n, 576), "state": state(n), "sr": np.array(16000, np.int64)}
        yield "silero_vad/data/silero_vad_half.onnx", {"input": speech(n, 576), "state": state(n)}
    yield "silero_vad/data/silero_vad_openvino_16k.onnx", {"input": speech(1, 576), "state": state(1)}
    yield "silero_vad/data/silero_vad_16k_sequence.onnx", {
        "input": speech(7, 576), "h": state(1)[:1], "c": state(1)[:1]}
    yield "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", {"x": page(1, 160, 224)}
    yield "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", {"x": page(2, 96, 64)}
    yield "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x": image(4, 48, 192)}
    yield "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", {"x": image(2, 48, 320)}
    yield "nudenet/320n.onnx", {"images": image(1, 320, 320) * 0.5 + 0.5}
    yield "nudenet/320n.onnx", {"images": image(2, 192, 256) * 0.5 + 0.5}


def run_pare(pare, model, inputs, folder):
    command = [pare, "run", model, "-o", os.path.join(folder, "out.npz")]
    for name, value in inputs.items():
        path = os.path.join(folder, name + ".npy")
        np.save(path, value)
        command += ["-i", name + "=" + path]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    with np.load(os.path.join(folder, "out.npz")) as box:
        return {name: box[name] for name in box.files}


def compare(got, want):
    """Largest difference, largest value, share of rows (last axis) whose largest element is the same (or one of
    several that are all but equal: a detector's plateaus)."""
    if got.shape != want.shape or got.dtype != want.dtype:
        raise RuntimeError(f"{got.dtype}{got.shape}, not {want.dtype}{want.shape}")
    got, want = (np.atleast_1d(a) for a in (got, want))
    chosen = np.take_along_axis(want, got.argmax(-1)[..., None], -1)[..., 0]
    agree = np.mean(chosen >= want.max(-1) - 1e-5 * np.abs(want).max())
    return float(np.abs(got - want).max()), float(np.abs(want).max()), 100 * float(agree)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    pare, packages = sys.argv[1:]
    fetch(packages)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    bad = 0
    for file, inputs in cases():
        model = os.path.join(packages, file)
        shapes = " ".join(f"{k}{list(v.shape)}" for k, v in inputs.items())
        want = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, inputs)
        names = [o.name for o in onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]).get_outputs()]
        try:
            with tempfile.TemporaryDirectory() as folder:
                got = run_pare(pare, model, inputs, folder)
            for name, y in zip(names, want):
                error, largest, agree = compare(got[name], y)
                fine = error <= 1e-3 * max(largest, 1e-6)
                bad += not fine
                print(f"{'ok    ' if fine else 'DIFFERS'} {os.path.basename(file):42} {name:24} "
                      f"max_abs {error:.2g} of {largest:.3g}, argmax {agree:.2f} %   {shapes}")
        except (RuntimeError, KeyError) as why:
            bad += 1
            print(f"FAILS   {os.path.basename(file):42} {why}   {shapes}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
