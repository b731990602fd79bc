"""What weights that go cost, network by network: the page examples/prune.md.

    prune.py PARE OUT.md NETWORK...      a folder with model.onnx and its samples

Every figure is the accuracy that ONNX Runtime gives the exported file, against the float network's, on
the same samples; what pare measured is held against it.  network.py says what the environment sets.
"""
import glob
import os

import onnxruntime

import halved
from network import CALIBRATE, LIMIT, main, table

WEIGHTS = "prune * weights {}"
PLANS = {f"{share}, by {by}": [WEIGHTS.format(f"{share} by {by}")] for share in ("50%", "70%") for by in ("l1", "obs")}
PLANS.update({f"{share} of all, spread by {by}": [WEIGHTS.format(f"spread {share} by {by}")]
              for share in ("50%", "70%") for by in ("l1", "obs")})
PLANS.update({f"2:4, by {by}": [WEIGHTS.format(f"50% by {by} pattern 2:4")] for by in ("l1", "obs")})
PLANS.update({f"blocks {block}, 50%, by obs": [WEIGHTS.format(f"50% by obs pattern {block}")]
              for block in ("4x1", "1x4")})
PLANS["2:4 by obs, then W8A8 round gptq"] = [
    WEIGHTS.format("50% by obs pattern 2:4"), "set * weights int8 activations int8 round gptq"]
CHANNELS = "prune * channels to macs {}% repair throughout"
PLANS.update({f"channels, MACs −{100 - left} %": [CHANNELS.format(left)] for left in (73, 50)})
PLANS["channels, MACs −27 %, then W8A8 round gptq"] = [
    CHANNELS.format(73), "set * weights int8 activations int8 round gptq"]
RANK = "prune * rank {}"
PLANS.update({f"rank, MACs −{gone} %, by {by}": [RANK.format(f"{gone}% by {by}")]
              for gone in (25, 50) for by in ("plain", "whitened")})
PLANS.update({f"rank, MACs −{gone} %, spread by {by}": [RANK.format(f"spread {gone}% by {by}")]
              for gone in (25, 50) for by in ("plain", "whitened")})
PLANS["rank, MACs −25 %, spread, then W8A8 round gptq"] = [
    RANK.format("spread 25%"), "set * weights int8 activations int8 round gptq"]
SIZED = ("50%, by obs", "70%, by obs", "2:4, by obs", "blocks 4x1, 50%, by obs", "2:4 by obs, then W8A8 round gptq", "channels, MACs −27 %", "channels, MACs −50 %",
         "channels, MACs −27 %, then W8A8 round gptq", "rank, MACs −25 %, spread by whitened",
         "rank, MACs −50 %, spread by whitened", "rank, MACs −25 %, spread, then W8A8 round gptq")
TIMED = ("50%, by obs", "2:4, by obs", "50% of all, spread by obs")


def beside(nets):
    """All networks that lie where those do, whether their samples are known or not."""
    return sorted({os.path.dirname(model) for n in nets
                   for model in glob.glob(os.path.join(os.path.dirname(n.folder), "*", "model.onnx"))})


def page(nets):
    find = lambda name, key, form: (name, lambda n: n.say(name, key, form))
    return "".join([
        "# What pruning costs\n\n",
        "Points of accuracy lost when weights go, nothing is trained and no label is looked at, as ONNX Runtime ",
        f"{onnxruntime.__version__} runs the exported file: up to {LIMIT:,} evaluation samples, ",
        f"{CALIBRATE} samples to calibrate on (the keyword network has 800 and 200). ",
        "`make bench-prune NETWORKS=FOLDER…` makes this page anew. One sample in 2,000 is 0.05 points, of ",
        "the keyword network's 0.125; differences of 0.3 are within what other samples would give.\n\n",
        "A share is taken from every layer alike, the first and the last too; *spread* takes it of all weights ",
        "together, where they cost least. *Rank* makes layers two, in space where they can be, with the share of ",
        "multiply-accumulates gone from each that can; *plain* looks at weights alone. Patterns leave layers alone whose channels do not come out even. – was not measured.\n\n",
        table(nets, [
            ("samples", lambda n: f"{len(n.y):,}"),
            ("float accuracy", lambda n: f"{n.float:.2f} %"),
            *(find(name, "drop", "{:.2f}") for name in PLANS),
            ("furthest that pare's own figure was off",
             lambda n: f"{max(n.cells[name]['apart'] for name in PLANS if name in n.cells):.2f}")]),
        "\nSize as a share of float, packed (a bit a weight or block, and the weights that are left):\n\n",
        table(nets, [find(name, "ratio", "{:.2f}") for name in SIZED]),
        "\nHalf of the channels of every group (`", halved.LINE, "`): the file as a share of the float network's, and ",
        "ONNX Runtime's time for one sample on one thread.\n\n",
        halved.table(nets[0].pare, beside(nets)),
        "\nSeconds to carry the plan out, measure and export it, on the machine that made this page (where it is ",
        "spread, without the search for the shares):\n\n",
        table(nets, [find(name, "seconds", "{:.0f}") for name in TIMED])])


if __name__ == "__main__":
    main(page, lambda net: net.measure(PLANS))
