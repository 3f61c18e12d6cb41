#!/usr/bin/python3
"""nbd_edges - requests of every awkward shape over NBD, against a disk in
memory: unaligned, empty, at the ends, beyond them, 32 MiB and more, partial
discards and zeroes, block status. A failure is repeated with its SEED.
"""
import errno
import nbd
from nbdlab import Lab, Score, seeded

MIB = 1 << 20
SIZE = 160 * MIB
BLOCK = 4096
rng = seeded()
score = Score()


def noise(length):
    return rng.randbytes(length)


def refused(what, codes, call):
    try:
        call()
    except nbd.Error as e:
        score.check(what, e.errnum in codes, f"{errno.errorcode.get(e.errnum)}")
        return
    score.check(what, False, "it was accepted")


def holes(h, length, offset, flags=0):
    """[(length, is_hole)] as block status tells it."""
    found = []

    def extent(context, off, entries, err):
        assert context == nbd.CONTEXT_BASE_ALLOCATION
        for i in range(0, len(entries), 2):
            found.append((entries[i], bool(entries[i + 1] & nbd.STATE_HOLE)))
            hole, zero = (entries[i + 1] & nbd.STATE_HOLE,
                          entries[i + 1] & nbd.STATE_ZERO)
            score.check("a hole reads as zeroes and data is no hole",
                        bool(hole) == bool(zero))
    h.block_status(length, offset, extent, flags)
    return found


def sweep(h):
    """Random operations in three small regions, each step compared."""
    span = 96 * 1024
    for base in (0, 40 * MIB + 512, SIZE - span):
        disk = bytearray(h.pread(span, base))
        for step in range(250):
            at = rng.randrange(span)
            length = min(rng.choice((1, 511, 512, 513, 4095, 4096, 4097, 9000,
                                     rng.randrange(1, 40000))), span - at)
            fua = rng.choice((0, 0, nbd.CMD_FLAG_FUA))
            kind = rng.randrange(6)
            if kind < 3:
                data = noise(length)
                h.pwrite(data, base + at, fua)
                disk[at:at + length] = data
            elif kind == 3:
                h.zero(length, base + at,
                       fua | rng.choice((0, nbd.CMD_FLAG_NO_HOLE)))
                disk[at:at + length] = bytes(length)
            elif kind == 4:
                h.trim(length, base + at, fua)
                first = -(-(base + at) // BLOCK) * BLOCK
                last = (base + at + length) // BLOCK * BLOCK
                if base + at + length == SIZE:
                    last = SIZE
                if last > first:
                    disk[first - base:last - base] = bytes(last - first)
            else:
                h.flush()
            at = rng.randrange(span)
            length = rng.randrange(1, span - at + 1)
            if not score.check(f"region {base}, step {step} (kind {kind})",
                               h.pread(length, base + at) ==
                               disk[at:at + length]):
                return
        score.check(f"region {base} at the end", h.pread(span, base) == disk)


def large(h):
    at = 64 * MIB + 1234
    data = noise(32 * MIB)
    h.pwrite(data, at)
    score.check("32 MiB, unaligned, come back", h.pread(32 * MIB, at) == data)
    h.set_strict_mode(0)
    data = noise(48 * MIB)
    h.pwrite(data, 64 * MIB + 7, nbd.CMD_FLAG_FUA)
    score.check("48 MiB come back", h.pread(48 * MIB, 64 * MIB + 7) == data)
    h.zero(96 * MIB, 64 * MIB)
    score.check("96 MiB of zeroes", not any(h.pread(MIB, 100 * MIB)))


def ends(h):
    h.set_strict_mode(0)
    h.pwrite(b"end", SIZE - 3)
    score.equal("the last bytes", h.pread(3, SIZE - 3), b"end")
    refused("a read over the end", (errno.EINVAL,), lambda: h.pread(2, SIZE - 1))
    refused("a write over the end", (errno.ENOSPC,),
            lambda: h.pwrite(b"xx", SIZE - 1))
    refused("a zero over the end", (errno.ENOSPC,),
            lambda: h.zero(4096, SIZE - 512))
    score.equal("and they changed nothing", h.pread(3, SIZE - 3), b"end")


def status(h):
    h.trim(SIZE, 0)
    score.equal("a discarded disk is one hole", holes(h, SIZE, 0), [(SIZE, True)])
    h.pwrite(noise(BLOCK), 8 * BLOCK)
    h.pwrite(noise(10), 16 * BLOCK + 100)
    found = holes(h, 32 * BLOCK, 0)
    score.equal("status covers what was asked", sum(e[0] for e in found) >=
                32 * BLOCK, True)
    score.equal("status, block by block", found[:5],
                [(8 * BLOCK, True), (BLOCK, False), (7 * BLOCK, True),
                 (BLOCK, False), (15 * BLOCK, True)])
    one = holes(h, 32 * BLOCK, 8 * BLOCK, nbd.CMD_FLAG_REQ_ONE)
    score.equal("one extent when one is asked for", one, [(BLOCK, False)])
    found = holes(h, 1000, 8 * BLOCK + 3000)
    score.equal("status at any offset", found[0], (1000, False))


def fast_zero(h):
    h.pwrite(noise(4 * BLOCK), 0)
    h.zero(2 * BLOCK, BLOCK, nbd.CMD_FLAG_FAST_ZERO)
    score.check("fast zero of whole blocks", not any(h.pread(2 * BLOCK, BLOCK)))
    refused("fast zero of part of a block", (errno.EOPNOTSUPP,),
            lambda: h.zero(100, 10, nbd.CMD_FLAG_FAST_ZERO))
    score.check("which then is untouched", any(h.pread(100, 10)))


with Lab("160M") as lab:
    lab.start()
    h = lab.connect()
    score.equal("size", h.get_size(), SIZE)
    score.equal("block sizes", [h.get_block_size(s) for s in
                                (nbd.SIZE_MINIMUM, nbd.SIZE_PREFERRED,
                                 nbd.SIZE_MAXIMUM)], [1, 4096, 32 * MIB])
    score.check("a new disk is all zeroes", not any(h.pread(MIB, 0)))
    sweep(h)
    large(h)
    ends(h)
    status(h)
    fast_zero(h)
    h.cache(MIB + 5, 3)
    h.flush()
    h.shutdown()
    score.equal("the server ends well", lab.stop(), 0)
score.end()
