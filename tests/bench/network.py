"""A network on its samples: what plans cost it, as ONNX Runtime runs the exported file.

LIMIT and CALIBRATE say how many samples, THREADS on how many processors.  CACHE names a folder that keeps
what was measured with the same pare, so that a run that was stopped goes on; with KEPT=1 nothing more is
measured, and the page has what is there.  SKIP names plans, by a part of their name after the network's and
parted by semicolons, that are not measured anew: "resnet56 W3A8, round adaround".
"""
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peer"))
import peer  # noqa: E402

LIMIT = int(os.environ.get("LIMIT", "2000"))
CALIBRATE = int(os.environ.get("CALIBRATE", "512"))
THREADS = os.environ.get("THREADS") or str(os.cpu_count())
CACHE = os.environ.get("CACHE")
KEPT = os.environ.get("KEPT") == "1"
SKIP = [part for part in os.environ.get("SKIP", "").split(";") if part]
SOUGHT = (" spread ", " to macs ")  # in a command that looks for a plan, which a recipe then holds


def run(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def seek(pare, folder, box, conf, lines):
    """The lines of the recipe that commands end in."""
    data, recipe = os.path.join(box, "data.conf"), os.path.join(box, "sought.pare")
    with open(data, "w", encoding="utf-8") as f:
        for key, words in conf.items():
            paths = key in ("samples", "labels", "train")
            f.write(" ".join([key] + [os.path.join(folder, w) if paths else w for w in words]) + "\n")
        if "train" in conf:
            f.write(f"split calibrate 0:{CALIBRATE}\n")
    run([pare, "shell", f"{folder}/model.onnx", "--data", data, "--threads", THREADS],
        input="\n".join([*lines, f"write {recipe}", ""]), env={**os.environ, "XDG_STATE_HOME": box})
    with open(recipe, encoding="utf-8") as f:
        return [line.rstrip() for line in f if line.split()[0] in ("set", "prune")]


def apply(pare, folder, box, conf, lines):
    recipe, out = os.path.join(box, "r.pare"), os.path.join(box, "out.onnx")
    bounds = f" calibrate 0:{CALIBRATE} evaluate 0:{LIMIT}" if "train" in conf else ""
    with open(recipe, "w", encoding="utf-8") as f:
        f.write("\n".join(["pare 1", f"model {folder}/model.onnx", f"data {folder}{bounds}", *lines, ""]))
    start = time.monotonic()
    said = run([pare, "apply", recipe, "-o", out, "--json", "--threads", THREADS])
    return out, json.loads(said), time.monotonic() - start


class Network:
    """What was measured of one, and what is kept of it."""

    def __init__(self, pare, folder):
        self.pare, self.folder, self.name = pare, folder, os.path.basename(folder)
        self.conf, x, y = peer.load(folder)
        self.x, self.y = x[:LIMIT], y[:LIMIT]
        with open(pare, "rb") as f:
            digest = hashlib.sha256(f.read() + f"{LIMIT} {CALIBRATE}".encode()).hexdigest()
        self.kept = CACHE and os.path.join(CACHE, f"{self.name}-{digest[:16]}.json")
        self.cells = {}
        if self.kept and os.path.exists(self.kept):
            with open(self.kept, encoding="utf-8") as f:
                self.cells = json.load(f)

    def cell(self, name, find):
        if name not in self.cells:
            self.cells[name] = find()
            print(self.name, name, self.cells[name], flush=True)
            if self.kept:
                os.makedirs(CACHE, exist_ok=True)
                with open(self.kept, "w", encoding="utf-8") as f:
                    json.dump(self.cells, f, indent=1)
        return self.cells[name]

    def answers(self, model):
        return peer.answers(model, self.conf, self.x).argmax(1)

    def accuracy(self, model):
        return 100 * float((self.answers(model) == self.y).mean())

    def same(self, model, box, answers):
        """How many of pare's own answers on the file are these, in percent."""
        x, y = os.path.join(box, "x.npy"), os.path.join(box, "y.npz")
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        np.save(x, peer.inputs(self.conf, self.x, peer.entry_shape(session, self.x)))
        run([self.pare, "run", model, "-i", x, "-o", y, "--threads", THREADS])
        with np.load(y) as found:
            return 100 * float((found[found.files[0]].reshape(len(answers), -1).argmax(1) == answers).mean())

    def found(self, lines):
        """The lines with what they seek found, which is sought once."""
        at = [i for i, line in enumerate(lines) if any(word in line for word in SOUGHT)]
        if not at:
            return lines
        head = lines[:at[-1] + 1]
        with tempfile.TemporaryDirectory() as box:
            return self.cell("sought: " + "; ".join(head), lambda: seek(
                self.pare, self.folder, box, self.conf, head)) + lines[at[-1] + 1:]

    def ours(self, lines):
        lines = self.found(lines)
        with tempfile.TemporaryDirectory() as box:
            out, said, seconds = apply(self.pare, self.folder, box, self.conf, lines)
            answers = self.answers(out)
            value = 100 * float((answers == self.y).mean())
            agree = self.same(out, box, answers)
        return {"drop": self.float - value, "apart": abs(value - said["value"]), "agree": agree,
                "seconds": seconds, "bytes": said["bytes"], "ratio": said["ratio"]}

    def measure(self, plans):
        model = os.path.join(self.folder, "model.onnx")
        self.float = self.cell("float", lambda: {"value": self.accuracy(model)})["value"]
        for name, lines in plans.items():
            if name not in self.cells and not KEPT and not any(part in f"{self.name} {name}" for part in SKIP):
                self.cell(name, lambda lines=lines: self.ours(lines))
        return self

    def say(self, name, key, form, times=1):
        """A figure of a plan, or a dash."""
        return form.format(times * self.cells[name][key]) if name in self.cells else "–"


def table(nets, rows):
    """Markdown: a column a network, a row (name, what it says of a network)."""
    line = lambda name, cells: f"| {name} | " + " | ".join(cells) + " |\n"
    return "".join([line("", [n.name for n in nets]), "| --- |" + " --- |" * len(nets) + "\n",
                    *(line(name, [find(n) for n in nets]) for name, find in rows)])


def main(page, measure):
    pare, out, *folders = sys.argv[1:]
    text = page([measure(Network(pare, f.rstrip("/"))) for f in folders])
    with open(out, "w", encoding="utf-8") as f:
        f.write(text)
