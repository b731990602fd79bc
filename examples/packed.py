"""Packed weights (pare apply … --format packed) as arrays: read(path) gives {(name, role): array}, of a quantizer
(scale, zero, lowest code, highest). Wants numpy alone; packed.md says how the file lies."""
import hashlib
import struct
import numpy as np

TYPES = {1: "f4", 2: "u1", 3: "i1", 4: "u2", 5: "i2", 6: "i4", 7: "i8", 9: "?", 10: "f2", 11: "f8", 12: "u4", 13: "u8"}


def read(path):
    d, name, out = open(path, "rb").read(), "", {}
    magic, records, size, directory = struct.unpack_from("<12sIQI", d)
    assert (magic, size) == (b"PAREPACK\1\0\0\0", len(d)), "no packed weights of version 1"
    assert hashlib.sha256(d[:32] + bytes(32) + d[64:]).digest() == d[32:64], "not as it was written"
    at, data = 96, (96 + directory + 7) // 8 * 8

    def number():
        nonlocal at
        at, value = at + 1, d[at]
        return value if value < 128 else value - 128 + 128 * number()
    def part(n, bits, signed=False):
        nonlocal data
        b = np.unpackbits(np.frombuffer(d, "u1", (n * bits + 7) // 8, data), bitorder="little")[:n * bits]
        data += (n * bits + 63) // 64 * 8
        v = (b.reshape(n, bits).astype("u8") << np.arange(bits, dtype="u8")).sum(1, dtype="u8").astype("i8")
        return np.where(v >> (bits - 1) & 1, v - (1 << bits), v) if signed else v
    def array():
        kind, dims = number(), [number() for _ in range(number())]
        bits, flags, axis, group = [number() for _ in range(4)] if not kind else (8 * np.dtype(TYPES.get(kind, "u2")).itemsize, 1, 0, 0)
        each, whole = np.arange(np.prod(dims, dtype=int)), np.zeros(np.prod(dims, dtype=int), TYPES.get(kind, "f4"))
        if number():  # sites are left out: which elements lie in each site, and which sites are there
            rows, inner, tall, wide = (number() for _ in range(4))
            sites = np.moveaxis(each.reshape(dims), rows, 0).reshape(dims[rows] // tall, tall, -1, wide, inner)
            sites = sites.transpose(0, 2, 4, 1, 3).reshape(-1, tall * wide)
            each = sites[part(len(sites), 1).astype(bool)].ravel()
        v = part(len(each), bits, not flags & 1)
        if kind:
            v = (v << 16).astype("u4").view("f4") if kind == 16 else v.astype(f"u{bits // 8}").view(TYPES[kind])
        else:  # which scale each element has, then scale * (code - zero)
            channel = np.indices(dims)[axis - 1].ravel() if axis else np.zeros(len(whole), int)
            length = len(channel) // (channel[-1] + 1)
            groups, place = -(-length // group) if group else 1, np.empty_like(channel)
            place[np.argsort(channel, kind="stable")] = np.arange(len(channel)) % length
            which, n = (channel * groups + place // (group or length))[each], (channel[-1] + 1) * groups
            scale = np.exp2(part(n, 8, True)).astype("f4") if flags & 4 else part(n, 32).astype("u4").view("f4")
            v = (v - (part(n, bits, not flags & 1)[which] if flags & 2 else 0)).astype("f4") * scale[which]
        whole[each] = v
        return whole.reshape(dims)

    for _ in range(records):
        if n := number():
            name, at = d[at:at + n].decode(), at + n
        role = ["constant", "weight", "bias", "quantizer"][number()]
        if role == "quantizer":  # a byte before them says that each sample has its own
            lo, hi = (v >> 1 ^ -(v & 1) for v in (number(), number()))
            at, out[name, role] = at + 9, (*struct.unpack_from("<fi", d, at + 1), lo, hi)
        else:
            out[name, role] = array()
    return out
