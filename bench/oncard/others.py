"""others.py - what else a user would pick, on a modelled card: qcow2, qcow2 with LUKS,
nbdkit's luks filter. Each runs as it is, over NBD, with the card (the nbdkit plugin) as
the device that its image fills; fio is the guest. Times are the card's. Must never
leave a server behind.
"""
import json
import os
import signal
import subprocess
import time

import nbd

SECRET = "none of this is secret"
MIB = 1 << 20
BASE = 64 * MIB     # of the card, before the image: as where oncard puts its files


class Servers:
    """Children with a socket each, ended in reverse order."""

    def __init__(self, work):
        self.work = work
        self.children = []

    def start(self, name, *command):
        socket = os.path.join(self.work, name)
        log = open(os.path.join(self.work, name + ".log"), "w")
        child = subprocess.Popen([c.replace("SOCKET", socket) for c in command],
                                 stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.children.append(child)
        for _ in range(1200):
            if os.path.exists(socket):
                return socket
            if child.poll() is not None:
                break
            time.sleep(0.02)
        with open(os.path.join(self.work, name + ".log")) as f:
            raise RuntimeError(f"{command[0]} did not start: {f.read()}")

    def end(self):
        for child in reversed(self.children):
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.children = []


def uri(socket, export=""):
    return f"nbd+unix:///{export}?socket={socket}"


def card_stats(card):
    h = nbd.NBD()
    h.connect_uri(uri(card, "stats"))
    text = h.pread(h.get_size(), 0)
    h.shutdown()
    return json.loads(text)


def command(card, line):
    h = nbd.NBD()
    h.connect_uri(uri(card, "control"))
    h.pwrite(line.encode() + b"\n", 0)
    h.shutdown()


def quiet(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr or done.stdout}")
    return done.stdout


def fio(socket, rw, block, size, total, depth=1, sync=False):
    quiet("fio", "--name=guest", "--ioengine=nbd", "--uri=" + uri(socket),
          f"--rw={rw}", f"--bs={block}", f"--size={size}", f"--io_size={total}",
          f"--iodepth={depth}", "--randrepeat=1", "--norandommap",
          *(["--fsync=1"] if sync else ["--end_fsync=1"]))


def part(servers, card, size):
    """The card from BASE on. The luks filter reads its header by bytes, which a card
    does not do: hence blocksize."""
    return servers.start("part", "nbdkit", "-f", "-U", "SOCKET", "--filter=blocksize",
                         "--filter=offset", "nbd", uri(card), f"offset={BASE}",
                         f"range={size}", "minblock=512")


def create(*command):
    """qemu-img cannot always time its key derivation; then once more."""
    for attempt in range(20):
        try:
            quiet("qemu-img", "create", "-q", *command)
            return
        except RuntimeError as e:
            if attempt == 19 or "CPU usage" not in str(e):
                raise


def qcow2(servers, device, disk, luks):
    secret = ["--object", f"secret,id=key,data={SECRET}"] if luks else []
    options = ["-o", "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10"]
    create(*secret, "-f", "qcow2", *(options if luks else []), uri(device), str(disk))
    return servers.start(
        "guest", "qemu-nbd", "-t", "-k", "SOCKET", "-e", "4", *secret, "--image-opts",
        "driver=qcow2," +
        ("encrypt.format=luks,encrypt.key-secret=key," if luks else "") +
        f"file.driver=nbd,file.server.type=unix,file.server.path={device}")


def luks(servers, device, disk):
    create("--object", f"secret,id=key,data={SECRET}", "-f", "luks", "-o",
           "key-secret=key,iter-time=10", uri(device), str(disk))
    return servers.start("guest", "nbdkit", "-f", "-U", "SOCKET", "--filter=luks", "nbd",
                         uri(device), "passphrase=" + SECRET)


BACKENDS = {
    "qcow2": lambda s, d, size: qcow2(s, d, size, False),
    "qcow2+luks": lambda s, d, size: qcow2(s, d, size, True),
    "nbdkit luks": luks,
}


def run(work, plugin, backend, preset, disk, span, ops, warm):
    """One back end on one card, without and with a sync after each write: two results
    as oncard prints them."""
    servers = Servers(work)
    results = []
    try:
        card = servers.start("card", "nbdkit", "-f", "-U", "SOCKET", plugin,
                             "file=" + os.path.join(work, "contents"), f"preset={preset}",
                             "size=8G", "prefill=true")
        device = part(servers, card, disk + 64 * MIB)
        guest = BACKENDS[backend](servers, device, disk)
        fio(guest, "write", "1M", disk, disk, depth=4)
        fio(guest, "randwrite", "4k", span, warm * 4096, depth=32)
        for sync in 0, 1:
            command(card, "reset")
            begun = card_stats(card)["virtual_clock_seconds"]
            fio(guest, "randwrite", "4k", span, ops * 4096,
                depth=1 if sync else 32, sync=bool(sync))
            stats = card_stats(card)
            seconds = stats["virtual_clock_seconds"] - begun
            results.append({
                "target": backend, "work": "randwrite", "disk": disk, "span": span,
                "util": 0, "skew": 0, "sync": sync, "writers": 0, "ops": ops,
                "warm": warm, "cards": [{
                    "preset": preset, "seconds": seconds, "ops_per_s": ops / seconds,
                    "mb_per_s": ops * 4096 / seconds / 1e6,
                    "card_written": stats["write"]["bytes"],
                    "card_writes": stats["write"]["ops"],
                    "card_read": stats["read"]["bytes"],
                    "card_reads": stats["read"]["ops"],
                    "card_wa": stats["write_amplification"]}]})
    finally:
        servers.end()
    return results
