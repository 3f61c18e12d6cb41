"""report.py - tables and plots from what run.py kept. Must never hold a figure of its
own, but for the targets and the theory that it compares with.
"""
import math
import os
import subprocess

BLOCK = 4096
ZIPS = ("lz4", "zstd")
FORMAT = 127 / 128      # what the ceiling grants to a header


class Results:
    def __init__(self, kept):
        self.runs = kept["runs"]
        self.cards = [p["name"] for p in kept["presets"]]
        self.presets = kept["presets"]

    def run(self, label, index=0):
        found = self.runs.get(label, [])
        return found[index] if index < len(found) else None

    def card(self, label, preset, index=0):
        run = self.run(label, index)
        found = [c for c in run["cards"] if c["preset"] == preset] if run else []
        return found[0] if found else None

    def rate(self, label, preset, index=0):
        c = self.card(label, preset, index)
        return c and c["ops_per_s"]

    def mbs(self, label, preset, index=0):
        c = self.card(label, preset, index)
        return c and c["mb_per_s"]

    def lbs_writers(self, preset, kind="burst"):
        return self.rate(f"lbs {kind} writers {preset}", preset)


def number(v):
    if v is None:
        return "-"
    return f"{v:.0f}" if v >= 100 else f"{v:.1f}" if v >= 10 else f"{v:.2f}"


def milliseconds(us):
    return f"{us / 1e3:.2g}" if us < 99500 else f"{us / 1e3:.0f}"


def extrapolated(label, preset):
    """Whether nobody has measured what a figure rests on: random writes to more than
    256 MiB in place, but on class4-2013; all of the card with the cache."""
    if preset == "a2-cache":
        return True
    in_place = label.startswith(("raw", "gocryptfs")) and "100M" not in label
    return in_place and "seq" not in label and "read" not in label and preset != "class4-2013"


def cell(r, label, preset, text=None):
    """A rate, with ~ if it is extrapolated."""
    text = text or number(r.rate(label, preset))
    return "~" + text if text != "-" and extrapolated(label, preset) else text


def table(head, rows):
    yield "| " + " | ".join(head) + " |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield "| " + " | ".join(str(c) for c in row) + " |"
    yield ""


# ---- theory ---------------------------------------------------------------------------

def theory(u):
    """Write amplification of uniform writes at utilisation u, greedy choice:
    1 / (1 - X) with X = exp(-(1 - X) / u)."""
    x = 0.0
    for _ in range(10000):
        x = math.exp(-(1 - x) / u)
    return 1 / (1 - x)


def ceiling(r, preset, u, whole=False):
    """Writes a second that no log can pass: what is written and the live data that is
    read while cleaning, both in sequence, in requests of 512 KiB. whole: a cleaner that
    reads the segments as they are, the dead with the living."""
    wa = theory(u)
    per_byte = (wa / (r.mbs("raw seqwrite", preset) * 1e6) +
                (wa if whole else wa - 1) / (r.mbs("raw seqread", preset) * 1e6))
    return FORMAT / (BLOCK * per_byte)


def amplification(run):
    """Of blocks: the guest's and the cleaner's by the guest's."""
    s = run["store"]
    return 1 + s["cleaned_blocks"] * BLOCK / s["write_bytes"]


# ---- targets --------------------------------------------------------------------------

def lost_to(r, preset, u, label):
    """Where the time beyond the ceiling's went, most of it first."""
    run, c = r.run(label), r.card(label, preset)
    bytes_written = run["ops"] * BLOCK
    wa = theory(u)
    reads = (wa - 1) * bytes_written / (r.mbs("raw seqread", preset) * 1e6)
    writes = wa * bytes_written / (r.mbs("raw seqwrite", preset) * 1e6)
    size = c["card_read"] / max(c["card_reads"], 1) / 1024
    parts = [(c["read_seconds"] - reads,
              f"the cleaner reads {c['card_reads']} times {size:.1f} KiB, "
              f"{c['read_seconds']:.0f} s; in sequence {reads:.0f} s"),
             (c["write_seconds"] - c["stalled_seconds"] - writes,
              f"write amplification {amplification(run):.2f} where theory has {wa:.2f}, "
              f"in requests of {c['card_written'] / c['card_writes'] / 1024:.0f} KiB"),
             (c["stalled_seconds"],
              f"the card's own merging and collecting, {c['stalled_seconds']:.0f} s "
              f"({c['merges']} merges)")]
    parts = sorted((p for p in parts if p[0] > 0.03 * c["seconds"]), reverse=True)
    return "; ".join(f"{100 * p[0] / c['seconds']:.0f} % of the time: {p[1]}" for p in parts)


