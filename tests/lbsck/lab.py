"""lab - the stores that tests/lbsck damages, and what its generators need to find
their target: where a block lies by the metadata, how map rows are packed
(FORMAT.md section 9). Must never use the code under test to do the damage.
"""
import os
import shutil
import signal
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "e2e"))
import nbd			# noqa: E402
from nbdlab import Lab		# noqa: E402

MIB = 1 << 20
BLOCK, PAGE, FRAME = 4096, 4096, 4120
REGION_BLOCKS = 131072
SEGMENT, CHUNK_SEGMENTS = MIB, 4
DISK = 24 * MIB
CREATE = ("--capacity", "32M", "--segment-size", "1M", "--chunk-size", "4M",
          "--preallocate")


def pattern(seed, block):
    """A block that tells its place and its writer, and is never zero."""
    return (b"%8d %8d " % (seed, block)).ljust(BLOCK, b".")


# ---- the stores -----------------------------------------------------------------

class Maker(Lab):
    """Writes a store's life through the server, one request at a time, so that
    every run lays it out alike."""

    def __init__(self):
        super().__init__(f"{DISK}", *CREATE)
        self.truth = bytearray(DISK)

    def life(self, seed, end="close"):
        self.start()
        h = self.connect()

        def write(first, count, step):
            for at in range(first, first + count, step):
                data = b"".join(pattern(seed, at + i) for i in range(step))
                h.pwrite(data, at * BLOCK)
                # Else the store would, when it sees fit: each sync moves what
                # follows to a fresh page.
                h.flush()
                self.truth[at * BLOCK:(at + step) * BLOCK] = data
        write(0, 60, 1)			# singles
        write(256, 768, 16)		# three MiB: some segments are closed
        h.trim(64 * BLOCK, 512 * BLOCK)
        self.truth[512 * BLOCK:576 * BLOCK] = bytes(64 * BLOCK)
        if end == "close":		# what is killed leaves this as it was
            write(2048, 32, 4)		# the second page of the map
        if end == "close":
            h.shutdown()
            assert self.stop() == 0
        else:
            # The launcher must neither start it again nor, by dying first, have
            # it finish.
            self.launcher.send_signal(signal.SIGSTOP)
            os.kill(self.nbdkit(), signal.SIGKILL)
            self.kill()

    def keep(self, where):
        os.makedirs(where)
        shutil.copytree(self.card, os.path.join(where, "card"))
        for end in "", "-wal":
            if os.path.exists(self.store + end):
                shutil.copy(self.store + end, os.path.join(where, "corp.lbs") + end)


def make_stores(root):
    """root/closed, root/killed, root/foreign, and root/older, what card and
    metadata were before the last life. Returns the truth of each."""
    truth = {}
    with Maker() as maker:
        maker.life(1)
        maker.keep(os.path.join(root, "older"))
        truth["older"] = bytes(maker.truth)
        maker.life(2)
        maker.life(3)
        maker.keep(os.path.join(root, "closed"))
        truth["closed"] = bytes(maker.truth)
        maker.life(4, "kill")
        maker.keep(os.path.join(root, "killed"))
        truth["killed"] = bytes(maker.truth)
    with Maker() as maker:
        maker.life(9)
        maker.keep(os.path.join(root, "foreign"))
    return truth


# ---- packed runs ----------------------------------------------------------------

