#!/usr/bin/python3
"""powercut_test - the filter that takes the power from the guest's disks, without a
guest: what a cut must lose is lost, what a flush confirmed is kept.

    powercut_test.py FILTER
"""
import os
import shutil
import sys
import tempfile

import nbd

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]
from machine import Disk	# noqa: E402
from nbdlab import Score	# noqa: E402

score = Score()
BLOCKS = 64


class Place:
    """What a disk needs to know of its machine."""

    def __init__(self, filter_path):
        self.work, self.filter = tempfile.mkdtemp(prefix="lbs-powercut."), os.path.abspath(filter_path)
        with open(self.image("card"), "wb") as f:
            f.truncate(BLOCKS * 4096)

    def image(self, name):
        return os.path.join(self.work, name + ".img")

    def blocks(self):
        with open(self.image("card"), "rb") as f:
            return [f.read(4096) for _ in range(BLOCKS)]


def cut(place, how, writes, cache="64M", lying=False, flush_after=0, fua=0):
    """Writes so many blocks of ones, and says what is there after a cut."""
    with open(place.image("card"), "r+b") as f:
        f.write(bytes(BLOCKS * 4096))
    disk = Disk(place, "card", cache, lying)
    h = nbd.NBD()
    h.connect_unix(disk.socket)
    for n in range(writes):
        h.pwrite(b"\1" * 4096, n * 4096, nbd.CMD_FLAG_FUA if n + 1 == fua else 0)
        if n + 1 == flush_after:
            h.flush()
    score.equal("what was written is read", h.pread(writes * 4096, 0), b"\1" * writes * 4096)
    h.shutdown()
    lost = disk.cut(how, 7)
    score.equal("promises are broken by liars only", lost["broken"] > 0, lying)
    return [block.count(1) for block in place.blocks()]


def whole(n):
    return [4096] * n + [0] * (BLOCKS - n)


place = Place(sys.argv[1])
try:
    score.equal("none", cut(place, "none", 20), whole(0))
    score.equal("none, behind a flush", cut(place, "none", 20, flush_after=9), whole(9))
    score.equal("none, behind FUA", cut(place, "none", 20, fua=5), whole(5))
    score.equal("a lie", cut(place, "none", 20, flush_after=20, fua=20, lying=True), whole(0))
    score.equal("no cache", cut(place, "none", 20, cache="0"), whole(20))
    score.equal("a full cache", cut(place, "none", 20, cache="32768"), whole(12))
    left = cut(place, "prefix", 20, flush_after=3)
    score.equal("a prefix", left, whole(left.count(4096)))
    score.check("of what was not flushed", 3 <= left.count(4096) <= 20, str(left))
    left = cut(place, "subset", 40, flush_after=3)
    score.equal("a subset keeps what was flushed", left[:3], [4096] * 3)
    score.check("and of the rest some, parts of some, and not all",
                0 in left[3:40] and 4096 in left[3:40] and any(0 < n < 4096 for n in left[3:40]), str(left))
    score.check("in sectors", all(n % 512 == 0 for n in left), str(left))
finally:
    shutil.rmtree(place.work)
score.end()
