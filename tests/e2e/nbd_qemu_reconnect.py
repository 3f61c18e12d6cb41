#!/usr/bin/python3
"""nbd_qemu_reconnect - QEMU's own NBD client with reconnect-delay, in
qemu-storage-daemon, over a server that is killed and started again, or ended by
SIGTERM and replaced: no request of the load above QEMU fails, and none that was
acknowledged is lost.
"""
import os
import signal
import subprocess
import time

import nbd
from ledger import Ledger, Load
from nbdlab import Lab, Score, seeded, wait_until

ROUNDS = int(os.environ.get("ROUNDS") or 6)
SIZE_MIB = 24

rng = seeded()
score = Score()


def connect(path):
    h = nbd.NBD()
    h.connect_uri(f"nbd+unix:///front?socket={path}")
    return h


def greets(path):
    try:
        connect(path).shutdown()
        return True
    except nbd.Error:
        return False


def strike(lab, kind):
    """The server goes, and another comes 0 to 0.5 s later."""
    if kind == "nbdkit":
        os.kill(lab.nbdkit(), signal.SIGKILL)	# lbs-nbd sees to the rest
        return
    if kind == "lbs-nbd":
        lab.kill()
    else:
        score.equal("SIGTERM", lab.stop(), 0)
    time.sleep(rng.uniform(0, 0.5))
    lab.start()


with Lab(f"{SIZE_MIB}M", "--capacity", "512M") as lab:
    lab.start()
    front = os.path.join(lab.work, "front.sock")
    qemu = subprocess.Popen([
        "qemu-storage-daemon", "--blockdev",
        "driver=nbd,node-name=d0,server.type=unix,server.path=" + lab.sock +
        ",export=disk,discard=unmap,reconnect-delay=60",
        "--nbd-server", "addr.type=unix,addr.path=" + front,
        "--export", "type=nbd,id=e0,node-name=d0,name=front,writable=on"],
        stdin=subprocess.DEVNULL)
    try:
        score.check("qemu-storage-daemon serves",
                    wait_until(lambda: greets(front), 60))
        ledger = Ledger(SIZE_MIB << 20 >> 9)
        load = Load(rng, ledger, depth=8)
        h = connect(front)
        before = 0
        for number in range(ROUNDS):
            kind = ("nbdkit", "lbs-nbd", "SIGTERM")[number % 3]
            pause = time.monotonic() + rng.uniform(0.2, 1)
            broken = load.run(h, lambda: time.monotonic() < pause)
            # Requests are under way when the server goes.
            for _ in range(8):
                load.submit(h)
            h.poll(1)
            strike(lab, kind)
            pause = time.monotonic() + 0.5
            broken = broken or load.run(h, lambda: time.monotonic() < pause)
            score.check(f"round {number}, {kind}: the client saw nothing of it",
                        not broken and not load.failed, str(load.failed[:5]))
            h.flush()
            faults = ledger.judge(h)
            score.check(f"round {number}, {kind}: all is there", not faults,
                        "; ".join(faults[:5]))
            print(f"round {number}: {kind}, {ledger.writes - before} acknowledged,"
                  f" {len(load.failed)} failed, {len(faults)} lost", flush=True)
            before = ledger.writes
            load.failed.clear()
            if broken or faults:
                break
        h.shutdown()
        qemu.send_signal(signal.SIGTERM)
        score.equal("qemu-storage-daemon ends", qemu.wait(120), 0)
    finally:
        if qemu.poll() is None:
            qemu.kill()
    score.equal("the server ends well", lab.stop(), 0)
    lab.start()
    h = lab.connect()
    faults = ledger.judge(h)
    h.shutdown()
    score.check("after reopening", not faults, "; ".join(faults[:5]))
    lab.stop()
score.end()
