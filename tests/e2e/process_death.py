#!/usr/bin/python3
"""process_death - SIGKILL under load, at random moments, many times on one
store: every acknowledged write is there after each, by a ledger that this
process keeps. Sometimes nbdkit is killed and lbs-nbd starts it again on the same
socket, sometimes lbs-nbd itself is, and its nbdkit with it.
"""
import os
import signal
import threading
import time

import nbd
from ledger import Ledger, Load, SECTOR
from nbdlab import Lab, Score, seeded, wait_until

ROUNDS = int(os.environ.get("ROUNDS") or 14)
SIZE_MIB = 24
LOAD = 100

rng = seeded()
score = Score()


def kill_later(lab, seconds, both, enough):
    """Kills nbdkit, or lbs-nbd, from another thread, and not before so many writes were
    acknowledged in all."""
    def strike():
        time.sleep(seconds)
        wait_until(lambda: ledger.writes >= enough, 60)
        if both:
            lab.kill()
        else:
            os.kill(lab.nbdkit(), signal.SIGKILL)
    thread = threading.Thread(target=strike)
    thread.start()
    return thread


def connect(lab):
    """A connection to the server that was started again."""
    connected = []

    def attempt():
        try:
            connected.append(lab.connect())
            return True
        except nbd.Error:
            return False
    wait_until(attempt, 60)
    return connected[0]


with Lab(f"{SIZE_MIB}M", "--capacity", "512M") as lab:
    ledger = Ledger(SIZE_MIB << 20 >> 9)
    load = Load(rng, ledger)
    lab.start()
    before = 0
    for number in range(ROUNDS):
        both = rng.random() < 0.4
        seconds = rng.choice((rng.uniform(0.01, 0.2), rng.uniform(0.2, 1.5)))
        h = connect(lab)
        # However slow the machine, every second round is a load worth the name.
        striker = kill_later(lab, seconds, both, before + number % 2 * LOAD)
        broken = load.run(h, lambda: True)
        striker.join()
        score.check("the connection ends with the server", broken)
        flying = len(ledger.flying)
        if both:
            lab.start()
        h = connect(lab)
        faults = ledger.judge(h)
        h.shutdown()
        score.check(f"round {number}", not faults, "; ".join(faults[:5]))
        print(f"round {number:2}: {'lbs-nbd' if both else 'nbdkit '} killed after "
              f"{seconds:.2f} s, {ledger.writes - before} acknowledged, {flying} "
              f"under way, {len(faults)} lost", flush=True)
        before = ledger.writes
        if faults:
            break
    # ESHUTDOWN would be an I/O error in a guest.
    strange = [e for e in load.failed if e not in (107, 104, 32, 0)]
    score.check("no request was answered with an error", not strange,
                str(strange[:5]))
    score.check("it was a load worth the name", ledger.writes >= ROUNDS // 2 * LOAD,
                str(ledger.writes))
    score.equal("the server ends well", lab.stop(), 0)
    check = lab.run("lbsck", "-n", "--scrub", lab.store, check=False)
    score.equal("lbsck finds nothing", check.returncode, 0)
    lab.start()
    faults = ledger.judge(connect(lab))
    score.check("after a clean end", not faults, "; ".join(faults[:5]))
    lab.stop()
score.end()
