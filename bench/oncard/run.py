#!/usr/bin/python3
"""run.py - `make bench`: what LBS and others get out of modelled SD cards. Runs every
workload of the list below, keeps the results as JSON, and writes tables and plots from
nothing but them. No physical card is involved: bench/sdcard/README.md says what the
figures are. Must never print a figure that no run gave.

  run.py [--report]        --report: tables and plots from the results of the last run
  QUICK=1: fewer and shorter runs, reported in build/bench only
  Runs with compression keep the whole log in memory: 2.2 GiB, with QUICK=1 half.
  ONLY=lbs: runs of LBS alone, or those whose names begin so (ONLY="lbs burst"); the
  other results are those of the last run
"""
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

QUICK = bool(os.environ.get("QUICK"))
ONLY = os.environ.get("ONLY")
ONCARD = os.path.join(TOP, "build", "bench", "oncard", "oncard")
PLUGIN = os.path.join(TOP, "nbdkit-sdcard-plugin.so")
OUT = os.path.join(TOP, "build", "bench")
RESULTS = os.path.join(OUT, "results-quick.json" if QUICK else "results.json")
MIB = 1 << 20

# The disk of most runs, and what a measured span of it is. A card for the whole of
# which is written has 3600 MiB.
DISK = 512 if QUICK else 1024
SPAN = 100
WHOLE = 3456
WHOLE_LBS = 2336
UTILS = (0.5, 0.8) if QUICK else (0.5, 0.6, 0.7, 0.8, 0.85)
USUAL = 0.7
WARM = DISK * 256 * (1 if QUICK else 3)     # random writes: so many times the disk
FILL = DISK * 256                           # and once, measured
SYNCED = 5000 if QUICK else 20000
# A log in which each write is synced has emptier segments: so many of these come before.
SETTLE = SYNCED if QUICK else 2 * FILL
STEADY = SYNCED if QUICK else FILL
ZIPS = ("lz4", "zstd")
SEED = 1


def presets():
    return json.loads(subprocess.run([ONCARD, "presets"], check=True,
                                     capture_output=True, text=True).stdout)


# ---- what is run -------------------------------------------------------------------

def oncard(label, **options):
    options.setdefault("disk", f"{DISK}M")
    options.setdefault("warm", WARM)
    options.setdefault("ops", FILL)
    options["seed"] = SEED
    return label, [f"{k}={v}" for k, v in options.items()]


