#!/usr/bin/python3
"""sdcard - the modelled SD card as clients see it: nbdkit-sdcard-plugin.so serves a
file; its virtual clock gives the published speeds to fio-like clients; a power cut
loses what it should, and stays lost over a restart; bad parameters are refused.
"""
import errno
import json
import nbd
import os
import signal
import subprocess
import tempfile
import time

from nbdlab import ROOT, Score, seeded

PLUGIN = os.path.join(ROOT, "nbdkit-sdcard-plugin.so")
MIB = 1 << 20
BLOCK = 4096
rng = seeded()
score = Score()


class Card:
    """A server of one card; the socket and all files lie in work."""

    def __init__(self, work, *options):
        self.socket = os.path.join(work, "socket")
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.child = subprocess.Popen(
            ["nbdkit", "-f", "-U", self.socket, PLUGIN,
             "file=" + os.path.join(work, "card"),
             "state=" + os.path.join(work, "state"),
             "stats=" + os.path.join(work, "stats"), *options])
        for _ in range(600):
            if os.path.exists(self.socket) or self.child.poll() is not None:
                break
            time.sleep(0.05)

    def connect(self, export=""):
        h = nbd.NBD()
        h.set_export_name(export)
        h.connect_unix(self.socket)
        return h

    def stats(self):
        h = self.connect("stats")
        text = h.pread(h.get_size(), 0)
        h.shutdown()
        return json.loads(text)

    def command(self, line):
        h = self.connect("control")
        h.pwrite(line.encode() + b"\n", 0)
        h.shutdown()

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(60)


def refused(what, codes, call):
    try:
        call()
    except nbd.Error as e:
        score.check(what, e.errnum in codes, str(e))
        return
    score.check(what, False, "it was accepted")


