#!/usr/bin/python3
"""run - every kind of damage that lbsck knows, each in a directory of its own:

  damage.py   does the damage to the store `s` (class Store in lab.py). Its first
              lines say what it is; it may set
                STORE   which store it damages: closed (the default), killed
                FIRST   options of the first lbsck (-p --scrub)
                SECOND  options of the second (-n --scrub), and
                AGAIN   the store that the second is given (corp.lbs)
                UNREADABLE  a chunk file that cannot be read meanwhile
                LOST    blocks that must be errors afterwards (from the listing)
                TRUTH   False: what the readable blocks hold is not known
  expect.1    what the first lbsck says, and its exit status
  expect.2    what a second one says: clean, or exactly what cannot be mended

After the second, every block is read through the server: it is what was written
or an error, and the errors are the stretches that lbsck names. Nothing is ever
zeroes that was not.

  tests/lbsck/run.py [--write] [KIND...]
--write writes the transcripts anew. LBS_BUILD_ROOT says where ./lbsck is.
"""
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile

import lab
import nbd
from nbdlab import ROOT, Score

HERE = os.path.dirname(os.path.abspath(__file__))
score = Score()


def normal(text, root):
    """Without what differs from run to run."""
    text = text.replace(root, "DIR")
    text = re.sub(r"rolled forward \d+ records? from the log \(\d+ KiB read\), \d+",
                  "rolled forward N records from the log (N KiB read), N", text)
    text = re.sub(r"record \d{6,}", "record N", text)
    text = re.sub(r"records up to \d{6,}", "records up to N", text)
    return text


def failing(s, settings):
    """The environment in which a file of the card cannot be read."""
    name = settings.get("UNREADABLE")
    if not name:
        return None
    shim = os.path.join(s.root, "pull.so")
    if not os.path.exists(shim):
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim,
                        os.path.join(HERE, "..", "e2e", "pull.c"), "-ldl"],
                       check=True)
    flag = os.path.join(s.root, "flag")
    with open(flag, "w") as f:
        f.write("r")
    return {**os.environ, "LD_PRELOAD": shim, "PULL_FLAG": flag,
            "PULL_DIR": os.path.join(s.card, name),
            "PULL_LOG": os.path.join(s.root, "log")}


def lbsck(s, options, store, env):
    line = f"lbsck {options} --data card {store}"
    done = subprocess.run([os.path.join(ROOT, "lbsck"), *line.split()[1:]],
                          cwd=s.dir, stdin=subprocess.DEVNULL, text=True, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120)
    return normal(f"$ {line}\n{done.stdout}exit status {done.returncode}\n",
                  s.root)


