#!/usr/bin/python3
"""lab - what an attack script cannot do in shell: the guest's side of a disk over
NBD, judged against a file that holds the truth, and finding things on the card.
Must never count an error as right data, nor wrong data as an error.

    lab.py write SEED FIRST COUNT    blocks of that seed, on the disk and in the truth
    lab.py part SEED OFFSET COUNT    the same for bytes
    lab.py discard FIRST COUNT
    lab.py same                      one content for many blocks, and flushes
    lab.py flush
    lab.py check [BLOCK...]          exactly these give EIO, all others the truth
    lab.py check some                any may give EIO, none may be wrong
    lab.py check prefix FIRST COUNT  of these, written in this order over zeroes, the
                                     first few are there; all others as the truth
    lab.py frame BLOCK               the file and offset of its frame
    lab.py shortest BLOCK...         the length of the shortest of their frames
    lab.py blocks FILE FROM BYTES    blocks with a frame there
    lab.py records FILE AT BYTES     offset and length of the records of a segment
    lab.py repeats CARD...           looks for ciphertext that is there twice, also in
                                     copies of a card from several times
    lab.py forks BASE CARD CARD      and for what two cards have at one place
    lab.py clear CARD                looks for the guest's data and the key

NBD at $uri, the truth in $truth, the store in the working directory. FORMAT.md is
followed anew here: nothing of the engine is used.
"""
import errno
import hashlib
import os
import shutil
import sqlite3
import sys
import tempfile

BLOCK = 4096
FRAME = 4120    # without compression
SEGMENT_HEADER = 4096


def content(seed, block, length=BLOCK):
    """Bytes that tell which block they are and when they were written. In a store
    with compression some of them compress."""
    data = hashlib.shake_128(b"%d:%d" % (seed, block)).digest(length)
    if os.environ.get("LBS_ATTACK_COMPRESS") and block % 4:
        keep = length * (block % 4) // 5
        data = data[:keep] + data[:1] * (length - keep)
    return data


# ---- the guest ---------------------------------------------------------------

def connect():
    import nbd
    h = nbd.NBD()
    h.connect_uri(os.environ["uri"])
    return h


def to_truth(data, at):
    with open(os.environ["truth"], "r+b") as f:
        f.seek(at)
        f.write(data)


def write(seed, first, count):
    h = connect()
    for block in range(first, first + count):
        data = content(seed, block)
        h.pwrite(data, block * BLOCK)
        to_truth(data, block * BLOCK)


def part(seed, offset, count):
    data = content(seed, offset, count)
    connect().pwrite(data, offset)
    to_truth(data, offset)


def same():
    h = connect()
    data = content(50, 0)
    for first in (0, 100, 500):
        h.pwrite(data * 40, first * BLOCK)
        for block in range(first + 40, first + 60):
            h.pwrite(data, block * BLOCK)
    h.flush()


def discard(first, count):
    connect().trim(count * BLOCK, first * BLOCK)
    to_truth(bytes(count * BLOCK), first * BLOCK)


def flush():
    connect().flush()


