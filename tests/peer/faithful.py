"""TAP: what pare measures is what ONNX Runtime measures, of the float network and of what pare exports."""
import json
import os
import subprocess
import tempfile

import numpy as np
import onnxruntime

import peer

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARE = os.environ.get("PARE", os.path.join(ROOT, "pare"))
SHARED = os.environ.get("PARE_SHARED", os.path.join(ROOT, "..", "shared"))
LIMIT = int(os.environ.get("LIMIT", "2000"))
PLANS = {
    "int8": ["set * weights int8 activations int8"],
    "W4A8": ["set * weights int4 activations int8 round descent"],
    "W4A4": ["set * weights int4 activations int4 round gptq"],
    "W2A8": ["set * weights int2 activations int8 round descent", "set first,last weights int8"],
    "mixed": ["set * weights int4", "set first,last weights int8 activations int8", "prune op=Conv weights 30%"],
    "half": ["set * weights float16"],
}
LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")
done = 0


def ok(good, what):
    global done
    done += 1
    print(f"{'ok' if good else 'not ok'} {done} - {what}", flush=True)


def finish():
    print(f"1..{done}")


def pare(*args):
    run = subprocess.run([PARE, *args, "--json"], capture_output=True, text=True)
    if run.returncode == 2:
        print("# " + run.stderr.strip())
        return {}
    return json.loads(run.stdout)


def own_answers(model, conf, x, box):
    """What pare computes from a file that it exported."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    entry, out = os.path.join(box, "in.npy"), os.path.join(box, "out.npz")
    np.save(entry, peer.inputs(conf, x, peer.entry_shape(session, x)))
    subprocess.run([PARE, "run", model, "-i", entry, "-o", out], check=True, stdout=subprocess.DEVNULL)
    with np.load(out) as arrays:
        return arrays[arrays.files[0]].reshape(len(x), -1)


def levels_agree(name, out, conf, x, y, said, box):
    """Whatever ONNX Runtime joins, it says what pare says."""
    mine = own_answers(out, conf, x, box).argmax(1)
    value = 100 * float((mine == y).mean())
    ok(abs(said - value) <= 0.15, f"{name}: the file gives {value:.2f}, the variant {said:.2f}")
    for level in LEVELS:
        theirs = peer.answers(out, conf, x, level).argmax(1)
        value, same = 100 * float((theirs == y).mean()), 100 * float((theirs == mine).mean())
        ok(abs(said - value) <= 0.2 and same >= 99.5,
           f"{name}: {level} gives {value:.2f}, pare {said:.2f}; {same:.2f} % of answers are the same")


def check(name, model, data):
    conf, x, y = peer.load(data)
    x, y = x[:LIMIT], y[:LIMIT]
    theirs = peer.answers(model, conf, x).argmax(1)
    truth = 100 * float((theirs == y).mean())
    mine = pare("eval", model, "--data", data, "--limit", str(LIMIT))
    ok(abs(mine.get("value", -1) - truth) <= 0.1, f"{name}: eval {mine.get('value')} is ONNX Runtime's {truth}")
    for plan, lines in PLANS.items():
        with tempfile.TemporaryDirectory() as box:
            recipe, out = os.path.join(box, "r.pare"), os.path.join(box, "out.onnx")
            with open(recipe, "w", encoding="utf-8") as f:
                f.write("\n".join(["pare 1", f"model {model}",
                                   f"data {data} evaluate {mine_from(data)}:{mine_from(data) + len(y)}",
                                   *lines, ""]))
            got = pare("apply", recipe, "-o", out)
            again = pare("apply", recipe, "-o", os.path.join(box, "again.onnx"), "--threads", "1")
            ok(got and got["sha256"] == again.get("sha256"), f"{name} {plan}: the same bytes on one thread")
            if not got:
                continue
            levels_agree(f"{name} {plan}", out, conf, x, y, got["value"], box)
            ok(os.path.getsize(out) == got["file_bytes"], f"{name} {plan}: the file has the bytes that were said")


def mine_from(data):
    conf = peer.read_conf(os.path.join(data, "data.conf") if os.path.isdir(data) else data)
    split = conf.get("split", [])
    return int(split[split.index("evaluate") + 1].split(":")[0] or 0) if "evaluate" in split else 0


def main():
    example = os.path.join(ROOT, "examples", "fashion")
    check("example", os.path.join(example, "model.onnx"), os.path.join(example, "data.conf"))
    for name in ("resnet8", "resnet8_large", "resnet20", "resnet56", "kws_dscnn"):
        folder = os.path.join(SHARED, "models", name)
        if os.path.exists(os.path.join(folder, "model.onnx")):
            check(name, os.path.join(folder, "model.onnx"), folder)
        else:
            ok(True, f"{name} # SKIP {SHARED} is not there")
    finish()


if __name__ == "__main__":
    main()