def jobs(cards):
    """(label, arguments) of every run of oncard; labels are looked up by the report."""
    yield oncard("raw seqwrite", target="raw", work="seqwrite", warm=0, ops=DISK)
    yield oncard("raw seqread", target="raw", work="seqread", warm=0, ops=DISK)
    # What the card takes for the pages of one write of a log, each with its sync.
    for request in "4K", "8K":
        yield oncard(f"raw seqwrite {request}", target="raw", work="seqwrite", warm=0,
                     request=request, sync=1, ops=SYNCED)
    yield oncard("raw 100M", target="raw", span=f"{SPAN}M")
    yield oncard("raw disk", target="raw")
    yield oncard("raw-buffered 100M", target="raw", buffered="64M", span=f"{SPAN}M")
    yield oncard("raw-buffered disk", target="raw", buffered="64M")
    yield oncard("gocryptfs 100M", target="gocryptfs", buffered="64M", span=f"{SPAN}M")
    yield oncard("gocryptfs disk", target="gocryptfs", buffered="64M")
    yield oncard("lbs 100M", target="lbs", util=USUAL, span=f"{SPAN}M")
    for u in UTILS:
        yield oncard(f"lbs disk {u}", target="lbs", util=u)
    if USUAL not in UTILS:
        yield oncard(f"lbs disk {USUAL}", target="lbs", util=USUAL)
    # A first file on FAT32 begins a cluster behind the allocation unit.
    for segment in (4, 16):
        yield oncard(f"lbs shifted {segment}", target="lbs", util=USUAL, shift="32K",
                     segment=f"{segment}M")
        yield oncard(f"lbs aligned {segment}", target="lbs", util=USUAL,
                     segment=f"{segment}M")
    for method in ZIPS:
        yield oncard(f"lbs zipped {method}", target="lbs", util=USUAL, compress=method)
    yield oncard("raw skew", target="raw", skew=1)
    yield oncard("lbs skew", target="lbs", util=USUAL, skew=1)
    if not QUICK:
        yield oncard("raw whole", target="raw", disk=f"{WHOLE}M", card="3600M",
                     warm=WHOLE * 256 * 3)
        yield oncard("lbs whole", target="lbs", disk=f"{WHOLE_LBS}M", card="3600M",
                     util=USUAL, warm=WHOLE_LBS * 256 * 2, ops=WHOLE_LBS * 256)
    for span, name in ((SPAN, "100M"), (DISK, "disk")):
        for sync in 1, 32:
            yield oncard(f"raw {name} sync {sync}", target="raw", span=f"{span}M",
                         sync=sync, ops=SYNCED)
            yield oncard(f"lbs {name} sync {sync}", target="lbs", util=USUAL,
                         span=f"{span}M", sync=sync, settle=SETTLE, ops=STEADY)
        yield oncard(f"gocryptfs {name} sync 1", target="gocryptfs", buffered="64M",
                     span=f"{span}M", sync=1, ops=SYNCED)
    # With room in the log, as long as the cleaner need not run; and when it must.
    yield oncard("lbs burst sync 1", target="lbs", util=0.5, sync=1, warm=0, ops=SYNCED // 2)
    yield oncard("lbs steady sync 1", target="lbs", util=0.5, sync=1, settle=SETTLE, ops=STEADY)
    for method in ZIPS:
        yield oncard(f"lbs burst sync 1 {method}", target="lbs", util=0.5, sync=1, warm=0,
                     ops=SYNCED // 2, compress=method)
        for kind, u in ("steady", 0.5), ("disk", USUAL):
            yield oncard(f"lbs {kind} sync 1 {method}", target="lbs", util=u, sync=1,
                         settle=SETTLE, ops=STEADY, compress=method)
    yield oncard("raw 100M writers", target="raw", writers=8, ops=SYNCED, span=f"{SPAN}M")
    yield oncard("raw disk writers", target="raw", writers=8, ops=SYNCED)
    for card in cards:
        # With the cleaner for several of its rounds.
        for kind, warm, part in ("burst", 0, 8), ("steady", WARM, 2):
            yield oncard(f"lbs {kind} writers {card}", target="lbs", util=0.5, writers=8,
                         preset=card, warm=warm, ops=SYNCED // part)
    for work in "randread", "mixed":
        for target in "raw", "lbs":
            yield oncard(f"{target} {work}", target=target, util=USUAL, work=work,
                         ops=2 * SYNCED)
    yield oncard("lbs seqwrite", target="lbs", util=USUAL, work="seqwrite", ops=2 * DISK)
    yield oncard("lbs seqread", target="lbs", util=USUAL, work="seqread", ops=DISK)
    for u in 0.5, 0.8:
        for card in cards:
            yield oncard(f"target {u} {card}", target="lbs", util=u, preset=card, every=5)


def over_nbd(cards):
    import others
    if QUICK:
        cards = cards[:2]
    for backend in others.BACKENDS:
        for card in cards:
            slow = card in ("class4-2013", "c10-ultra-2014")
            yield f"nbd {backend} {card}", (backend, card, 128 * MIB, SPAN * MIB,
                                            1000 if slow else 5000,
                                            3000 if slow else 20000)


class Progress:
    def __init__(self, total):
        self.total, self.done, self.begun = total, 0, time.monotonic()

    def tell(self, label):
        took = time.monotonic() - self.begun
        if sys.stdout.isatty():
            print(f"\r\033[K[{self.done}/{self.total}, {took:.0f} s] {label}", end="",
                  flush=True)
        elif self.done % 10 == 0:
            print(f"[{self.done}/{self.total}, {took:.0f} s] {label}", flush=True)
        self.done += 1

    def end(self):
        if sys.stdout.isatty():
            print("\r\033[K", end="")
        print(f"{self.done} runs in {time.monotonic() - self.begun:.0f} s", flush=True)


def keep(results):
    with open(RESULTS, "w") as f:
        json.dump(results, f, indent=1)


def oncard_run(arguments):
    done = subprocess.run([ONCARD, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"oncard {' '.join(arguments)}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def measure():
    cards = [p["name"] for p in presets()]
    linked, served = list(jobs(cards)), list(over_nbd(cards))
    results = {"presets": presets(), "quick": QUICK, "runs": {}}
    if ONLY:
        with open(RESULTS) as f:
            results["runs"] = json.load(f)["runs"]
        names = (ONLY, "target") if ONLY == "lbs" else ONLY
        linked, served = [j for j in linked if j[0].startswith(names)], []
    progress = Progress(len(linked) + len(served))
    for label, arguments in linked:
        progress.tell(label)
        # What threads share differs: the middle one of three.
        several = "target=lbs" in arguments and "writers=8" in arguments
        runs = sorted((oncard_run(arguments) for _ in range(3 if several else 1)),
                      key=lambda run: run[0]["cards"][0]["ops_per_s"])
        results["runs"][label] = runs[len(runs) // 2]
    keep(results)
    import others
    for label, arguments in served:
        progress.tell(label)
        with tempfile.TemporaryDirectory(dir=OUT) as work:
            try:
                results["runs"][label] = others.run(work, PLUGIN, *arguments)
            except (RuntimeError, OSError) as e:    # its cells stay empty
                print(f"\n{label}: {e}", file=sys.stderr)
    progress.end()
    keep(results)
    return results


def main():
    if len(sys.argv) > 1 and sys.argv[1] != "--report":
        sys.exit(__doc__)
    os.makedirs(OUT, exist_ok=True)
    if len(sys.argv) > 1:
        with open(RESULTS) as f:
            results = json.load(f)
    else:
        results = measure()
    import report
    where = OUT if QUICK else os.path.join(TOP, "bench")
    plots = OUT if QUICK else os.path.join(TOP, "docs", "bench")
    os.makedirs(plots, exist_ok=True)
    report.write(results, os.path.join(where, "RESULTS.md"), plots)
    print("written: " + os.path.relpath(os.path.join(where, "RESULTS.md"), TOP) + ", " +
          os.path.relpath(RESULTS, TOP) + ", plots in " + os.path.relpath(plots, TOP))


main()