def verdict(share, wanted):
    return "met" if share >= wanted else "**missed**"


def async_targets(r):
    for u in 0.5, 0.8:
        for p in r.cards:
            label = f"target {u} {p}"
            got, most, whole = r.rate(label, p), ceiling(r, p, u), ceiling(r, p, u, True)
            why = "" if got >= 0.9 * most else lost_to(r, p, u, label)
            if why and whole < 0.9 * most:
                why = (f"**out of reach where whole segments are read: that gives at most "
                       f"{whole / most:.2f}**; " + why)
            yield ["~" + p if extrapolated(label, p) else p, f"depth 32, flush every 5 s, u = {u}", number(got),
                   f"0.9 of {number(most)} (whole segments read: {number(whole)})",
                   f"{got / most:.2f} ({got / whole:.2f})", verdict(got / most, 0.9), why]


# The log has room, beside a raw file at its best; the cleaner runs, beside a raw file
# of the same disk.
REGIMES = (("burst", "100M", "the log has room; raw over 100 MiB"),
           ("steady", "disk", "u = 0.5, the cleaner runs; raw over the whole disk"))


def sync_targets(r, method=None):
    # Pages of 4 KiB: one for a block that was compressed, else two.
    pages = "4K" if method else "8K"
    for kind, span, words in REGIMES:
        for p in r.cards:
            label = f"lbs {kind} sync 1" + (f" {method}" if method else "")
            raw, got = r.rate(f"raw {span} sync 1", p), r.rate(label, p)
            most = r.rate(f"raw seqwrite {pages}", p)
            wanted = 1 if method or p in ("class4-2013", "c10-ultra-2014") else 0.75
            run, c = r.run(label), r.card(label, p)
            n, why = run["ops"], ""
            if got < wanted * raw:
                why = (f"of {c['seconds'] / n * 1e3:.2f} ms a write {c['write_seconds'] / n * 1e3:.2f} "
                       f"are {c['card_written'] / n / 1024:.1f} KiB in "
                       f"{c['card_writes'] / n:.2f} writes, {c['read_seconds'] / n * 1e3:.2f} the "
                       f"cleaner's reads; raw writes 4 KiB anywhere in {1e3 / raw:.2f} ms")
                if c["stalled_seconds"] > 0.03 * c["seconds"]:
                    why += (f"; {c['stalled_seconds'] / n * 1e3:.2f} ms are the card's own "
                            f"collecting (its WA {c['card_wa']:.2f})")
                if most < wanted * raw:
                    why = (f"**out of reach: of this card {pages[0]} KiB in sequence, each synced, take "
                           f"{1e3 / most:.2f} ms: at most {most / raw:.2f}**; " + why)
            yield [p, f"sync each write, depth 1{', ' + method if method else ''}: {words}",
                   cell(r, label, p),
                   f"{wanted} of raw " + cell(r, f"raw {span} sync 1", p), f"{got / raw:.2f}",
                   verdict(got / raw, wanted), why]


def writer_targets(r):
    for kind, span, words in REGIMES:
        for p in r.cards:
            label = f"lbs {kind} writers {p}"
            raw, got = r.rate(f"raw {span} writers", p), r.rate(label, p)
            run, c = r.run(label), r.card(label, p)
            n, store = run["ops"], run["store"]
            yield [p, "eight writers that sync each write: " + words, cell(r, label, p),
                   "2 times raw " + cell(r, f"raw {span} writers", p), f"{got / raw:.2f}", verdict(got / raw, 2),
                   "" if got >= 2 * raw else
                   f"a sync serves {n / max(store['card_syncs'], 1):.1f} writes, each takes "
                   f"{store['card_log_bytes'] / n / 1024:.1f} KiB of log and "
                   f"{store['card_clean_bytes'] / n / 1024:.1f} of cleaning; "
                   f"{100 * c['read_seconds'] / c['seconds']:.0f} % of the time are the "
                   "cleaner's reads"]