def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def pack(runs):
    """Runs of (block, count, (segment, offset) or None for holes)."""
    out, end, last = b"", 0, 0
    for block, count, place in runs:
        gap = block - end
        out += varint(count << 2 | (2 if gap else 0) | (1 if place else 0))
        if gap:
            out += varint(gap)
        if place:
            linear = place[0] * (SEGMENT // 8) + place[1] // 8
            x = linear - last
            out += varint(2 * x if x >= 0 else -2 * x - 1)
            last = linear + count * (FRAME // 8)
        end = block + count
    return out


def unpack(blob):
    at, end, last, runs = 0, 0, 0, []

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = blob[at]
            at += 1
            n |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return n
    while at < len(blob):
        head = number()
        start = end + (number() if head & 2 else 0)
        place = None
        if head & 1:
            z = number()
            last += z // 2 if z % 2 == 0 else -(z + 1) // 2
            place = (last // (SEGMENT // 8), last % (SEGMENT // 8) * 8)
            last += (head >> 2) * (FRAME // 8)
        runs.append((start, head >> 2, place))
        end = start + (head >> 2)
    return runs


# ---- a store to damage ----------------------------------------------------------

class Store:
    """A copy of one of the stores, in its own directory. Beside it lie the others
    under their names."""

    def __init__(self, root, name):
        self.root = root
        self.dir = os.path.join(root, "it")
        self.meta = os.path.join(self.dir, "corp.lbs")
        self.card = os.path.join(self.dir, "card")
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.copytree(os.path.join(root, name), self.dir)

    def sql(self, text, *values):
        db = sqlite3.connect(self.meta)
        rows = db.execute(text, values).fetchall()
        db.commit()
        db.close()
        return rows

    def page_of(self, table):
        """The root page of a table, folded in and not only in the log."""
        db = sqlite3.connect(self.meta)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = db.execute("SELECT rootpage FROM sqlite_schema WHERE name=?",
                          (table,)).fetchone()[0]
        db.close()
        return page

    def scribble(self, page, at=0, length=4096):
        """Junk over a part of a page of the metadata file, counted from 1."""
        with open(self.meta, "r+b") as f:
            f.seek((page - 1) * 4096 + at)
            f.write(bytes((i * 37 + 11) & 0xFF for i in range(length)))

    def map(self):
        """Block to (segment, offset), as persisted."""
        entries = {}
        base = self.sql("SELECT key & 0xffffffffff, runs FROM map_base ORDER BY key")
        deltas = self.sql("SELECT (key >> 12) & 0xfffffff, runs FROM map_delta "
                          "ORDER BY key")
        rows = list(base)
        rows += [(region * REGION_BLOCKS, runs)
                 for region, runs in deltas]
        for first, blob in rows:
            for start, count, place in unpack(blob):
                for i in range(count):
                    if place:
                        entries[first + start + i] = (place[0],
                                                      place[1] + i * FRAME)
                    else:
                        entries.pop(first + start + i, None)
        return entries

    def as_deltas(self):
        """The map as two delta rows: all of it, and again its first half, as
        checkpoints leave it that change little of a large region."""
        runs = [(first + start, count, place)
                for first, blob in self.sql("SELECT key & 0xffffffffff, runs "
                                            "FROM map_base ORDER BY key")
                for start, count, place in unpack(blob)]
        assert not self.sql("SELECT key FROM map_delta")
        self.sql("DELETE FROM map_base")
        self.add_delta(runs, number=0)
        self.add_delta(runs[:len(runs) // 2], number=1)

    def add_delta(self, runs, layer=1, number=900):
        self.sql("INSERT INTO map_delta VALUES(?,?)", layer << 40 | number,
                 pack(runs))

    def serial_of(self, segment):
        return self.sql("SELECT serial FROM segment WHERE idx=?", segment)[0][0]

    def closed_segment(self):
        """A segment with live blocks that the log has left: another of its
        session follows it."""
        live = {s for s, _ in self.map().values()}
        serials = {s: n for s, n in self.sql("SELECT idx, serial FROM segment")}
        return min(s for s in live if serials[s] + 1 in serials.values())

    def open_segment(self):
        """The segment written last: it has no index yet."""
        live = {s for s, _ in self.map().values()}
        return max(live, key=self.serial_of)

    def count(self, segment, by):
        """Corrects the count of live blocks."""
        counts = bytearray(self.sql("SELECT counts FROM live WHERE grp=0")[0][0])
        at = slice(4 * segment, 4 * segment + 4)
        counts[at] = (int.from_bytes(counts[at], "little") + by).to_bytes(
            4, "little")
        self.sql("UPDATE live SET counts=? WHERE grp=0", bytes(counts))

    def place_in(self, segment):
        return min(p for p in self.map().values() if p[0] == segment)

    def file_of(self, segment):
        return os.path.join(self.card, f"{segment // CHUNK_SEGMENTS:04d}.lbs")

    def flip(self, segment, offset, count=1):
        with open(self.file_of(segment), "r+b") as f:
            for i in range(count):
                at = segment % CHUNK_SEGMENTS * SEGMENT + offset + i
                f.seek(at)
                byte = f.read(1)[0]
                f.seek(at)
                f.write(bytes([byte ^ 0x40]))

    def read_segment(self, store, segment):
        path = os.path.join(self.root, store, "card",
                            f"{segment // CHUNK_SEGMENTS:04d}.lbs")
        with open(path, "rb") as f:
            f.seek(segment % CHUNK_SEGMENTS * SEGMENT)
            return f.read(SEGMENT)

    def write_segment(self, segment, data):
        with open(self.file_of(segment), "r+b") as f:
            f.seek(segment % CHUNK_SEGMENTS * SEGMENT)
            f.write(data)

    def put(self, store, name):
        """A file or directory of another store in place of this one's."""
        to = os.path.join(self.dir, name)
        source = os.path.join(self.root, store, name)
        if os.path.isdir(source):
            shutil.rmtree(to)
            shutil.copytree(source, to)
        else:
            shutil.copy(source, to)