def look():
    """Reads every block: those that gave EIO, and those that were wrong."""
    import nbd
    h = connect()
    failed, wrong = [], {}
    with open(os.environ["truth"], "rb") as f:
        truth = f.read()
    if h.get_size() != len(truth):
        sys.exit(f"FAULT: the disk has {h.get_size()} bytes, not {len(truth)}")
    for block in range(len(truth) // BLOCK):
        try:
            got = h.pread(BLOCK, block * BLOCK)
        except nbd.Error as e:
            if e.errnum != errno.EIO:
                sys.exit(f"FAULT: block {block}: {e}")
            failed.append(block)
            continue
        if got != truth[block * BLOCK:(block + 1) * BLOCK]:
            wrong[block] = got
    return failed, wrong


def check(*expected):
    failed, wrong = look()
    if expected[:1] == ("prefix",):
        first, count = int(expected[1]), int(expected[2])
        there = [b not in wrong for b in range(first, first + count)]
        for b in range(first, first + count):
            if b in wrong and not any(wrong[b]):
                del wrong[b]
        if there != sorted(there, reverse=True):
            sys.exit(f"FAULT: not a prefix of the writes: {there}")
        expected = ()
    if wrong:
        sys.exit(f"FAULT: wrong data in blocks {sorted(wrong)[:20]}")
    if expected != ("some",) and failed != sorted(map(int, expected)):
        sys.exit(f"FAULT: EIO on blocks {failed[:40]}, not on "
                 f"{sorted(map(int, expected))[:40]}")
    print(f"{len(failed)} blocks give EIO, no block is wrong")


# ---- the card ------------------------------------------------------------------

def metadata():
    """The metadata through a copy, so that SQLite changes nothing."""
    work = tempfile.mkdtemp(prefix="lbs-look.")
    try:
        for end in ("", "-wal"):
            if os.path.exists("corp.lbs" + end):
                shutil.copy("corp.lbs" + end, work)
        db = sqlite3.connect(os.path.join(work, "corp.lbs"))
        geometry = db.execute("SELECT segment_size,chunk_size FROM store").fetchone()
        rows = [[], []]
        for i, table in enumerate(("map_base", "map_delta")):
            rows[i] = db.execute(f"SELECT key,runs FROM {table} ORDER BY key").fetchall()
        db.close()
    finally:
        shutil.rmtree(work)
    return geometry, rows


def varint(blob, at):
    value = shift = 0
    while True:
        byte = blob[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def frames():
    """block -> (file, offset), from the persisted map: FORMAT.md section 9."""
    (segment_size, chunk_size), (base, deltas) = metadata()
    entries = {}
    for first, rows in ((lambda key: key & (1 << 40) - 1, base),
                        (lambda key: (key >> 12 & (1 << 28) - 1) * 131072, deltas)):
        for key, runs in rows:
            block, at, end = first(key), 0, 0
            while at < len(runs):
                head, at = varint(runs, at)
                count, gap, mapped = head >> 2, head & 2, head & 1
                if gap:
                    more, at = varint(runs, at)
                    block += more
                if mapped:
                    zigzag, at = varint(runs, at)
                    end += zigzag // 2 if zigzag % 2 == 0 else -(zigzag + 1) // 2
                for i in range(count):
                    entries[block + i] = end + 515 * i if mapped else None
                if mapped:
                    end += 515 * count
                block += count
    units, per = segment_size // 8, chunk_size // segment_size
    return {block: ("card/%04d.lbs" % (p // units // per),
                    p // units % per * segment_size + p % units * 8)
            for block, p in entries.items() if p is not None}


def frame(block):
    print(*frames()[block])


def length(file, at):
    """Of a frame, as it was when the store was taken: FORMAT.md section 6.1."""
    if not os.environ.get("LBS_ATTACK_COMPRESS"):
        return FRAME
    with open(os.path.join(os.environ["LBS_ATTACK_TAKEN"], file), "rb") as f:
        f.seek(at + 8)
        return (26 + int.from_bytes(f.read(2), "little") + 7) // 8 * 8


def shortest(*wanted):
    all_of_them = frames()
    print(min(length(*all_of_them[int(block)]) for block in wanted))


def blocks(name, start, count):
    print(*sorted(b for b, (file, at) in frames().items() if file == name and
                  at < start + count and at + length(file, at) > start))


def records(name, start, size):
    with open(name, "rb") as f:
        f.seek(start)
        segment = f.read(size)
    at = SEGMENT_HEADER
    while at + 24 <= len(segment):
        if segment[at:at + 4] == b"LBSr":
            length = int.from_bytes(segment[at + 4:at + 8], "little")
            print(start + at, length)
            at += length
        elif at % 4096:
            at += 4096 - at % 4096
        else:
            break


def granules(card):
    """(file, offset, 16 bytes at it) at each multiple of 8 that should be unique:
    without zeroes and what FORMAT.md calls plain and fixed."""
    with sqlite3.connect("file:%s?immutable=1" % os.path.abspath("corp.lbs"), uri=True) as db:
        store_id, = db.execute("SELECT store_id FROM store").fetchone()
    plain = {bytes(8), store_id[:8], store_id[8:], (1).to_bytes(8, "little")}
    for name in sorted(os.listdir(card)):
        with open(os.path.join(card, name), "rb") as f:
            data = f.read()
        for page in range(0, len(data), 4096):
            if not any(data[page:page + 4096]):
                continue
            for at in range(page, min(page + 4096, len(data) - 8), 8):
                a, b = data[at:at + 8], data[at + 8:at + 16]
                if a[4:] == bytes(4):
                    continue  # the end of a tag and the padding of a short frame
                if not (a in plain or b in plain or a[:3] == b"LBS" or b[:3] == b"LBS"):
                    yield name, at, a + b


def repeats(*cards):
    seen = {}
    for card in cards:
        for name, at, window in granules(card):
            if seen.setdefault(window, (name, at)) != (name, at):
                sys.exit(f"FAULT: {card}/{name} shows at {at} what stood at {seen[window]}")
    print(f"{len(seen)} different pieces of ciphertext in {len(cards)} cards")


def forks(base, one, other):
    repeats(one, other)
    base, one, other = ({(name, at): window for name, at, window in granules(card)}
                        for card in (base, one, other))
    both = [place for place in one if place in other and
            base.get(place) not in (one[place], other[place])]
    same = [place for place in both if one[place] == other[place]]
    if len(both) < 10000 or same:
        sys.exit(f"FAULT: of {len(both)} places that both wrote, equal are {same[:10]}")
    print(f"{len(both)} places that both wrote differ")


def clear(card):
    with sqlite3.connect("file:corp.lbs?immutable=1", uri=True) as db:
        key, directory = db.execute("SELECT data_key,data_dir FROM store").fetchone()
    with open(os.environ["truth"], "rb") as f:
        truth = f.read()
    words = {key[:16], key[16:], b"corp.lbs", directory.encode()}
    words.update(truth[at:at + 16] for at in range(0, len(truth), 512) if any(truth[at:at + 16]))
    for name in sorted(os.listdir(card)):
        with open(os.path.join(card, name), "rb") as f:
            data = f.read().rstrip(b"\0")
        if any(word in data for word in words if len(word) != 16):
            sys.exit(f"FAULT: {name} names the store")
        for at in range(len(data) - 15):
            if data[at:at + 16] in words:
                sys.exit(f"FAULT: {name} shows plain text or the key at {at}")
    print(f"{len(words)} words searched for")


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    globals()[verb](*(int(a) if a.isdigit() else a for a in rest))