# ---- sections -------------------------------------------------------------------------

def random_writes(r):
    yield "## Random writes of 4 KiB, no sync\n"
    yield ("Writes a second. *raw*: every write goes to the card as it comes (O_DIRECT, one "
           "at a time: cards of this model have no queue). *held*: the host holds 64 MiB of "
           "dirty pages and writes them in order. *u*: utilisation, live blocks by what all "
           "segments hold. LBS needs no more than 12 MiB of dirty pages.\n")
    utils = sorted({x.split()[-1] for x in r.runs if x.startswith("lbs disk 0")})
    head = ["modelled card", "raw 100M", "raw disk", "raw whole", "held 100M", "held disk",
            "gocryptfs 100M", "gocryptfs disk", "**LBS** 100M, u 0.7",
            *[f"**LBS** disk, u {u}" for u in utils], "**LBS** whole, u 0.7"]
    labels = ["raw 100M", "raw disk", "raw whole", "raw-buffered 100M", "raw-buffered disk",
              "gocryptfs 100M", "gocryptfs disk", "lbs 100M",
              *[f"lbs disk {u}" for u in utils], "lbs whole"]
    yield from table(head, ([p, *[cell(r, x, p) for x in labels]] for p in r.cards))
    yield ("A first file on FAT32 begins 32 KiB behind an allocation unit, and then no segment is "
           "one: u 0.7, aligned and not, by the size of segments (`lbs create` chose "
           f"{r.run('lbs disk 0.7')['store']['segment_bytes'] >> 20} MiB above, aligned; where it "
           "cannot tell it chooses four units, as far as the store is large enough).\n")
    yield from table(["modelled card", "4 MiB", "4 MiB, shifted", "16 MiB", "16 MiB, shifted"],
                     ([p, *[cell(r, x, p) for x in
                            ("lbs aligned 4", "lbs shifted 4", "lbs aligned 16",
                             "lbs shifted 16")]] for p in r.cards))
    yield ("Nine in ten writes to a tenth of the disk (10/90):\n")
    yield from table(["modelled card", "raw", "**LBS**, u 0.7", "LBS by raw"],
                     ([p, cell(r, "raw skew", p), cell(r, "lbs skew", p),
                       f"{r.rate('lbs skew', p) / r.rate('raw skew', p):.2f}"]
                      for p in r.cards))


def with_syncs(r, *labels):
    """Rows of rates, with the times of a write where they were kept."""
    def told(label, p):
        c = r.card(label, p)
        t = c and c.get("latency_us")
        return "-" if not c else cell(r, label, p) + (
            " (" + " / ".join(milliseconds(t[x]) for x in ("p50", "p99", "max")) + ")"
            if t else "")
    return ([p, *[told(x.replace("CARD", p), p) for x in labels]] for p in r.cards)


def synced(r):
    yield "## With syncs\n"
    yield ("Writes a second; in brackets p50 / p99 / longest of a write with its sync, in ms. LBS "
           "also commits an anchor to internal flash with each sync, which is not in the "
           "card's time: see [internal flash](#internal-flash).\n")
    yield ("A raw file at its best, over 100 MiB; LBS while its log has room (it does not matter "
           "where it writes):\n")
    yield from table(["modelled card", "raw, each", "gocryptfs, each", "**LBS**, each",
                      "raw, 8 writers", "**LBS**, 8 writers"],
                     with_syncs(r, "raw 100M sync 1", "gocryptfs 100M sync 1", "lbs burst sync 1",
                                "raw 100M writers", "lbs burst writers CARD"))
    yield "Over the whole disk, LBS with its cleaner running, u 0.5:\n"
    yield from table(["modelled card", "raw, each", "gocryptfs, each", "**LBS**, each",
                      "raw, 8 writers", "**LBS**, 8 writers"],
                     with_syncs(r, "raw disk sync 1", "gocryptfs disk sync 1", "lbs steady sync 1",
                                "raw disk writers", "lbs steady writers CARD"))
    yield "And u 0.7, over 100 MiB of the disk and over all of it; also a sync every 32 writes:\n"
    yield from table(["modelled card", "**LBS** 100M, each", "**LBS** disk, each",
                      "raw 100M, every 32", "**LBS** 100M, every 32", "raw disk, every 32",
                      "**LBS** disk, every 32"],
                     with_syncs(r, "lbs 100M sync 1", "lbs disk sync 1", "raw 100M sync 32",
                                "lbs 100M sync 32", "raw disk sync 32", "lbs disk sync 32"))


