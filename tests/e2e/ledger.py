"""ledger - what a disk must hold, sector by sector, as a client saw it
acknowledged, and a load that keeps it. It lives in the client's process, so the
server's death does not touch it.

Each 512-byte sector of a write carries the write's number and its own address.
Operations under way never overlap; when the server dies, each of them may be
there or not, but whole or not at all. Must never forget an acknowledgement.
"""
import nbd

SECTOR = 512
BLOCK = 8 * SECTOR
FILL = b"a ledger keeps what was acknowledged".ljust(SECTOR - 16, b".")


def stamp(version, sector):
    """The contents of a sector; version 0 is a sector of zeroes."""
    if version == 0:
        return bytes(SECTOR)
    return version.to_bytes(8, "little") + sector.to_bytes(8, "little") + FILL


def version_of(data, sector):
    """The version that a sector's contents bear, or None for anything else."""
    version = int.from_bytes(data[:8], "little")
    return version if data == stamp(version, sector) else None


class Ledger:
    def __init__(self, sectors):
        self.acked = [0] * sectors
        self.flying = {}	# number of an operation: (first, count, version)
        self.busy = set()	# sectors of those
        self.next = 1
        self.writes = 0

    def begin(self, first, count, version):
        number = self.next
        self.next += 1
        self.flying[number] = (first, count, version)
        self.busy.update(range(first, first + count))
        return number

    def acknowledge(self, number):
        first, count, version = self.flying.pop(number)
        self.acked[first:first + count] = [version] * count
        self.busy.difference_update(range(first, first + count))
        self.writes += 1

    def free(self, first, count):
        return self.busy.isdisjoint(range(first, first + count))

    def judge(self, h):
        """Compares a disk with the ledger and takes over what of the operations
        under way is there. Returns a list of complaints."""
        faults = []
        found = []
        step = 8192
        for at in range(0, len(self.acked), step):
            n = min(step, len(self.acked) - at)
            data = h.pread(n * SECTOR, at * SECTOR)
            found += [version_of(data[i * SECTOR:(i + 1) * SECTOR], at + i)
                      for i in range(n)]
        for first, count, version in self.flying.values():
            now = found[first:first + count]
            old = self.acked[first:first + count]
            if now == [version] * count:
                self.acked[first:first + count] = now
            elif now != old:
                faults.append(f"sectors {first}+{count}: neither the old nor the "
                              f"new ({version}): {now[:8]} was {old[:8]}")
        for sector, (now, wanted) in enumerate(zip(found, self.acked)):
            if now != wanted and sector not in self.busy:
                faults.append(f"sector {sector}: version {now}, acknowledged "
                              f"was {wanted}")
        self.flying.clear()
        self.busy.clear()
        return faults


class Load:
    """Random writes, discards and flushes at some depth over one connection,
    until it breaks or enough are done."""

    def __init__(self, rng, ledger, depth=12):
        self.rng, self.ledger, self.depth = rng, ledger, depth
        self.failed = []	# errors that are not the connection's end

    def place(self, most):
        sectors = len(self.ledger.acked)
        for _ in range(20):
            count = min(most, sectors)
            first = self.rng.randrange(sectors - count + 1)
            if self.ledger.free(first, count):
                return first, count
        return None

    def submit(self, h):
        kind = self.rng.random()
        if kind < 0.04:
            h.aio_flush(completion=self.ended)
            return
        most = self.rng.choice((1, 3, 8, 8, 8, 8, 16, 31, 128))
        if kind > 0.995:
            most = 2048
        place = self.place(most)
        if not place:
            return
        first, count = place
        fua = nbd.CMD_FLAG_FUA if kind < 0.06 else 0
        trim = kind > 0.9 and first % 8 == 0 and count % 8 == 0
        version = 0 if trim else self.ledger.next
        number = self.ledger.begin(first, count, version)

        def done(error, number=number):
            if error.value == 0:
                self.ledger.acknowledge(number)
            return self.ended(error)
        if trim:
            h.aio_trim(count * SECTOR, first * SECTOR, completion=done, flags=fua)
        else:
            data = b"".join(stamp(version, first + i) for i in range(count))
            h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(data)), first * SECTOR,
                         completion=done, flags=fua)

    def ended(self, error):
        if error.value:
            self.failed.append(error.value)
        return 1

    def run(self, h, go_on):
        """Until go_on() is false (then everything is waited for) or the
        connection breaks (True)."""
        try:
            while True:
                more = go_on()
                if not more and h.aio_in_flight() == 0:
                    return False
                while more and h.aio_in_flight() < self.depth:
                    self.submit(h)
                h.poll(20)
        except nbd.Error:
            return True
