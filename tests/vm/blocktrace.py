"""blocktrace - what a card saw, from the powercut filter's trace: which writes fell on file
system structures and which on the store's files, in what pieces, and how many of the
card's allocation units were open at once. Pure: takes a trace and a layout. Must judge
nothing that depends on how fast a machine is: between two flushes the kernel writes in
its own order and at its own time, so what is judged is what each flush finds written.
"""
import bisect
import struct

UNIT = 4 << 20		# the allocation unit of most cards
LARGE = 512 << 10	# the unit in which cameras record


class Volume:
    """Where things lie in a FAT32 or exFAT partition. extents: (start, end) in bytes of
    the card, of the files whose contents are data."""

    def __init__(self, image, start, extents):
        with open(image, "rb") as f:
            f.seek(start)
            boot = f.read(512)
        self.start, self.extents = start, sorted(extents)
        self.starts = [a for a, _ in self.extents]
        if boot[3:8] == b"EXFAT":
            fat, length = struct.unpack_from("<II", boot, 80)
            self.fat = (start + (fat << boot[108]), start + (fat + length << boot[108]))
        else:
            sector, = struct.unpack_from("<H", boot, 11)
            reserved, = struct.unpack_from("<H", boot, 14)
            length, = struct.unpack_from("<I", boot, 36)
            self.fat = (start + reserved * sector, start + (reserved + boot[16] * length) * sector)

    def region(self, offset):
        n = bisect.bisect_right(self.starts, offset) - 1
        if n >= 0 and offset < self.extents[n][1]:
            return "data"
        if offset < self.fat[0]:
            return "boot"
        # Behind the FATs what no file of the store's has: directories, exFAT's bitmap.
        return "fat" if offset < self.fat[1] else "directory"


def requests(path):
    """(kind, offset, length) of each request, in order."""
    with open(path) as f:
        for line in f:
            _, kind, offset, length = line.split()
            yield kind, int(offset), int(length)