def compressed(r):
    yield "### With compression\n"
    left = {m: r.run(f"lbs steady sync 1 {m}")["store"] for m in ZIPS}
    yield ("A lone write takes two pages of the log, and one if its block becomes shorter "
           "(`lbs create --compress`). The blocks are made so that they become as long as those of "
           "an ext4 image of a machine's /usr (`bench/zip.sh --lengths`): left are "
           + ", ".join(f"{100 * s['compress_out_bytes'] / s['compress_in_bytes']:.0f} % by {m}"
                       for m, s in left.items())
           + ". *u* is told as if nothing compressed, as `lbs stat` does. *4 KiB in "
           "sequence* is a raw file to which pages are appended, each synced: more no log can "
           "do that writes a page. The log has room:\n")
    yield from table(["modelled card", "raw 100M, each", "4 KiB in sequence", "**LBS**, each",
                      *[f"**LBS** {m}, each" for m in ZIPS]],
                     with_syncs(r, "raw 100M sync 1", "raw seqwrite 4K", "lbs burst sync 1",
                                *[f"lbs burst sync 1 {m}" for m in ZIPS]))
    yield "Over the whole disk, beside the cleaner:\n"
    ways = ["", *[" " + m for m in ZIPS]]
    yield from table(["modelled card", "raw, each", *[f"**LBS**{m} u {u}, each"
                                                      for u in (0.5, 0.7) for m in ways]],
                     with_syncs(r, "raw disk sync 1", *[f"lbs {kind} sync 1{m}"
                          for kind in ("steady", "disk") for m in ways]))
    yield "And without syncs, u 0.7, writes a second; in brackets blocks written by blocks of the guest:\n"
    yield from table(["modelled card", "**LBS**", *[f"**LBS** {m}" for m in ZIPS]],
                     ([p, *[f"{cell(r, x, p)} ({amplification(r.run(x)):.2f})"
                            for x in ("lbs disk 0.7", *[f"lbs zipped {m}" for m in ZIPS])]]
                      for p in r.cards))


def reads(r):
    yield "## Reads, mixed work, sequential work\n"
    yield ("4 KiB at random, a second; mixed is 7 reads to 3 writes, no sync. Sequential in "
           "MB/s, requests of 1 MiB; *scattered* reads in sequence what was written at random "
           "before (three times over), before and after `lbs clean`. A raw file stays in "
           "sequence whatever is written to it.\n")
    yield from table(
        ["modelled card", "raw reads", "**LBS** reads", "raw mixed", "**LBS** mixed",
         "raw seq write", "**LBS** seq write", "raw seq read", "**LBS** scattered",
         "**LBS** scattered, cleaned"],
        ([p, *[cell(r, x, p) for x in
               ("raw randread", "lbs randread", "raw mixed", "lbs mixed")],
          *[cell(r, x, p, number(r.mbs(x, p)))
            for x in ("raw seqwrite", "lbs seqwrite", "raw seqread", "lbs seqread")],
          cell(r, "lbs seqread", p, number(r.mbs("lbs seqread", p, 1)))] for p in r.cards))