def speeds(work):
    """Random writes over 100 MiB, as published for the class 4 card: 34/s."""
    card = Card(work, "preset=class4-2013", "size=1G")
    h = card.connect()
    score.equal("the size", h.get_size(), 1 << 30)
    score.check("flush and trim", h.can_flush() and h.can_trim() and h.can_fua())
    h.zero(MIB, 512 * MIB, nbd.CMD_FLAG_NO_HOLE)
    score.equal("cards cannot zero: zeroes are written",
                card.stats()["write"]["bytes"], MIB)
    blocks = rng.sample(range(100 * MIB // BLOCK), 1500)
    for at in blocks[:700]:
        h.pwrite(bytes(BLOCK), 64 * MIB + at * BLOCK)
    card.command("reset")
    begun = card.stats()["virtual_clock_seconds"]
    for at in blocks[700:]:
        h.pwrite(bytes(BLOCK), 64 * MIB + at * BLOCK)
    stats = card.stats()
    rate = 800 / (stats["virtual_clock_seconds"] - begun)
    score.check("34 random writes a second", 30 < rate < 38, f"{rate:.1f}")
    score.equal("writes counted", stats["write"]["up_to"]["4K"],
                {"ops": 800, "bytes": 800 * BLOCK})
    score.check("evictions did it", stats["evictions"] > 10 and
                stats["write_amplification"] > 20)
    score.check("quantiles in order", stats["write"]["latency_us"]["p50"] <
                stats["write"]["latency_us"]["p99"] <=
                stats["write"]["latency_us"]["max"] < 500000)
    refused("half a sector", {errno.EINVAL}, lambda: h.pwrite(bytes(256), 0))
    h.shutdown()
    card.end()
    with open(os.path.join(work, "stats")) as f:
        left = json.load(f)
    score.equal("the clock in the last statistics",
                left["virtual_clock_seconds"], stats["virtual_clock_seconds"])
    card = Card(work, "preset=class4-2013", "size=1G")
    score.equal("the clock over a restart",
                card.stats()["virtual_clock_seconds"],
                stats["virtual_clock_seconds"])
    card.end()


def cuts(work):
    """Writes into a volatile cache, a flush, more writes, a cut, a restart."""
    options = ("preset=a2-cache", "size=256M", f"seed={rng.randrange(1 << 32)}")
    card = Card(work, *options)
    h = card.connect()
    for i in range(200):
        h.pwrite(bytes([1]) * BLOCK, i * MIB)
    h.flush()
    for i in range(60):
        h.pwrite(bytes([2]) * BLOCK, i * MIB)
    pending = card.stats()["pending_writes"]
    score.check("some are pending", 3 <= pending <= 60, str(pending))
    card.command("cut")
    refused("a read without power", {errno.EIO}, lambda: h.pread(512, 0))
    refused("a write without power", {errno.EIO}, lambda: h.pwrite(bytes(512), 0))
    refused("a flush without power", {errno.EIO}, h.flush)
    score.check("the statistics say so", not card.stats()["power"])
    h.shutdown()
    card.end()
    card = Card(work, *options)
    score.equal("the cut is remembered", card.stats()["cuts"], 1)
    h = card.connect()
    found = [h.pread(BLOCK, i * MIB) for i in range(200)]
    score.check("blocks are whole", all(b in (bytes([1]) * BLOCK, bytes([2]) * BLOCK)
                                        for b in found))
    score.check("what was flushed is there", all(b[0] == 1 for b in found[60:]))
    score.check("what had drained is there",
                all(b[0] == 2 for b in found[:60 - pending]))
    lost = sum(b[0] == 1 for b in found[60 - pending:60])
    score.check("some is lost" if pending > 20 else "at most the pending is lost",
                (0 if pending <= 20 else 1) <= lost <= pending, f"{lost} of {pending}")
    # During the third write from now: it is torn at most, the two are there.
    card.command("cut 3")
    h.pwrite(b"x" * BLOCK, 220 * MIB, nbd.CMD_FLAG_FUA)
    h.pwrite(b"y" * BLOCK, 221 * MIB, nbd.CMD_FLAG_FUA)
    refused("the write in flight", {errno.EIO},
            lambda: h.pwrite(b"z" * BLOCK, 221 * MIB))
    card.command("on")
    score.equal("a flushed write", h.pread(BLOCK, 220 * MIB), b"x" * BLOCK)
    torn = h.pread(BLOCK, 221 * MIB)
    score.check("old or new sectors", all(torn[i:i + 512] in (b"y" * 512, b"z" * 512)
                                          for i in range(0, BLOCK, 512)))
    h.shutdown()
    card.end()


def in_real_time(work):
    """Fifty writes of a class 4 card take what they take, on the clock on the wall
    too (which may be late, on a busy machine, but never early)."""
    card = Card(work, "preset=class4-2013", "size=64M", "realtime=true")
    h = card.connect()
    before, begun = card.stats(), time.monotonic()
    for i in range(50):
        h.pwrite(bytes(65536), 16 * MIB + i * 65536)
    took = time.monotonic() - begun
    after = card.stats()
    due = after["busy_seconds"] - before["busy_seconds"]
    score.check("as long as the card takes", 0.9 * due <= took < due + 20,
                f"{took:.3f} s, due {due:.3f}")
    score.check("more than nothing", due > 0.3, f"{due:.3f}")
    h.shutdown()
    card.end()


def bad_parameters(work):
    other = os.path.join(work, "state")
    for options, word in ((["preset=b1"], "no such card"), ([], "another card"),
                          (["lose=most"], "some, all, none"),
                          (["size=1M"], "allocation unit"),
                          (["timescale=0"], "above 0"), (["colour=red"], "no such")):
        done = subprocess.run(
            ["nbdkit", "-f", "-U", "-", PLUGIN, "state=" + other,
             "file=" + os.path.join(work, "card-" + word[:3]), *options,
             "--run", "true"], capture_output=True, text=True)
        score.check(" ".join(options) or "another card's state",
                    done.returncode != 0 and word in done.stderr, done.stderr)


with tempfile.TemporaryDirectory() as top:
    for test in speeds, cuts, in_real_time:
        room = os.path.join(top, test.__name__)
        os.mkdir(room)
        test(room)
    bad_parameters(os.path.join(top, "speeds"))
score.end()