def closed_early(writes, held):
    """How often a card that holds so many units open closes one before its run of writes
    is over: it shows by going on, in the middle, where it left off."""
    units, ends, early = [], {}, 0
    for offset, length in writes:
        unit = offset // UNIT
        if unit in units:
            units.remove(unit)
        elif ends.get(unit) == offset and offset % UNIT:
            early += 1
        units = [unit, *units[:held - 1]]
        # A request may end in a later unit.
        for other in range(unit, (offset + length - 1) // UNIT + 1):
            ends[other] = min(offset + length, (other + 1) * UNIT)
            if other != unit:
                units = [other, *units[:held - 1]]
    return early


def open_units(writes, most=8):
    """The least number of open units with which none is closed early."""
    return next((held for held in range(1, most + 1) if not closed_early(writes, held)), most + 1)


def steps(path, volume):
    """The data's writes, from flush to flush; where the host passes none on, as long as
    their places rise, which they do within a sync."""
    told, now = any(kind == "F" for kind, _, _ in requests(path)), []
    for kind, offset, length in requests(path):
        if kind == "F" or not told and now and offset < now[-1][0]:
            yield now
            now = []
        if kind != "F" and volume.region(offset) == "data":
            now.append((offset, length))
    yield now


def joined(writes):
    """What is written when all of these are, whatever their order: disjoint (start, end)."""
    found = []
    for offset, length in sorted(writes):
        if found and offset <= found[-1][1]:
            found[-1][1] = max(found[-1][1], offset + length)
        else:
            found.append([offset, offset + length])
    return found


def by_unit(pieces):
    """{unit: [(start, end)...]}, each cut where a unit ends."""
    units = {}
    for start, end in pieces:
        for unit in range(start // UNIT, (end - 1) // UNIT + 1):
            units.setdefault(unit, []).append((max(start, unit * UNIT), min(end, (unit + 1) * UNIT)))
    return units


class Flushes:
    """What does not depend on the order in which the kernel wrote between two flushes."""

    def __init__(self, all_steps):
        self.count = self.most_open = self.gaps = self.needless = 0
        found, last, still = [], {}, []
        for writes in all_steps:
            pieces = joined(writes)
            found.append(by_unit(pieces))
            # One request of each piece is what remains of it.
            small = sorted(length for _, length in writes if length < LARGE)
            self.needless += sum(small[:max(len(small) - len(pieces), 0)])
        for number, units in enumerate(found):
            still.append(0)
            for unit, pieces in units.items():
                self.gaps += len(pieces) - 1
                # Begun before, not begun anew: it was open at the flushes between.
                if unit in last and pieces[0][0] % UNIT:
                    for n in range(last[unit], number):
                        still[n] += 1
                last[unit] = number
        self.count, self.most_open = len(found), max(still)


def histogram(lengths):
    """Bytes by size of piece, in powers of two of KiB."""
    found = {}
    for length in lengths:
        size = 1 << max(length - 1, 0).bit_length()
        found[size] = found.get(size, 0) + length
    return {f"{size >> 10}K" if size >= 1024 else f"{size}": found[size] for size in sorted(found)}


def analyse(path, volume):
    regions, runs, lengths, writes = {}, [], [], []
    flushes, per_flush, since = 0, [], 0
    for kind, offset, length in requests(path):
        if kind == "F":
            flushes += 1
            if since:
                per_flush.append(since)
            since = 0
            continue
        region = volume.region(offset)
        regions[region] = regions.get(region, 0) + 1
        if region != "data":
            continue
        lengths.append(length)
        writes.append((offset, length))
        if runs and runs[-1][0] + runs[-1][1] == offset:
            runs[-1][1] += length
        else:
            runs.append([offset, length])
            since += 1
    total, between = sum(lengths), Flushes(steps(path, volume))
    return {"requests": sum(regions.values()), "by_region": regions, "bytes": total, "flushes": flushes,
            "request_bytes": histogram(lengths), "run_bytes": histogram([n for _, n in runs]),
            "runs": len(runs), "runs_per_flush": round(sum(per_flush) / len(per_flush), 2) if per_flush else None,
            "large_share": round(sum(n for n in lengths if n >= LARGE) / total, 3) if total else 0,
            "large_run_share": round(sum(n for _, n in runs if n >= LARGE) / total, 3) if total else 0,
            "open_at_flush": between.most_open, "gaps": between.gaps, "steps": between.count,
            "needless_small_bytes": between.needless,
            "open_units": open_units(writes),
            "closed_early": {held: closed_early(writes, held) for held in range(1, 7)}}


def judge(result, cleaned, score, exact):
    """cleaned: what of it the cleaner had a part in. exact: requests and flushes arrive as
    the kernel made them (an SD host splits those and knows none of these)."""
    for what, found in result.items():
        said = str(found)
        score.check(f"{what}: something was written", found["bytes"] > 1 << 20, said)
        stray = {k: v for k, v in found["by_region"].items() if k != "data"}
        score.check(f"{what}: no write to FAT, directory or boot sector", not stray, str(stray))
        # The writers' stream, the cleaner's; and where a request of one client is still
        # missing at the end of a segment, another's has begun the next.
        score.check(f"{what}: no more units are open at a flush than are being filled",
                    found["open_at_flush"] <= (3 if what in cleaned else 2), said)
        # Of two clients one may wait with its request while the other's is written.
        score.check(f"{what}: a flush leaves one piece in a unit, now and then two",
                    found["gaps"] <= found["steps"], said)
        if exact and what not in cleaned:
            # A writer that finds twice 4 MiB unsynced waits for the card, with one request.
            score.check(f"{what}: what is not flushed is bounded",
                        found["flushes"] >= found["bytes"] // (10 << 20), said)
    large = result["large"]
    score.check("large: requests are of 512 KiB or more, but for one a piece",
                large["needless_small_bytes"] <= large["bytes"] // 10 if exact
                else large["large_run_share"] >= 0.9, str(large))
