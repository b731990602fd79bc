"""TAP: what pare measures is what ONNX Runtime measures, of the float network and of what pare exports."""
import json
import os
import subprocess
import tempfile

import peer

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARE = os.environ.get("PARE", os.path.join(ROOT, "pare"))
SHARED = os.environ.get("PARE_SHARED", os.path.join(ROOT, "..", "shared"))
LIMIT = int(os.environ.get("LIMIT", "2000"))
PLANS = {
    "int8": ["set * weights int8 activations int8"],
    "mixed": ["set * weights int4", "set first,last weights int8 activations int8", "prune op=Conv weights 30%"],
    "half": ["set * weights float16"],
}
done = 0


def ok(good, what):
    global done
    done += 1
    print(f"{'ok' if good else 'not ok'} {done} - {what}", flush=True)


def pare(*args):
    run = subprocess.run([PARE, *args, "--json"], capture_output=True, text=True)
    if run.returncode == 2:
        print("# " + run.stderr.strip())
        return {}
    return json.loads(run.stdout)


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
            theirs = peer.answers(out, conf, x).argmax(1)
            value = 100 * float((theirs == y).mean())
            ok(abs(got["value"] - value) <= 0.3,
               f"{name} {plan}: ONNX Runtime gives {value:.2f}, pare {got['value']:.2f} (float {truth:.2f})")
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
    print(f"1..{done}")


main()
