#!/usr/bin/python3
"""pulled_card - the card, or the internal flash, fails under a load through NBD:
pulled, no longer written, no longer synced. Clients get EIO and nothing else,
nothing hangs, 'lbs stat' and the server's log say why and what to do; then it is
put back, without a random part of what was never synced, and no write that was
acknowledged as durable is missing. ROUNDS and SEED as elsewhere.
"""
import errno
import os
import struct
import subprocess
import time

import nbd
from ledger import SECTOR, Ledger, Load, stamp, version_of
from nbdlab import Lab, Score, seeded, wait_until

ROUNDS = int(os.environ.get("ROUNDS") or 8)
SIZE_MIB = 16
KINDS = ("card gone", "card unsynced", "card unwritten", "flash gone",
         "flash unsynced")
HERE = os.path.dirname(os.path.abspath(__file__))

rng = seeded()
score = Score()


class Durable(Ledger):
    """Also remembers which writes a flush has promised: of each sector what it may
    hold, the promised version first."""

    def __init__(self, sectors):
        super().__init__(sectors)
        self.may = [[(0, 0)] for _ in range(sectors)]
        self.acks = []		# (number, first, count), in their order
        self.promised = 0	# of these

    def begin(self, first, count, version):
        number = super().begin(first, count, version)
        for sector in range(first, first + count):
            self.may[sector].append((number, version))
        return number

    def acknowledge(self, number):
        first, count, _ = self.flying[number]
        super().acknowledge(number)
        self.acks.append((number, first, count))

    def promise(self, upto):
        """Everything acknowledged when there were upto of them is durable."""
        for number, first, count in self.acks[self.promised:upto]:
            for sector in range(first, first + count):
                may = self.may[sector]
                while may[0][0] != number:
                    may.pop(0)
        self.promised = max(self.promised, upto)

    def judge(self, h):
        faults = []
        for at in range(0, len(self.may), 8192):
            n = min(8192, len(self.may) - at)
            data = h.pread(n * SECTOR, at * SECTOR)
            for i in range(n):
                found = version_of(data[i * SECTOR:(i + 1) * SECTOR], at + i)
                allowed = {version for _, version in self.may[at + i]}
                if found not in allowed:
                    faults.append(f"sector {at + i}: version {found}, not one of "
                                  f"{sorted(allowed)}")
                self.may[at + i] = [(0, found)]
                self.acked[at + i] = found
        self.flying.clear()
        self.busy.clear()
        self.acks.clear()
        self.promised = 0
        return faults


class PullLoad(Load):
    """The same load; flushes and FUA writes promise."""

    def submit(self, h):
        kind = self.rng.random()
        if kind < 0.06:
            upto = len(self.ledger.acks)

            def flushed(error):
                if error.value == 0:
                    self.ledger.promise(upto)
                return self.ended(error)
            h.aio_flush(completion=flushed)
            return
        most = self.rng.choice((1, 8, 8, 8, 16, 128))
        place = self.place(most)
        if not place:
            return
        first, count = place
        version = self.ledger.next
        number = self.ledger.begin(first, count, version)

        def done(error):
            if error.value == 0:
                self.ledger.acknowledge(number)
            else:
                # Not acknowledged: it may be there or not, now or later.
                self.ledger.busy.difference_update(range(first, first + count))
                self.ledger.flying.pop(number, None)
            return self.ended(error)
        data = b"".join(stamp(version, first + i) for i in range(count))
        h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(data)), first * SECTOR,
                     completion=done)


def take_back(path):
    """Undoes a random part of what was written and never synced, in sectors."""
    with open(path, "rb") as f:
        log = f.read()
    pending, at = {}, 0
    while at < len(log):
        kind = log[at:at + 1]
        name_len, offset, length = struct.unpack_from("<QQQ", log, at + 1)
        at += 25
        name = log[at:at + name_len].decode()
        at += name_len
        if kind == b"S":
            pending.pop(name, None)
            continue
        pending.setdefault(name, []).append((offset, log[at:at + length]))
        at += length
    undone = 0
    for name, writes in pending.items():
        with open(name, "r+b") as f:
            for offset, old in reversed(writes):
                for i in range(0, len(old), SECTOR):
                    if rng.random() < 0.5:
                        f.seek(offset + i)
                        f.write(old[i:i + SECTOR])
                        undone += 1
    return undone


def outcome(call):
    try:
        call()
        return 0
    except nbd.Error as e:
        return errno.errorcode.get(e.errnum, e.errnum)


def build(work):
    shim = os.path.join(work, "pull.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim,
                    os.path.join(HERE, "pull.c"), "-ldl"], check=True)
    return shim