def others(r):
    backends = ["qcow2", "qcow2+luks", "nbdkit luks"]
    yield "## What else encrypts a disk\n"
    yield ("As they are, over NBD, with fio as the guest and the card (the nbdkit plugin) as the "
           "device: writes a second over 100 MiB, without and with a sync after each, beside "
           "a raw file. In brackets what the card was written for each write of 4 KiB: KiB and "
           "requests. All write in place. What writes 4 KiB in one request is to the card a raw "
           "file: whatever is measured of that above holds for it, too. nbdkit's filter "
           "(1.32) writes sector by sector.\n")

    def told(b, p, i):
        run, c = r.run(f"nbd {b} {p}", i), r.card(f"nbd {b} {p}", p, i)
        return "-" if not c else (cell(r, "nbd 100M", p, number(c["ops_per_s"])) + " "
                                  f"({c['card_written'] / run['ops'] / 1024:.1f} in "
                                  f"{c['card_writes'] / run['ops']:.1f})")
    rows = [[p, cell(r, "raw 100M", p), *[told(b, p, 0) for b in backends],
             cell(r, "raw 100M sync 1", p), *[told(b, p, 1) for b in backends]]
            for p in r.cards if any(r.run(f"nbd {b} {p}") for b in backends)]
    yield from table(["modelled card", "raw", *backends, "raw, synced",
                      *[b + ", synced" for b in backends]], rows)
    yield ("gocryptfs (in the tables above) keeps a block of 4 KiB in 4128 bytes, at 18 + 4128 k: "
           "one pwrite and one fsync each, as strace shows of gocryptfs 2.3. Two pages "
           "become dirty, and those that are not in memory are read first.\n")


def inside(r):
    yield "## Inside\n"
    yield ("Uniform random writes to the whole disk. WA: blocks written by blocks of the guest, "
           "beside theory (greedy; reserves not counted); then, of the card's time, what went "
           "to writing and to the cleaner's reads; the card's own WA; its longest write.\n")
    rows = []
    for label in sorted(x for x in r.runs if x.startswith(("lbs disk 0", "lbs whole"))
                        and "sync" not in x):
        run = r.run(label)
        for p in r.cards:
            c = r.card(label, p)
            rows.append([label[4:], "~" + p if extrapolated(label, p) else p, f"{amplification(run):.2f}",
                         f"{theory(run['util']):.2f}",
                         f"{100 * c['write_seconds'] / c['seconds']:.0f} %",
                         f"{100 * c['read_seconds'] / c['seconds']:.0f} %",
                         f"{c['card_wa']:.2f}", f"{c['longest_write_ms']:.0f} ms",
                         number(r.rate(label, p)), number(ceiling(r, p, run["util"]))])
    yield from table(["run", "modelled card", "WA", "theory", "writing", "reading", "card WA",
                      "longest", "writes/s", "ceiling"], rows)


def internal(r):
    yield "### Internal flash\n"
    label = "lbs burst sync 1"
    run = r.run(label)
    s, n = run["store"], run["ops"]
    flash = 1 / r.rate("raw 100M sync 1", "emmc-8g")
    yield (f"A write with its sync commits {s['meta_bytes'] / n:.0f} bytes in "
           f"{s['meta_syncs'] / n:.2f} syncs to internal flash. That is not the card, and how long "
           "it takes depends on the device; if it were the modelled emmc-8g and nothing else "
           "went on there, "
           f"{1e3 * flash:.2f} ms for each write (what that takes for 4 KiB anywhere) would come on "
           "top of what is told above for a log with room: "
           + ", ".join(f"{p} {number(1 / (1 / r.rate(label, p) + flash))}" for p in r.cards)
           + " writes a second.\n")


def targets(r):
    yield "## Targets\n"
    yield ("The ceiling of a log at utilisation u: 127/128 of 1 / (WA/W + (WA-1)/R), W and R the "
           "card's sequential write and read speeds in requests of 512 KiB, WA the least "
           "that theory has for uniform writes ("
           + ", ".join(f"{theory(u):.2f} at {u}" for u in (0.5, 0.8)) + "). It lets the cleaner read "
           "live blocks alone and yet at sequential speed, which no log does whose victims are "
           "mixed; in brackets what remains of it if whole segments are read (WA/R), and the share "
           "of that.\n")
    rows = [*async_targets(r), *sync_targets(r), *sync_targets(r, "zstd"),
            *writer_targets(r)]
    missed = sum("missed" in row[5] for row in rows)
    yield f"{len(rows) - missed} of {len(rows)} are met.\n"
    yield from table(["modelled card", "work", "writes/s", "target", "share", "", "because"],
                     rows)


