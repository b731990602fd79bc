#!/usr/bin/env python3
"""What a key costs in the workbench: bytes to the terminal, and milliseconds until they arrive.

    tests/bench/keys.py [--size 80x24] [--wait 6] ./pare MODEL --data D

The workbench runs on a pseudo-terminal with its workers busy, as it does over SSH."""
import argparse
import fcntl
import os
import pty
import select
import statistics
import struct
import tempfile
import termios
import time

args = argparse.ArgumentParser()
args.add_argument("--size", default="80x24")
args.add_argument("--wait", type=float, default=6, help="seconds before the first key")
args.add_argument("command", nargs=argparse.REMAINDER)
args = args.parse_args()
columns, lines = map(int, args.size.split("x"))

KEYS = (
    [("down", b"j")] * 15
    + [("turn", b"\x1b[C")] * 5
    + [("dial", b"\t")] * 4
    + [("turn", b"\x1b[C")] * 5
    + [("back", b"\x1b[D")] * 3
    + [("undo", b"u")] * 3
    + [("end", b"G"), ("home", b"g"), ("page", b"\x06"), ("page", b"\x06")]
    + [("layer", b"\r"), ("map", b"q"), ("help", b"?"), ("map", b"q")]
)

home = tempfile.TemporaryDirectory()
pid, fd = pty.fork()
if pid == 0:
    os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8", HOME=home.name)
    os.environ.pop("NO_COLOR", None)
    os.execvp(args.command[0], args.command)
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def read_for(seconds):
    """Bytes that came, and when the first of them did."""
    n, first, end = 0, None, time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        if not select.select([fd], [], [], left)[0]:
            break
        n += len(os.read(fd, 65536))
        first = first or time.perf_counter()
    return n, first


print(f"first {args.wait:g} s: {read_for(args.wait)[0]} bytes")
seen = {}
for name, key in KEYS:
    start = time.perf_counter()
    os.write(fd, key)
    n, first = read_for(0.15)
    seen.setdefault(name, []).append((n, 1e3 * (first - start) if first else None))
os.write(fd, b"q")
os.waitpid(pid, 0)


def row(name, samples):
    ms = [t for _, t in samples if t is not None]
    n = [b for b, _ in samples]
    print(
        f"{name:6} {len(n):3} keys  bytes median {statistics.median(n):6.0f} max {max(n):6}"
        + (f"   ms median {statistics.median(ms):5.1f} max {max(ms):5.1f}" if ms else "")
    )


for name, samples in seen.items():
    row(name, samples)
row("all", [s for samples in seen.values() for s in samples])
