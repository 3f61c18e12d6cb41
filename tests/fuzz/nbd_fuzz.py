#!/usr/bin/python3
"""nbd_fuzz - random streams of requests against lbs-nbd and a model of the disk in
memory: any length, offset and flags, ill-formed ones, several connections at
once, hang-ups in the middle, the server's end and death. What is acknowledged
must be read; what is refused must have changed nothing; what was under way when
a connection broke may be there or not, block by block.

    nbd_fuzz.py [--seconds N] [--seed N]
"""
import argparse
import os
import random
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from nbdlab import Lab, wait_until
from nbdraw import (CACHE, DF, DISC, ERRORS, FAST_ZERO, FLUSH, FUA, NO_HOLE, READ, REQ_ONE,
                    STATUS, TRIM, WRITE, ZERO, Broken, Connection, pump)

KIB, MIB, BLOCK = 1 << 10, 1 << 20, 4096
SIZE = 40 * MIB + 3 * 512
LONGEST = 64 * MIB		# what nbdkit takes
NOISE = random.Random(1).randbytes(LONGEST + MIB)


class Fuzz:
    def __init__(self, rng, lab):
        self.rng, self.lab = rng, lab
        self.disk = bytearray(SIZE)
        self.unsure = []	# (offset, what may be there instead)
        self.connections = []
        self.cookie = 0
        self.flying = {}	# cookie -> (kind, flags, offset, count, payload)
        self.busy = []		# (from, to) that a request under way may change
        self.looked = []	# the same that one looks at
        self.requests = self.refused = self.hang_ups = self.broken = 0
        self.provoked = False
        self.history = []	# since the last reopening: (what happened, request)

    # ---- requests ------------------------------------------------------------

    def length(self):
        r = self.rng
        return r.choice((1, 511, 512, 513, 4095, 4096, 4097, 8192, 65536, r.randrange(1, 3 * BLOCK),
                         r.randrange(1, 256 * KIB), r.choice((MIB - 1, MIB, MIB + 1, MIB + BLOCK)),
                         r.randrange(1, 4 * MIB) if r.random() < 0.3 else 4096,
                         32 * MIB - r.randrange(2) if r.random() < 0.05 else 100))

    def place(self, count):
        r = self.rng
        at = r.randrange(SIZE - count + 1)
        if r.random() < 0.5:
            at -= at % r.choice((512, BLOCK, 256 * KIB))
        if r.random() < 0.1:
            at = r.choice((0, SIZE - count))
        return at

    def free(self, at, count, changes):
        """Nothing under way, or of unknown end, meets this in a block."""
        ranges = self.busy + [(a, a + len(d)) for a, d in self.unsure]
        if changes:
            ranges += self.looked
        return all(at + count + BLOCK <= a or at >= b + BLOCK for a, b in ranges)

    def shape(self):
        """A request: (kind, flags, offset, count, payload, valid)."""
        r = self.rng
        kind = r.choice((READ, READ, WRITE, WRITE, WRITE, FLUSH, TRIM, ZERO, ZERO, CACHE, STATUS))
        flags = FUA if r.random() < 0.1 else 0
        if r.random() < 0.08:
            return self.ill_formed(kind)
        if kind == FLUSH:
            return kind, 0, 0, 0, b"", True
        count = self.length()
        if kind in (TRIM, ZERO, STATUS) and r.random() < 0.1:
            count = r.choice((SIZE, SIZE // 2, r.randrange(1, SIZE)))
        at = self.place(count)
        payload = b""
        if kind == WRITE:
            start = r.randrange(len(NOISE) - count)
            payload = bytes(count) if r.random() < 0.1 else NOISE[start:start + count]
        elif kind == ZERO:
            flags |= r.choice((0, 0, NO_HOLE, FAST_ZERO, NO_HOLE | FAST_ZERO))
        elif kind == STATUS:
            flags |= r.choice((0, REQ_ONE))
        elif kind == READ:
            flags |= r.choice((0, 0, DF))
        return kind, flags, at, count, payload, True

    def ill_formed(self, kind):
        r = self.rng
        at, count, flags = r.choice((
            (0, 0, 0), (SIZE, 1, 0), (SIZE - 1, 2, 0), (SIZE + r.randrange(1 << 40), 4096, 0),
            ((1 << 64) - 1, 1, 0), ((1 << 63), BLOCK, 0), ((1 << 64) - BLOCK, 2 * BLOCK, 0),
            (0, (1 << 32) - 1, 0), (BLOCK, SIZE, 0), (0, LONGEST + 1, 0),
            (0, BLOCK, r.randrange(32, 1 << 16))))
        if r.random() < 0.2:
            kind, at, count, flags = r.choice((8, 9, 77, 65535)), 0, BLOCK, 0
        if kind == FLUSH and not flags:
            at, count = 1, 1
        payload = b""
        if kind == WRITE:
            payload = NOISE[:min(count, LONGEST + 1)] if count <= LONGEST + 1 else b"\0" * 100
        return kind, flags, at, count, payload, False

    def submit(self, c):
        kind, flags, at, count, payload, valid = self.shape()
        if kind == STATUS and not c.context or kind == READ and flags & DF and not c.structured:
            valid = False
        if valid and kind in (READ, WRITE, TRIM, ZERO, STATUS):
            changes = kind in (WRITE, TRIM, ZERO)
            if not self.free(at, count, changes):
                return
            (self.busy if changes else self.looked).append((at, at + count))
        self.cookie += 1
        self.requests += 1
        self.flying[self.cookie] = (kind, flags, at, count, payload, valid)
        c.ask(kind, flags, self.cookie, at, count, payload)

    # ---- judging ---------------------------------------------------------------

    def told(self, request):
        names = {READ: "read", WRITE: "write", FLUSH: "flush", TRIM: "trim", CACHE: "cache",
                 ZERO: "zero", STATUS: "block status"}
        kind, flags, at, count = request[:4]
        return f"{names.get(kind, kind)} flags {flags:#x} {at}+{count}"

    def complain(self, what, request):
        sys.exit(f"FAULT: {self.told(request)}: {what}")

    def wrong(self, what, byte):
        """A byte of the disk that is not what it should be: who changed its block?"""
        for happened, request in self.history:
            if self.effect(request) and request[2] < byte + BLOCK and byte < request[2] + request[3] + BLOCK:
                print(f"  {happened}: {self.told(request)}")
        sys.exit(f"FAULT: {what} from byte {byte} on")

    def effect(self, request):
        """(offset, bytes) that a request leaves, or None."""
        kind, _, at, count, payload, valid = request
        if not valid or kind not in (WRITE, TRIM, ZERO):
            return None
        if kind == WRITE:
            return at, payload
        if kind == TRIM:
            end = at + count if at + count == SIZE else (at + count) // BLOCK * BLOCK
            at = -(-at // BLOCK) * BLOCK
            return (at, bytes(end - at)) if end > at else None
        return at, bytes(count)

    def settled(self, request):
        if request[5] and request[0] in (READ, WRITE, TRIM, ZERO, STATUS):
            (self.busy if request[0] in (WRITE, TRIM, ZERO) else self.looked).remove(
                (request[2], request[2] + request[3]))

    def judge(self, c, request, reply):
        kind, flags, at, count, _, valid = request
        self.settled(request)
        self.history.append((f"error {reply.error}" if reply.error else "done", request))
        if reply.error:
            self.refused += 1
            if reply.error not in ERRORS:
                self.complain(f"error {reply.error}", request)
            if valid and not (flags & FAST_ZERO and ERRORS[reply.error] == "ENOTSUP"):
                self.complain(ERRORS[reply.error], request)
            return
        if not valid:
            # Lenient only where the protocol says that it may be.
            if count == 0 or kind == FLUSH:
                return
            self.complain("taken, though ill-formed", request)
        if kind == READ:
            self.compare(request, reply)
        elif kind == STATUS:
            self.status(request, reply)
        elif (effect := self.effect(request)) is not None:
            self.disk[effect[0]:effect[0] + len(effect[1])] = effect[1]

    def compare(self, request, reply):
        _, _, at, count = request[:4]
        got, covered = bytearray(count), 0
        for offset, data in reply.data:
            data = bytes(data) if isinstance(data, int) else data
            if offset < at or offset + len(data) > at + count:
                self.complain("data from elsewhere", request)
            got[offset - at:offset - at + len(data)] = data
            covered += len(data)
        if covered != count:
            self.complain(f"{covered} bytes of data", request)
        if got != self.disk[at:at + count]:
            first = next(i for i in range(count) if got[i] != self.disk[at + i])
            self.wrong(f"{self.told(request)}: wrong data", at + first)

    def status(self, request, reply):
        _, flags, at, count = request[:4]
        if not reply.extents or flags & REQ_ONE and len(reply.extents) != 1:
            self.complain(f"{len(reply.extents)} extents", request)
        end = at + count
        for length, state in reply.extents:
            if length == 0 or at >= end or flags & REQ_ONE and length > count:
                self.complain(f"an extent of {length} at {at}", request)
            if state & 2 and any(self.disk[at:min(at + length, end)]):
                self.complain(f"zeroes of {length} bytes at {at}", request)
            at += length

    # ---- connections --------------------------------------------------------------

    def connect(self):
        r = self.rng
        end = time.monotonic() + 60
        while True:
            try:
                c = Connection(self.lab.sock, r.choice((b"", b"disk")), r.random() < 0.8,
                               r.random() < 0.8)
                break
            except Broken:
                if time.monotonic() > end:
                    sys.exit("FAULT: no connection within 60 s")
                time.sleep(0.02)
        if c.size != SIZE:
            sys.exit(f"FAULT: the disk has {c.size} bytes, not {SIZE}")
        self.connections.append(c)

    def forget(self, c):
        """What is under way there may be done or not."""
        for cookie in c.asked:
            request = self.flying.pop(cookie)
            self.history.append(("under way", request))
            effect = self.effect(request)
            if effect is not None:
                self.unsure.append(effect)
            self.settled(request)
        c.close()
        self.connections.remove(c)

    def hang_up(self, c):
        r = self.rng
        self.hang_ups += 1
        self.provoked = True
        for _ in range(r.randrange(1, 12)):
            self.submit(c)
        kind = r.randrange(4)
        try:
            if kind == 0:	# in the middle of a request
                c.sock.send(bytes(c.out[:r.randrange(len(c.out) + 1)]))
            elif kind == 1:	# noise instead of a request
                if len(c.out) < 65536:
                    c.sock.send(bytes(c.out) + r.randbytes(40))
            elif kind == 2:	# with all of them sent, or as many as go
                c.sock.setblocking(True)
                c.sock.settimeout(0.2)
                c.sock.sendall(c.out)
            else:		# as the protocol wants it, but with requests under way
                c.ask(DISC, 0, 0, 0, 0)
                del c.asked[0]
                c.sock.send(bytes(c.out[:65536]))
        except OSError:
            pass
        self.forget(c)

    def rude(self):
        """A handshake that makes no sense."""
        r = self.rng
        self.provoked = True
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            try:
                s.connect(self.lab.sock)
                for _ in range(r.randrange(1, 5)):
                    s.sendall(r.choice((
                        r.randbytes(r.randrange(1, 300)), struct.pack(">I", r.choice((0, 1, 3, 0xffffffff))),
                        struct.pack(">QII", 0x49484156454F5054, r.randrange(12), r.choice((0, 5, 4096, 0xffffffff))),
                        struct.pack(">QII", 0x49484156454F5054, 7, 5000) + r.randbytes(5000),
                        struct.pack(">QII", 0x49484156454F5054, 10, 12) + struct.pack(">III", 0, 0xffffffff, 0))))
                if r.random() < 0.5:
                    s.recv(4096)
            except OSError:
                pass

    # ---- rounds -----------------------------------------------------------------------

    def burst(self):
        r = self.rng
        while len(self.connections) < 3:
            self.connect()
        chosen = r.sample(self.connections, r.randrange(1, 4))
        for c in chosen:
            for _ in range(r.choice((1, 1, 4, 16, 40))):
                self.submit(c)
        for c, cookie, reply in pump(chosen):
            if not isinstance(reply, Broken):
                self.judge(c, self.flying.pop(cookie), reply)
                continue
            # nbdkit 1.32 ends with all connections when one of them breaks.
            self.provoked |= not all(request[5] for request in self.flying.values())
            if reply.wrong or not self.provoked:
                sys.exit(f"FAULT: a connection broke: {reply}")
            self.broken += 1
            self.forget(c)
        if r.random() < 0.05:
            self.rude()
        if r.random() < 0.06 and self.connections:
            self.hang_up(r.choice(self.connections))

    def reopen(self):
        """Ends or kills the server and compares all of the disk with the model."""
        for c in list(self.connections):
            self.forget(c)
        said = self.lab.said()
        for line in said.splitlines():
            if "started again" in line and "after a client hung up" not in line:
                sys.exit(f"FAULT: {line}")
        if self.rng.random() < 0.5:
            if (status := self.lab.stop()) != 0:
                sys.exit(f"FAULT: the server ended with {status}")
        else:
            self.lab.kill()
        if self.rng.random() < 0.3:
            done = self.lab.run("lbsck", "--scrub", self.lab.store, check=False)
            if done.returncode != 0:
                sys.exit(f"FAULT: lbsck: {done.stdout}{done.stderr}")
        self.lab.start()
        c = Connection(self.lab.sock)
        got = bytearray()
        while len(got) < SIZE:
            n = min(8 * MIB, SIZE - len(got))
            c.ask(READ, 0, len(got), len(got), n)
            for _, _, reply in pump([c]):
                if isinstance(reply, Broken) or reply.error:
                    sys.exit(f"FAULT: reading all after reopening: {reply}")
                piece = bytearray(n)
                for at, data in reply.data:
                    data = bytes(data) if isinstance(data, int) else data
                    piece[at - len(got):at - len(got) + len(data)] = data
            got += piece
        c.close()
        # A block of what was under way is whole: as it was or as it should be.
        for at, new in self.unsure:
            for block in range(at // BLOCK * BLOCK, at + len(new), BLOCK):
                first, end = max(block, at), min(block + BLOCK, at + len(new))
                if got[first:end] == new[first - at:end - at]:
                    self.disk[first:end] = got[first:end]
        self.unsure.clear()
        self.provoked = False
        if got != self.disk:
            first = next(i for i in range(SIZE) if got[i] != self.disk[i])
            self.wrong("reopened, the disk differs", first)
        self.history.clear()


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=10)
    arguments.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or
                                                            random.SystemRandom().randrange(1 << 32)))
    options = arguments.parse_args()
    print(f"seed {options.seed} (--seed {options.seed} repeats this)", flush=True)
    end = time.monotonic() + options.seconds
    rounds = 0
    with Lab(str(SIZE), "--capacity", "400M", "--segment-size", "1M", "--chunk-size", "64M") as lab:
        fuzz = Fuzz(random.Random(options.seed), lab)
        lab.start()
        while time.monotonic() < end:
            for _ in range(fuzz.rng.randrange(5, 60)):
                fuzz.burst()
            fuzz.reopen()
            rounds += 1
        for c in list(fuzz.connections):
            fuzz.forget(c)
        if not wait_until(lambda: lab.launcher.poll() is None, 1) or lab.stop() != 0:
            sys.exit("FAULT: the server does not end well")
    print(f"nbd_fuzz: {fuzz.requests} requests ({fuzz.refused} refused), {fuzz.hang_ups} hang-ups, "
          f"{fuzz.broken} connections broken by them, {rounds} reopenings; the disk was right")


main()