HEAD = """# LBS and others on modelled SD cards

Written by `make bench` (bench/oncard/run.py); every figure is from its last full run,
or from a later one of a part (ONLY=).

**All figures are of modelled cards.** No physical SD card was used. What was modelled,
on what each card is calibrated and how well that fits is in
[sdcard/README.md](sdcard/README.md); in short:
"""

METHOD = """
Method. The clock is the card's own, so figures do not depend on the machine: the time of
the host's processor is not in them, and the card is never idle. The engine is the real
one, its background work done in the writer's thread (but for eight writers, which are
threads, and what they wait for each other is not in the card's time); its cipher is
left out. It and all files lie in one piece on the card, from 64 MiB on, aligned to 4 MiB
(but for one table), and its segments are as `lbs create` chooses them as root, who is
told where files lie; chunk files and raw files were written whole before, so FAT or
exFAT has nothing to write but the times of files, which are not counted. Between them
and the card is a page cache that writes in the order of the card in requests of up to
512 KiB, and keeps 16 MiB of what was read; there is no read-ahead. Page-mapped cards
were written full once before. *100M*: the disk is written whole, then 100 MiB of it at
random (as the cards were measured: a raw file at its best). *disk*: all of it,
{disk} MiB, on a card of 8 GiB. *whole*: a card of 3600 MiB, of which a raw file has
3456 and LBS a disk of 2336 at u = 0.7. Before anything is measured as many
random writes are made without a sync as the disk has blocks, {fills}; then as many as it
has blocks (of reads, of a raw file with syncs, and of eight writers fewer). Where one
writer syncs to LBS and its cleaner runs, {settle} more are made with syncs before, because
they leave emptier segments. **~ is extrapolated**: random writes in place
to more than 256 MiB (but on class4-2013), where no measurement was found, and all of
a2-cache. The log's own figures rest on sequential speeds and random reads, which were
measured. Eight writers are threads, so what shares a sync differs from run to run, the
more so the busier the machine: of three runs the middle one is told. Everything else is
the same each time.
"""


def write(kept, path, plots):
    r = Results(kept)
    fills = r.run("raw disk")["warm"] // r.run("raw disk")["ops"]
    with open(path, "w") as f:
        print(HEAD, file=f)
        for line in table(["modelled card", "calibrated on", "extrapolated"],
                          ([p["name"], p["calibrated_on"], p["extrapolated"] or "nothing"]
                           for p in r.presets)):
            print(line, file=f)
        print(METHOD.format(disk=r.run("raw disk")["disk"] >> 20,
                            fills="once" if fills == 1 else f"{fills} times over",
                            settle=r.run("lbs steady sync 1").get("settle", 0)), file=f)
        for section in random_writes, synced, compressed, reads, others, targets, inside, internal:
            for line in section(r):
                print(line, file=f)
        for name, title in PLOTS:
            relative = os.path.relpath(os.path.join(plots, name), os.path.dirname(path))
            print(f"![{title}]({relative}.svg)\n", file=f)
    plot(r, plots)


# ---- plots ----------------------------------------------------------------------------

PLOTS = (("random-writes", "Random writes on modelled cards"),
         ("synced-writes", "Writes with a sync each on modelled cards"),
         ("utilisation", "Random writes by utilisation (dashed: the ceiling)"))

