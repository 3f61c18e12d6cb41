#!/usr/bin/python3
"""qemu_nospace - a guest under QEMU writes until the store is full: QEMU pauses it
(its default, werror=enospc) and says BLOCK_IO_ERROR with "nospace"; room is made by
another client's discards; after "cont" the write that was refused completes. Twice;
then the guest finds all it wrote, and so do we. The guest is tests/guest/guest.S.
"""
import os
import shutil
import struct
import subprocess
import sys

import nbd
from nbdlab import ROOT, Lab, Score, seeded, wait_until
from qmp import Qmp

BLOCK = 4096
GUEST_BLOCKS = 640		# behind its first MiB
ROOM_BLOCKS = 200		# of these fit when it begins
OTHERS = 16 << 20		# where a client has data that the guest does not need
MIB = 1 << 20

rng = seeded()
score = Score()


def can_write(h, block):
    try:
        h.pwrite(rng.randbytes(BLOCK), block * BLOCK)
        return True
    except nbd.Error as e:
        if e.errno != "ENOSPC":
            raise
        return False


def fill(h):
    """Fills the store but for ROOM_BLOCKS; gives the first block and behind the
    last one."""
    first = block = OTHERS // BLOCK
    while can_write(h, block):
        block += 1
    h.trim(ROOM_BLOCKS * BLOCK, (block - ROOM_BLOCKS) * BLOCK)
    h.flush()
    return first, block - ROOM_BLOCKS


def make_guest(lab):
    guest = os.path.join(lab.work, "guest")
    subprocess.run(["as", "--32", "--defsym", f"COUNT={GUEST_BLOCKS}", "-o",
                    guest + ".o", os.path.join(ROOT, "tests/guest/guest.S")],
                   check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat",
                    "binary", "-o", guest, guest + ".o"], check=True)
    with open(guest, "rb") as f:
        return f.read().ljust(512, b"\0")[:512]


def start_qemu(lab, monitor):
    return subprocess.Popen([
        "qemu-system-x86_64", "-nodefaults", "-display", "none", "-m", "64",
        "-debugcon", "file:" + os.path.join(lab.work, "said"),
        "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
        "-qmp", f"unix:{monitor},server=on,wait=off", "-blockdev",
        f"driver=nbd,node-name=d0,server.type=unix,server.path={lab.sock},"
        "export=disk,discard=unmap",
        "-device", "virtio-blk-pci,drive=d0,serial=corp"],
        stdin=subprocess.DEVNULL)


def wait_paused(qemu, qmp, which):
    """1 if QEMU has paused the guest for want of room, as it should say."""
    if not score.check(f"{which} pause", wait_until(
            lambda: qemu.poll() is None and qmp.status() == "io-error", 120),
            f"QEMU's status is {qemu.poll()}"):
        return False
    errors = qmp.take("BLOCK_IO_ERROR")
    score.check(f"{which} pause: it says no space", errors and
                all(e["data"]["nospace"] and e["data"]["action"] == "stop" and
                    e["data"]["operation"] == "write" for e in errors),
                str(errors))
    score.check(f"{which} pause: it says stop", qmp.take("STOP"))
    return True


def run_guest(lab, h, first, end):
    monitor = os.path.join(lab.work, "qmp")
    qemu = start_qemu(lab, monitor)
    try:
        qmp = Qmp(monitor, qemu)
        for which, blocks in (("first", 150), ("second", 600)):
            if not wait_paused(qemu, qmp, which):
                return
            score.equal(f"{which} pause: the store serves on",
                        lab.stat()["state"], "serving")
            # Without room it pauses again at once.
            qmp.do("cont")
            if not wait_paused(qemu, qmp, f"{which}, again,"):
                return
            h.trim(blocks * BLOCK, first * BLOCK)
            first += blocks
            qmp.do("cont")
        score.equal("the guest found all it wrote", qemu.wait(120), 33)
    finally:
        if qemu.poll() is None:
            qemu.kill()
            qemu.wait()


if not shutil.which("qemu-system-x86_64") or subprocess.run(
        ["as", "--32", "-o", "/dev/null", "/dev/null"], check=False,
        stderr=subprocess.DEVNULL).returncode:
    print("no qemu-system-x86_64, or no assembler for x86")
    sys.exit(77)
with Lab("64M", "--capacity", "24M", "--segment-size", "1M") as lab:
    lab.start()
    h = lab.connect()
    h.pwrite(make_guest(lab), 0)
    first, end = fill(h)
    score.check("the store is full but for a little", end - first > 1000,
                f"{end - first} blocks")
    run_guest(lab, h, first, end)
    h.shutdown()
    score.equal("the server ends well", lab.stop(), 0)
    lab.start()
    h = lab.connect()
    lost = [n for n in range(GUEST_BLOCKS)
            if h.pread(BLOCK, MIB + n * BLOCK) != struct.pack("<I", n) * 1024]
    score.check("all that the guest wrote is there", not lost, str(lost[:9]))
    h.shutdown()
    lab.stop()
score.end()
