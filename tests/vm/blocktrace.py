"""blocktrace - what a card saw, from the powercut filter's trace: which writes fell on file
system structures and which on the store's files, in what pieces, and how many of the
card's allocation units were open at once. Pure: takes a trace and a layout.
"""
import bisect
import struct

UNIT = 4 << 20		# the allocation unit of most cards


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
    total = sum(lengths)
    return {"requests": sum(regions.values()), "by_region": regions, "bytes": total, "flushes": flushes,
            "request_bytes": histogram(lengths), "run_bytes": histogram([n for _, n in runs]),
            "runs": len(runs), "runs_per_flush": round(sum(per_flush) / len(per_flush), 2) if per_flush else None,
            "large_share": round(sum(n for n in lengths if n >= 512 << 10) / total, 3) if total else 0,
            "large_run_share": round(sum(n for _, n in runs if n >= 512 << 10) / total, 3) if total else 0,
            "open_units": open_units(writes),
            "closed_early": {held: closed_early(writes, held) for held in range(1, 7)}}


def judge(result, score, exact):
    """exact: requests arrive as the kernel made them (an SD host splits them)."""
    for what, found in result.items():
        score.check(f"{what}: something was written", found["bytes"] > 1 << 20, str(found))
        stray = {k: v for k, v in found["by_region"].items() if k != "data"}
        score.check(f"{what}: no write to FAT, directory or boot sector", not stray, str(stray))
        # Two streams, and a sync writes what it finds by its place in the file: where it
        # finds several segments of either, a unit is now and then closed early.
        score.check(f"{what}: a card that holds three units open closes few early",
                    found["closed_early"][3] <= found["bytes"] // (8 << 20), str(found))
    for what in ("large", "small"):
        score.check(f"{what}: two open units are enough without the cleaner",
                    result[what]["open_units"] <= 2, str(result[what]))
    score.check("small: there were flushes", result["small"]["flushes"] > 10 or not exact,
                str(result["small"]))
    score.check("small: a flush writes in sequence", (result["small"]["runs_per_flush"] or 0) <= 2.5,
                str(result["small"]))
    large = result["large"]["large_share" if exact else "large_run_share"]
    score.check("large: nine in ten bytes come in 512 KiB or more", large >= 0.9, str(result["large"]))