STYLE = """
set style data histogram
set style histogram clustered gap 1.5
set style fill solid noborder
set border 3 lc rgb "#606060"
set logscale y
set ylabel "writes of 4 KiB a second"
set grid ytics lt 1 lw 0.5 lc rgb "#c0c0c0" back
set xtics nomirror scale 0 font ",10"
set ytics nomirror
set key above center maxrows 2 font ",10"
set yrange [1:20000]
"""
# One colour means one thing in every plot: greys are raw files, blues are LBS.
RAW, RAW_SPAN, HELD = "#b8b8b8", "#787878", "#404040"
GOCRYPTFS = "#c08040"
LBS, LBS_OTHER, LBS_THIRD = "#103c70", "#3a78b8", "#90bce4"
ZIPPED = "#2a9070"
CARDS = ("#7b3294", "#008a6e", "#56a0d8", "#d98a00", "#a08a00", "#205080", "#c03028")


def bars(r, columns):
    """gnuplot's commands for one group of bars a card."""
    lines = ["$d << EOD"]
    for p in r.cards:
        lines.append(p + " " + " ".join(str(get(p) or "NaN") for _, _, get in columns))
    lines.append("EOD")
    lines.append("plot " + ", ".join(
        f'$d using {i + 2}{":xtic(1)" if i == 0 else ""} title "{title}" lc rgb "{colour}"'
        for i, (title, colour, _) in enumerate(columns)))
    return "\n".join(lines)


def by_utilisation(r):
    utils = sorted(float(x.split()[-1]) for x in r.runs
                   if x.startswith("lbs disk 0") and "sync" not in x)
    lines = ["set style data linespoints", "set logscale y",
             "set grid lt 1 lw 0.5 lc rgb '#c0c0c0' back", "set border 3 lc rgb '#606060'",
             "set tics nomirror",
             "set xlabel 'utilisation'", "set ylabel 'writes of 4 KiB a second'",
             "set key outside right font ',10'", "$d << EOD"]
    for u in utils:
        lines.append(f"{u} " + " ".join(
            f"{r.rate(f'lbs disk {u:g}', p)} {ceiling(r, p, u)}" for p in r.cards))
    lines.append("EOD")
    lines.append("plot " + ", ".join(
        f'$d using 1:{2 * i + 2} lc rgb "{CARDS[i % 7]}" lw 2 title "{p}", '
        f'$d using 1:{2 * i + 3} with lines lc rgb "{CARDS[i % 7]}" dt 2 notitle'
        for i, p in enumerate(r.cards)))
    return "\n".join(lines)


def plot(r, where):
    def rate(label):
        return lambda p: r.rate(label, p)
    commands = {
        "random-writes": STYLE + bars(r, (
            ("raw file, whole disk", RAW, rate("raw disk")),
            ("raw file, 100 MiB of it", RAW_SPAN, rate("raw 100M")),
            ("raw, sorted in 64 MiB of memory, whole disk", HELD, rate("raw-buffered disk")),
            ("gocryptfs, whole disk", GOCRYPTFS, rate("gocryptfs disk")),
            ("LBS, whole disk, log 70 % live", LBS, rate("lbs disk 0.7")),
            ("LBS, 100 MiB of it, log 70 % live", LBS_OTHER, rate("lbs 100M")))),
        "synced-writes": STYLE + bars(r, (
            ("raw file, whole disk", RAW, rate("raw disk sync 1")),
            ("raw file, 100 MiB of it", RAW_SPAN, rate("raw 100M sync 1")),
            ("gocryptfs, 100 MiB of it", GOCRYPTFS, rate("gocryptfs 100M sync 1")),
            ("LBS, whole disk, log 50 % live", LBS, rate("lbs steady sync 1")),
            ("LBS with zstd, the same", ZIPPED, rate("lbs steady sync 1 zstd")),
            ("LBS, log has room", LBS_OTHER, rate("lbs burst sync 1")),
            ("LBS, log has room, 8 writers", LBS_THIRD, r.lbs_writers))),
        "utilisation": by_utilisation(r),
    }
    for name, title in PLOTS:
        for terminal, end in (("svg size 960,480 font 'sans,11' background rgb 'white'", "svg"),
                              ("pngcairo size 1200,600 font 'sans,11'", "png")):
            script = (f"set terminal {terminal}\nset output '{os.path.join(where, name)}.{end}'\n"
                      f"set title \"{title} (bench/RESULTS.md)\"\n{commands[name]}\n")
            subprocess.run(["gnuplot"], input=script, text=True, check=True)
