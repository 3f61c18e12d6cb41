#!/usr/bin/python3
"""blocktrace_test - what tests/vm concludes from a trace, on traces of which it is
known: so that the guest's runs cannot pass because nothing was understood.
"""
import os
import struct
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e")]
import blocktrace		# noqa: E402
from nbdlab import Score	# noqa: E402

score = Score()
MIB, UNIT = 1 << 20, blocktrace.UNIT
START = 4 * MIB


def vfat_boot():
    """FAT32: 32 reserved sectors, two FATs of 1000."""
    boot = bytearray(512)
    struct.pack_into("<HBHB", boot, 11, 512, 64, 32, 2)
    struct.pack_into("<I", boot, 36, 1000)
    return bytes(boot)


def exfat_boot():
    """exFAT: the FAT at sector 2048, 1024 of them."""
    boot = bytearray(512)
    boot[3:11] = b"EXFAT   "
    struct.pack_into("<II", boot, 80, 2048, 1024)
    boot[108] = 9
    return bytes(boot)


def volume(boot):
    with tempfile.NamedTemporaryFile() as f:
        f.truncate(START)
        f.seek(START)
        f.write(boot)
        f.flush()
        return blocktrace.Volume(f.name, START, [(64 * MIB, 80 * MIB), (16 * MIB, 32 * MIB)])


def analyse(lines):
    with tempfile.NamedTemporaryFile("w") as f:
        f.writelines(f"0.0 {line}\n" for line in lines)
        f.flush()
        return blocktrace.analyse(f.name, volume(vfat_boot()))


for boot, fat, behind in ((vfat_boot(), START + 32 * 512, START + 2032 * 512),
                          (exfat_boot(), START + MIB, START + MIB + 512 * 1024)):
    v = volume(boot)
    for offset, region in ((0, "boot"), (START, "boot"), (fat - 512, "boot"), (fat, "fat"),
                           (behind - 512, "fat"), (behind, "directory"), (16 * MIB, "data"),
                           (32 * MIB - 512, "data"), (32 * MIB, "directory"), (64 * MIB, "data"),
                           (80 * MIB, "directory")):
        score.equal(f"region of {offset}", v.region(offset), region)

# Streams that take turns need as many units open as there are.
for streams in range(1, 7):
    writes = [(s * 8 * UNIT + n * 65536, 65536) for n in range(100) for s in range(streams)]
    score.equal(f"{streams} streams", blocktrace.open_units(writes), streams)
    if streams > 1:
        score.check(f"{streams} streams, one unit too few",
                    blocktrace.closed_early(writes, streams - 1) > 60 * streams)
# What is written at random from unit to unit, each from its beginning, needs one.
score.equal("whole units", blocktrace.open_units(
    [(unit * UNIT + at, MIB) for unit in (5, 1, 9, 1, 5) for at in range(0, UNIT, MIB)]), 1)
score.equal("too many", blocktrace.open_units(
    [(s * UNIT + n * 4096, 4096) for n in range(9) for s in range(20)], 8), 9)

found = analyse(["W 16777216 1048576", "W 17825792 4096", "F 0 0", "WF 16777216 4096",
                 "W 67108864 8192", "F 0 0", "F 0 0"])
score.equal("bytes", found["bytes"], MIB + 4096 + 4096 + 8192)
score.equal("flushes", found["flushes"], 3)
score.equal("runs", (found["runs"], found["runs_per_flush"]), (3, 1.5))
score.equal("sizes", found["request_bytes"], {"4K": 8192, "8K": 8192, "1024K": MIB})
score.equal("runs by size", found["run_bytes"], {"4K": 4096, "8K": 8192, "2048K": MIB + 4096})
score.equal("stray", found["by_region"], {"data": 4})

# Between two flushes the order is the kernel's: all of these leave the same.
unit_a, unit_b = 16 * MIB, 20 * MIB
for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)):
    four = [f"W {at} {MIB}" for at in (unit_a + 2 * MIB, unit_a + 3 * MIB, unit_b, unit_b + MIB)]
    found = analyse([f"W {unit_a} {2 * MIB}", "F 0 0", *(four[n] for n in order), "F 0 0",
                     f"W {unit_b + 2 * MIB} 4096", "F 0 0"])
    score.equal(f"order {order}", (found["open_at_flush"], found["gaps"]), (1, 0))
# A unit that is begun anew was closed before.
found = analyse([f"W {unit_a} {MIB}", "F 0 0", f"W {unit_b} {MIB}", "F 0 0", f"W {unit_a} {MIB}", "F 0 0"])
score.equal("begun anew", found["open_at_flush"], 0)
found = analyse([f"W {unit_a} {MIB}", "F 0 0", f"W {unit_b} {MIB}", "F 0 0", f"W {unit_a + MIB} {MIB}",
                 f"W {unit_b + MIB} {MIB}", "F 0 0"])
score.equal("two streams", found["open_at_flush"], 2)
found = analyse([f"W {unit_a + n * 8192} 4096" for n in range(9)] + ["F 0 0"])
score.equal("gaps", found["gaps"], 8)
found = analyse([f"W {unit_a} {MIB}", f"W {unit_a + MIB} 4096", f"W {unit_a + MIB + 4096} 8192", "F 0 0"])
score.equal("one small request of a piece is what remains", found["needless_small_bytes"], 4096)
# Where no flush is passed on, a step ends where the address goes back.
found = analyse([f"WF {at + n * MIB} {MIB}" for n in range(3) for at in (unit_a, unit_b)])
score.equal("no flushes", (found["steps"], found["open_at_flush"]), (3, 2))


def streams(count):
    """So many, each in a place of its own, a piece of each before a flush."""
    return [line for n in range(8) for line in
            (*(f"W {16 * MIB + s * UNIT + n * 524288} 524288" for s in range(count)), "F 0 0")]


# A write to the FAT or small scattered writes must not pass.
good = [line for n in range(8) for line in (f"W {16 * MIB + n * MIB} {MIB}", "F 0 0")]
flushed = [line for n in range(24) for line in (f"W {64 * MIB + n * 131072} 131072", "F 0 0")]
for what, small, large, cleaned, fault in (
        ("good", flushed, good, (), False),
        ("fat", flushed + [f"W {START + 32 * 512} 512"], good, (), True),
        ("directory", flushed, good + [f"W {40 * MIB} 512"], (), True),
        ("scattered", [f"W {16 * MIB + n * 262144 % (12 * MIB)} 32768" for n in range(99)] + flushed,
         good, (), True),
        ("two streams", flushed, streams(2), (), False),
        ("three streams", flushed, streams(3), (), True),
        ("three with the cleaner", flushed, streams(3), ("large",), False),
        ("four streams", flushed, streams(4), ("large",), True),
        ("no flush", flushed, [f"W {16 * MIB + n * MIB} {MIB}" for n in range(12)], (), True),
        ("small pieces", flushed, [f"W {16 * MIB + n * 4096} 4096" for n in range(999)], (), True)):
    quiet = Score(aloud=False)
    blocktrace.judge({"small": analyse(small), "large": analyse(large)}, cleaned, quiet, exact=True)
    score.equal(f"judging {what}", quiet.bad > 0, fault)
score.end()