def ranges(s, store):
    """The blocks that lbsck calls damaged, and whether it could tell."""
    done = subprocess.run([os.path.join(ROOT, "lbsck"), "-n", "--scrub", "--json",
                           "--data", "card", store], cwd=s.dir, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, timeout=120)
    bad = set()
    for f in json.loads(done.stdout).get("findings", []):
        if "vdisk" in f:
            first = f["offset_bytes"] // lab.BLOCK
            bad.update(range(first, first + -(-f["len_bytes"] // lab.BLOCK)))
    return bad


def read_all(s, store):
    """Each block, or None where reading it is an error; None if the store is
    refused."""
    sock = os.path.join(s.dir, "sock")
    server = subprocess.Popen([os.path.join(ROOT, "lbs-nbd"), "-f", "--read-only",
                               "--data", s.card, "--socket", sock,
                               os.path.join(s.dir, store)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        h = nbd.NBD()
        while True:
            if server.poll() is not None:
                return None
            try:
                h.connect_uri(f"nbd+unix:///?socket={sock}")
                break
            except nbd.Error:
                h = nbd.NBD()
        blocks = []
        for at in range(0, h.get_size(), 64 * lab.BLOCK):
            try:
                data = h.pread(64 * lab.BLOCK, at)
                blocks += [data[i:i + lab.BLOCK]
                           for i in range(0, len(data), lab.BLOCK)]
            except nbd.Error:
                for i in range(64):
                    try:
                        blocks.append(h.pread(lab.BLOCK, at + i * lab.BLOCK))
                    except nbd.Error:
                        blocks.append(None)
        h.shutdown()
        return blocks
    finally:
        server.terminate()
        server.wait(60)


def compare(kind, what, got, write):
    path = os.path.join(HERE, kind, what)
    if write:
        with open(path, "w") as f:
            f.write(got)
    wanted = open(path).read() if os.path.exists(path) else "(no such file)"
    if score.check(f"{kind}/{what}", got == wanted):
        return
    print(f"--- expected\n{wanted}--- got\n{got}", flush=True)


def judge(kind, s, store, truth, settings):
    """Nothing is zeroes or old that should be something else."""
    listed = ranges(s, store)
    blocks = read_all(s, store)
    if blocks is None:
        score.check(f"{kind}: refused, as it should be", settings.get("REFUSED"))
        return
    score.check(f"{kind}: opens", not settings.get("REFUSED"))
    errors = {i for i, b in enumerate(blocks) if b is None}
    score.equal(f"{kind}: the errors are what lbsck lists", errors, listed)
    if settings.get("LOST") is not None:
        score.equal(f"{kind}: how many blocks are errors", len(errors),
                    settings["LOST"])
    if settings.get("TRUTH", True):
        # A vdisk whose size was lost may have become larger.
        truth = truth.ljust(len(blocks) * lab.BLOCK, b"\0")
        wrong = [i for i, b in enumerate(blocks) if b is not None and
                 b != truth[i * lab.BLOCK:(i + 1) * lab.BLOCK]]
        score.check(f"{kind}: what can be read is right", not wrong,
                    f"{len(wrong)} blocks are not, the first {wrong[:4]}")


def try_kind(kind, root, truths, write):
    with open(os.path.join(HERE, kind, "damage.py")) as f:
        source = f.read()
    settings = {}
    head = source.split("\n# ----", 1)[0]
    exec(compile(head, kind, "exec"), settings)
    name = settings.get("STORE", "closed")
    s = lab.Store(root, name)
    exec(compile(source, f"{kind}/damage.py", "exec"),
         {**vars(lab), "s": s, "os": os, "shutil": shutil,
          "sqlite3": sqlite3})
    before = contents(s)
    store = "corp.lbs"
    env = failing(s, settings)
    compare(kind, "expect.1",
            lbsck(s, settings.get("FIRST", "-p --scrub"), store, env), write)
    if "-n" in settings.get("FIRST", "").split():
        score.check(f"{kind}: -n writes nothing", contents(s) == before)
    store = settings.get("AGAIN", store)
    compare(kind, "expect.2",
            lbsck(s, settings.get("SECOND", "-n --scrub"), store, env), write)
    judge(kind, s, store, truths[settings.get("WAS", name)], settings)


def contents(s):
    found = {}
    for at, _, names in os.walk(s.dir):
        for name in names:
            if name.endswith((".run", "-wal", "-shm")):
                continue
            path = os.path.join(at, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    found[path] = hash(f.read())
    return found


def transcripts(kind):
    text = ""
    for what in "expect.1", "expect.2":
        with open(os.path.join(HERE, kind, what)) as f:
            text += f.read()
    return text


def check_table():
    """DESIGN.md's table of findings: every code that is ever told stands in it, and
    a directory that it names for a code tells that code."""
    with open(os.path.join(HERE, "..", "..", "DESIGN.md")) as f:
        text = f.read().split("\n## lbsck's findings\n")[1].split("\n## ")[0]
    known = set()
    for line in text.splitlines():
        if not line.startswith("| `"):
            continue
        cells = line.split("|")
        codes, kinds = (re.findall(r"`([^`]+)`", cells[i]) for i in (1, -2))
        told = "".join(transcripts(k) for k in kinds)
        for code in codes:
            score.check(f"DESIGN.md: {code} is told by {kinds}",
                        f"[{code}]\n" in told)
        known.update(codes)
    for kind in all_kinds():
        for code in re.findall(r"(?m)^corp\S*: .*\[([a-z-]+)\]$",
                               transcripts(kind)):
            score.check(f"{kind}: {code} stands in DESIGN.md's table",
                        code in known or code == "mended")


def all_kinds():
    return sorted(k for k in os.listdir(HERE)
                  if os.path.exists(os.path.join(HERE, k, "damage.py")))


def main(arguments):
    write = "--write" in arguments
    kinds = [a for a in arguments if not a.startswith("-")] or all_kinds()
    root = tempfile.mkdtemp(prefix="lbs-lbsck.")
    try:
        truths = lab.make_stores(root)
        for kind in kinds:
            try:
                try_kind(kind, root, truths, write)
            except Exception as e:	# one kind must not hide the others
                score.check(f"{kind}: could be tried", False, repr(e))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    check_table()
    print(f"{len(kinds)} kinds of damage")
    score.end()


main(sys.argv[1:])
