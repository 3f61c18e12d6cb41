#!/usr/bin/python3
"""scrub - lbsck --scrub: progress with a rate and the time left on a terminal, a
rate that is held, ^C that stops it at once and still tells what was found, and
--json with offsets that can be used.
"""
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

from nbdlab import ROOT, Lab, Score

MIB = 1 << 20
score = Score()


def first_frame(lab, before):
    """Damages the block that was just written."""
    path = os.path.join(lab.card, "0000.lbs")
    with open(path, "rb") as f:
        after = f.read()
    # Its record lies on two pages; a segment's header may come before.
    at = [i for i in range(0, len(after), 4096)
          if after[i:i + 4096] != before[i:i + 4096]][-2]
    with open(path, "r+b") as f:
        f.seek(at + 2000)
        f.write(bytes([after[at + 2000] ^ 1]))


def lbsck(lab, *options):
    return [os.path.join(ROOT, "lbsck"), *options, lab.store]


def interrupted(lab):
    """^C after the damage was met, as the bar tells: 32, and the damage told."""
    ours, theirs = pty.openpty()
    # All of it would take half a minute.
    p = subprocess.Popen(lbsck(lab, "--scrub-rate", "256K", "--json"),
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=theirs, text=True)
    os.close(theirs)
    seen = b""
    while b"scrubbing [" not in seen:
        seen += os.read(ours, 4096)
    p.send_signal(signal.SIGINT)
    out = json.loads(p.communicate(timeout=120)[0])
    os.close(ours)
    score.equal("^C stops it", p.returncode, 32)
    score.equal("its verdict", out["verdict"], "cancelled")
    score.check("it read a part", 0 < out["scrubbed_bytes"] < 8 * MIB,
                str(out["scrubbed_bytes"]))
    damage = [(f["vdisk"], f["offset_bytes"], f["len_bytes"])
              for f in out["findings"] if f["code"] == "block-damaged"]
    score.equal("what was found is told", damage, [("disk", 0, 4096)])


def limited(lab):
    """8 MiB at 4 MiB a second."""
    begun = time.monotonic()
    p = subprocess.run(lbsck(lab, "--scrub-rate", "4M"), stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, text=True, timeout=120)
    took = time.monotonic() - begun
    score.check("the rate is held", 1.9 <= took < 60, f"{took:.2f} s")
    score.equal("damage", p.returncode, 4)
    score.check("as an offset", "vdisk disk, offset 0, 4096 bytes (sectors 0 to 7)"
                in p.stdout, p.stdout)


def on_terminal(lab, columns=100):
    """A bar, a rate, the time that is left; never wider than the terminal, since what
    wraps cannot be drawn over."""
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
        command = lbsck(lab, "--scrub-rate", "1M")
        os.execv(command[0], command)
    seen = b""
    while True:
        try:
            piece = os.read(fd, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    _, status = os.waitpid(pid, 0)
    text = seen.decode(errors="replace")
    score.equal("on a terminal", os.waitstatus_to_exitcode(status), 4)
    bars = [bar for bar in re.split(r"[\r\n]", text.replace("\033[K", "")) if "/s" in bar]
    score.check(f"within {columns} columns", bars and all(len(b) < columns for b in bars), bars)
    score.check("progress, rate and time left", re.search(
        r"scrubbing \[#+ *\] +\d+ %  \S+ MiB of \S+ MiB  [\d.]+ [KM]iB/s  +\d+ s left",
        text), text[-600:])


def on_a_narrow_one(lab):
    on_terminal(lab, 72)


def usage(lab):
    for value in "0", "fast", "-1":
        p = subprocess.run(lbsck(lab, f"--scrub-rate={value}"),
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True)
        score.equal(f"--scrub-rate {value}", p.returncode, 16)


with Lab("16M", "--segment-size", "1M", "--preallocate") as lab:
    lab.start()
    h = lab.connect()
    h.flush()
    with open(os.path.join(lab.card, "0000.lbs"), "rb") as f:
        before = f.read()
    h.pwrite(b"x" * 4096, 0)
    h.flush()
    first_frame(lab, before)
    for at in range(1, 9):
        h.pwrite(bytes([at]) * MIB, at * MIB)
    h.flush()
    h.shutdown()
    score.equal("the server ends", lab.stop(), 0)
    for part in (interrupted, limited, on_terminal, on_a_narrow_one, usage):
        part(lab)
score.end()