def start(lab, shim, kind, number):
    """The server, on what will fail."""
    below = lab.card + "/" if kind.startswith("card") else lab.store
    lab.flag = os.path.join(lab.work, "flag")
    lab.undo = os.path.join(lab.work, f"undo.{number}")
    os.environ.update(LD_PRELOAD=shim, PULL_DIR=below, PULL_FLAG=lab.flag,
                      PULL_LOG=lab.undo)
    try:
        lab.start()
    finally:
        for name in "LD_PRELOAD", "PULL_DIR", "PULL_FLAG", "PULL_LOG":
            os.environ.pop(name)


def load_and_fail(lab, load, kind):
    """The load, through the failure and beyond."""
    h = lab.connect()
    begun = time.monotonic()
    seconds = rng.uniform(0.2, 0.8)
    load.run(h, lambda: time.monotonic() - begun < seconds)
    # Before it fails there is something that was not flushed.
    letter = {"gone": "g", "unwritten": "w", "unsynced": "s"}[kind.split()[1]]
    with open(lab.flag, "w") as f:
        f.write(letter)
    # Until a request has met it: the load may have been put aside.
    begun = time.monotonic()
    broken = load.run(h, lambda: time.monotonic() - begun < (60 if not load.failed else 0.7))
    score.check(f"{kind}: the server answers", not broken)
    score.equal(f"{kind}: a flush", outcome(h.flush), "EIO")
    score.equal(f"{kind}: every error is EIO", set(load.failed), {errno.EIO})
    return h


def check_state(lab, kind, h):
    stat = lab.stat()
    score.equal(f"{kind}: lbs stat --json", stat["state"], "failed")
    score.check(f"{kind}: with a reason", len(stat["failure"]) > 20,
                stat["failure"])
    text = lab.run("lbs", "stat", lab.store).stdout
    score.check(f"{kind}: lbs stat", stat["failure"] in text and
                "start it again" in text, text)
    # The log is told by a message that never waits for its reader.
    wait_until(lambda: stat["failure"] in lab.said(), 60)
    log = lab.said()
    score.check(f"{kind}: the server's log says why", stat["failure"] in log, log)
    score.check(f"{kind}: and what to do", "start it again" in log and
                "[failed]" in log, log)
    score.equal(f"{kind}: a write", outcome(
        lambda: h.pwrite(bytes(512), 0)), "EIO")
    score.equal(f"{kind}: zeroes", outcome(lambda: h.zero(4096, 0)), "EIO")
    other = lab.connect()
    score.check(f"{kind}: a new client sees the same disk",
                not other.is_read_only() and
                other.get_size() == SIZE_MIB << 20)
    score.equal(f"{kind}: and the same error", outcome(
        lambda: other.pwrite(bytes(512), 0, nbd.CMD_FLAG_FUA)), "EIO")
    got = outcome(lambda: other.pread(1 << 20, 0))
    score.check(f"{kind}: reads", got == 0 if kind != "card gone" else
                got in (0, "EIO"), str(got))
    other.shutdown()
    h.shutdown()


def put_back(lab, shim, kind, number):
    """Ends the server, takes back what was not synced, opens again."""
    status = lab.stop()
    score.equal(f"{kind}: the end is no success", status, 1)
    os.remove(lab.flag)
    undone = take_back(lab.undo) if kind.startswith("card") else 0
    accepted = False
    try:
        lab.start()
    except RuntimeError as e:
        # Acknowledged, though not durable, in this boot: not lost in silence.
        score.check(f"{kind}: refused for what was not flushed",
                    undone and ("[data-missing]" in str(e) or
                                "[damaged]" in str(e)), str(e))
        done = lab.run("lbsck", "-y", "--accept-loss", lab.store, check=False)
        score.check(f"{kind}: the loss can be accepted", done.returncode == 1,
                    done.stdout + done.stderr)
        accepted = True
        lab.start()
    return undone, accepted


with Lab(f"{SIZE_MIB}M", "--capacity", "128M", "--segment-size", "1M",
         "--preallocate") as lab:
    shim = build(lab.work)
    ledger = Durable(SIZE_MIB << 20 >> 9)
    for number in range(ROUNDS):
        kind = KINDS[number % len(KINDS)]
        load = PullLoad(rng, ledger)
        start(lab, shim, kind, number)
        h = load_and_fail(lab, load, kind)
        check_state(lab, kind, h)
        undone, accepted = put_back(lab, shim, kind, number)
        promised = ledger.promised
        h = lab.connect()
        faults = ledger.judge(h)
        score.check(f"{kind}: nothing durable is missing", not faults,
                    "; ".join(faults[:4]))
        score.equal(f"{kind}: it takes writes again", outcome(h.flush), 0)
        h.shutdown()
        score.equal(f"{kind}: and ends well", lab.stop(), 0)
        done = lab.run("lbsck", "-n", "--scrub", lab.store, check=False)
        score.equal(f"{kind}: lbsck finds nothing", done.returncode, 0)
        print(f"round {number}: {kind}, {promised} writes durable, {undone} "
              f"sectors taken back{', loss accepted' if accepted else ''}",
              flush=True)
        if faults:
            break
score.end()
