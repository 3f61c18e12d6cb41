#!/usr/bin/python3
"""secrets - nothing secret leaves the process: not in nbdkit's verbose log, its
arguments or environment, the control socket's answers, a core file; and the card
shows neither the key, nor what a guest wrote, nor names.

The data key is read from the metadata of the stopped store, then looked for, raw
and in the usual spellings.
"""
import base64
import glob
import os
import resource
import socket
import sqlite3

from nbdlab import Lab, Score, seeded

rng = seeded()
score = Score()
SENTENCE = b"the guest's own words, which nobody else shall read. "


def spellings(secret):
    return [secret, secret.hex().encode(), secret.hex().upper().encode(),
            base64.b64encode(secret), base64.urlsafe_b64encode(secret),
            secret[::-1], secret[:16], secret[16:]]


def check_free(what, data, secrets):
    score.check(f"{what} ({len(data)} bytes)",
                not any(s in data for s in secrets))


def contents(path):
    with open(path, "rb") as f:
        return f.read()


def answers(lab):
    found = b""
    for command in (b"stat", b"info", b"list", b"failure", b"checkpoint"):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(lab.store + ".ctl")
            s.sendall(command + b"\n")
            while piece := s.recv(65536):
                found += piece
    return found


with Lab("64M") as lab:
    lab.start("--verbose")
    h = lab.connect()
    h.pwrite(SENTENCE * 40000, 1 << 20)
    h.pwrite(bytes(1 << 20), 8 << 20)	# equal plain text, block after block
    h.pwrite(b"A" * 4096, 20 << 20)
    h.flush()
    h.pread(1 << 20, 1 << 20)
    processes = [lab.launcher.pid, lab.nbdkit()]
    seen = {}
    for pid in processes:
        for part in ("cmdline", "environ", "comm", "status", "maps"):
            seen[f"/proc/PID/{part}"] = contents(f"/proc/{pid}/{part}")
    limits = resource.prlimit(processes[1], resource.RLIMIT_CORE)
    score.equal("no core file", limits, (0, 0))
    owner = os.stat(f"/proc/{processes[1]}/maps").st_uid
    score.equal("its memory is nobody else's to read", owner, 0)
    seen["the control socket's answers"] = answers(lab)
    seen["lbs stat"] = lab.run("lbs", "stat", "--json", lab.store).stdout.encode()
    seen["lbs info"] = lab.run("lbs", "info", "--json", lab.store).stdout.encode()
    seen["the run file"] = contents(lab.store + ".run")
    h.shutdown()
    lab.stop()
    # And a failure, whose messages are worded with care, too.
    lab.start("--verbose", "--read-only")
    lab.kill()
    log = lab.said().encode()
    score.check("the log is a verbose one", b"debug: lbs: open" in log)
    seen["the verbose log"] = log

    meta = sqlite3.connect(f"file:{lab.store}?mode=ro", uri=True)
    key, store_id = meta.execute("SELECT data_key, store_id FROM store").fetchone()
    salts = [row[0] for row in meta.execute("SELECT salt FROM segment")]
    meta.close()
    score.equal("a key of 32 bytes", len(key), 32)
    for what, data in seen.items():
        check_free(f"the key is not in {what}", data, spellings(key))
        check_free(f"nor are the guest's words", data, [SENTENCE])

    card = {f: contents(f) for f in glob.glob(lab.card + "/*")}
    score.check("the card holds the log", sum(map(len, card.values())) > 3 << 20)
    for path, data in card.items():
        check_free(f"the key is not in {os.path.basename(path)}", data,
                   spellings(key))
        check_free("nor are the guest's words", data,
                   [SENTENCE, SENTENCE[:16], b"A" * 64])
        check_free("nor a vdisk's name or a path", data,
                   [b"disk\0", lab.work.encode(), b"corp.lbs"])
    # 256 blocks of zeroes and hundreds of others: no piece of ciphertext twice.
    pieces = {}
    for path, data in card.items():
        for at in range(0, len(data) - 64, 64):
            piece = data[at:at + 64]
            if any(piece):
                pieces[piece] = pieces.get(piece, 0) + 1
    twice = [p for p, n in pieces.items() if n > 1]
    score.check("no piece of 64 bytes is on the card twice", not twice,
                f"{len(twice)}: {twice[:1]}")
    mode = os.stat(lab.store).st_mode & 0o777
    score.equal("the metadata file's mode", mode, 0o600)
    for path in glob.glob(lab.store + "*"):
        score.equal(f"mode of {os.path.basename(path)}",
                    os.stat(path).st_mode & 0o077, 0)
score.end()
