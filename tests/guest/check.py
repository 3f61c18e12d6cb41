#!/usr/bin/python3
"""check - Debian in a guest whose disk is a store's. It counts up in SQLite, juggles
files, installs packages, and says of each step when it is durable; servers and QEMU
are killed, the power is cut, the store becomes full; then it boots again and what it
said must hold.

    check.py [--quick] [--seed N] [--json FILE] [--debs DIR] [-v] [SCENARIO]...

Prints the seed of every scenario; --seed with the scenario's name draws the same
again (how far a machine gets between two lines is not the seed's). Needs root. Must
never pass a scenario in which nothing was cut or nothing was promised.
"""
import os
import random
import shutil
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "vm"), os.path.join(ROOT, "tests", "e2e")]
import doors			# noqa: E402
import image			# noqa: E402
import runner			# noqa: E402
from debian import Debian	# noqa: E402
from machine import Disk	# noqa: E402
from nbdlab import PATIENCE, Score, wait_until	# noqa: E402
from qmp import Qmp		# noqa: E402
from units import units		# noqa: E402

MIB = 1 << 20
# Small segments, so that the log goes round.
CREATE = ("2G", "--capacity", "1536M", "--segment-size", "4M", "--chunk-size", "256M")


def lbsck(lab, score):
    done = lab.run("lbsck", "-n", lab.store, check=False)
    score.equal("lbsck finds no fault", done.returncode, 0)


# What must have been promised before anything is judged.
WORDS = ("SQL", "FILE", "DPKG")


def promised_enough(debian, score, *words):
    for word in words:
        score.check(f"{word} was promised at all", debian.promises.counts.get(word, 0) > 0,
                    debian.told())


# ---- the server is killed, the guest goes on -----------------------------------
def kills(options, name, seed, score):
    rng, debian = random.Random(seed), Debian(options, name, score)
    count = 4 if options.quick else 40
    with doors.NbdDoor(*CREATE) as lab:
        try:
            score.equal("the import", lab.load_image(options.image), 0)
            lab.start()
            debian.power_on(lab.devices(), "systemd")
            debian.ready()
            print(f"   Debian with systemd is up after {debian.booted:.1f} s", flush=True)
            debian.guest.say("go")
            for number in range(count):
                debian.work_on(rng.randrange(20, 400))
                if rng.random() < 0.5:
                    what = "nbdkit"
                    # From the kill before it may not be back yet.
                    wait_until(lab.greets, PATIENCE)
                    os.kill(lab.nbdkit(), signal.SIGKILL)	# lbs-nbd sees to the rest
                else:
                    what = "lbs-nbd"
                    lab.kill()
                    time.sleep(rng.uniform(0, 0.5))
                    lab.start()
                print(f"   {what} killed: {debian.told()}", flush=True)
            debian.work_on(100, *WORDS)
            debian.stop()
            debian.power_on(lab.devices())
            debian.ready(verify=True)
            debian.stop()
            score.equal("the server ends well", lab.stop(), 0)
            lbsck(lab, score)
            promised_enough(debian, score, *WORDS)
            return {"server_kills": count, "boots": debian.boots, **debian.promises.counts}
        finally:
            debian.clean_up()


# ---- everything ends, and boots again --------------------------------------------
class Cuts:
    def __init__(self, debian, lab, rng, score):
        self.debian, self.lab, self.rng, self.score = debian, lab, rng, score
        self.count = {"power": 0, "machine": 0, "processes": 0}
        self.lost = self.early = 0

    def one(self, number):
        """A boot with its checks, work, and an end: of the power, of QEMU, or of QEMU and
        the server."""
        rng, debian, lab = self.rng, self.debian, self.lab
        # Every kind in turn, so that each has its share of a short run.
        kind = ("power", "machine", "power", "processes")[number % 4]
        early = number > 0 and rng.random() < 0.2
        target, seconds = rng.randrange(30, 900), rng.uniform(1, 6)
        how, cut_seed = rng.choice(("none", "prefix", "subset")), rng.randrange(1 << 32)
        pause = rng.uniform(0, 0.3)
        before = debian.promises.total()
        debian.power_on(lab.devices(), rng.choice(("systemd", "direct", "direct", "direct")))
        if early:
            time.sleep(seconds)
        else:
            debian.ready()
            debian.guest.say("go")
            debian.work_on(target, *WORDS)
            time.sleep(pause)
        booted = "" if early else f"ready after {debian.booted:.1f} s, "
        self.count[kind] += 1
        self.early += early
        text = ""
        if kind == "power":
            lost = lab.power_cut(how, cut_seed, debian.guest.process)
            self.lost += sum(n for disk in lost.values() for what, n in disk.items() if what != "kept")
            text = f", keeping {how}: card {lost['card']}, flash {lost['flash']}"
            lab.power_on()
        debian.kill()
        if kind == "processes":
            lab.kill()
        if kind != "machine":
            lbsck(lab, self.score)
            lab.start()
        what = {"power": "power cut", "machine": "QEMU killed", "processes": "QEMU and server killed"}
        print(f"   {what[kind]}{' while booting' if early else ''}{text}; {booted}"
              f"{debian.promises.total() - before} promises", flush=True)

    def run(self, count):
        for number in range(count):
            self.one(number)
        # A power cut may come when all is written, or while nothing is.
        for number in range(count, count + 8):
            if not self.lost:
                self.one(number)


def cuts(door, quick, full):
    def scenario(options, name, seed, score):
        rng, debian = random.Random(seed), Debian(options, name, score)
        door.filter = options.filter
        with door(*CREATE) as lab:
            try:
                score.equal("the import", lab.load_image(options.image), 0)
                lab.start()
                made = Cuts(debian, lab, rng, score)
                made.run(quick if options.quick else full)
                debian.power_on(lab.devices())
                debian.ready(verify=True)
                debian.stop()
                score.equal("the server ends well", lab.stop(), 0)
                lbsck(lab, score)
                promised_enough(debian, score, *WORDS)
                print(f"   {debian.told()}", flush=True)
                score.check("the power cuts took something", made.lost > 0)
                return {"cuts": made.count, "while_booting": made.early, "lost": made.lost,
                        "boots": debian.boots, "dpkg_interrupted": debian.mended,
                        **debian.promises.counts}
            finally:
                debian.clean_up()
    return scenario


# ---- the store is full -----------------------------------------------------------
class Full:
    """Makes room when QEMU has paused the guest for want of it."""

    def __init__(self, lab, qmp, score, first):
        self.lab, self.score, self.qmp = lab, score, qmp
        self.at, self.pauses, self.again = first, 0, False

    def look(self):
        check, qmp = self.score.check, self.qmp
        try:
            if qmp.status() != "io-error":
                return
        except (OSError, ValueError):	# QEMU is at its end
            return
        self.pauses += 1
        errors = qmp.take("BLOCK_IO_ERROR")
        check("the pause says no space", errors and all(
            e["data"]["nospace"] and e["data"]["action"] == "stop" for e in errors), str(errors))
        check("the pause says stop", qmp.take("STOP"))
        if not self.again:
            # Meanwhile the cleaner may have made some room; then it is tried at the next pause.
            qmp.do("cont")
            self.again = qmp.wait_status("io-error", 60)
            if not self.again:
                return
            qmp.take("BLOCK_IO_ERROR")
            qmp.take("STOP")
        self.lab.discard(24 * MIB, self.at)
        self.at += 24 * MIB
        qmp.do("cont")


def occupy(lab, rng, first):
    """Another client's data, behind the guest's file system, until the store is full."""
    import nbd
    h, at = lab.connect(), first
    piece = rng.randbytes(MIB)
    try:
        while True:
            h.pwrite(piece, at)
            at += MIB
    except nbd.Error as e:
        if e.errno != "ENOSPC":
            raise
    h.shutdown()
    return at - first


def full_disk(options, name, seed, score):
    rng, debian = random.Random(seed), Debian(options, name, score)
    first = 1024 * MIB
    with doors.NbdDoor("2G", "--capacity", "720M", "--segment-size", "4M") as lab:
        try:
            score.equal("the import", lab.load_image(options.image), 0)
            lab.start()
            others = occupy(lab, rng, first)
            score.check("others' data fill the store", others > 128 * MIB, f"{others} bytes")
            monitor = os.path.join(debian.work, "qmp")
            debian.power_on([*lab.devices(), "-qmp", f"unix:{monitor},server=on,wait=off"])
            full = Full(lab, Qmp(monitor, debian.guest.process), score, first)
            debian.expect("READY", full.look)
            debian.judge()
            debian.guest.say("go")
            debian.guest.say(f"fill {40 if options.quick else 160}")
            debian.expect("FULL", full.look)
            debian.stop(full.look)
            score.check("QEMU paused the guest more than once", full.pauses > 1, str(full.pauses))
            score.check("without room it paused again", full.again)
            debian.power_on(lab.devices())
            debian.ready(verify=True)
            debian.stop()
            score.equal("the server ends well", lab.stop(), 0)
            lbsck(lab, score)
            promised_enough(debian, score, "SQL", "FILE", "FILLED")
            print(f"   paused {full.pauses} times for want of space; {debian.told()}", flush=True)
            return {"pauses": full.pauses, "boots": debian.boots, **debian.promises.counts}
        finally:
            debian.clean_up()


# ---- the control: not a store at all, but a disk that lies about flushes ---------
def lying(options, name, seed, score):
    rng, inner = random.Random(seed), Score(aloud=False)
    debian = Debian(options, name, inner)
    shutil.copyfile(options.image, debian.image("root"))
    try:
        for mine in (True, False):
            disk = Disk(debian, "root", "16M" if mine else "0", lying=mine)
            debian.power_on(["-drive", f"if=none,format=raw,id=root,file=nbd+unix:///?socket={disk.socket}",
                             "-device", "virtio-blk-pci,drive=root"])
            if mine:
                debian.ready()
                debian.guest.say("go")
                debian.work_on(rng.randrange(300, 600))
                debian.kill()
                lost = disk.cut("none", seed)
                continue
            try:
                faults = debian.ready()
            except RuntimeError as error:	# it does not even boot
                faults = [str(error)]
            debian.kill()
            disk.end()
    finally:
        debian.clean_up()
    score.check("the lie was about something", lost["lost"] > 0, str(lost))
    score.check("a disk that lies is found out", faults)
    print(f"   found: {'; '.join(faults)}"[:160], flush=True)
    return {"writes_lost": lost["lost"], "found": len(faults)}


SCENARIOS = {
    "kills": kills,
    "cuts": cuts(doors.PoweredNbd, 4, 40),
    "cuts-fuse": cuts(doors.PoweredFuse, 2, 16),
    "full": full_disk,
    "lying": lying,
    "units": units,
}
# Minutes under emulation.
LONG = ("units",)


def own_mounts():
    """Goes on where mounts are ours alone, and go when we do."""
    if os.environ.get("LBS_GUEST_MOUNTS") != str(os.getpid()):
        os.execvpe("unshare", ["unshare", "--mount", sys.executable, *sys.argv],
                   dict(os.environ, LBS_GUEST_MOUNTS=str(os.getpid())))


def prepare(options):
    kernel = image.have_kernel(os.path.join(options.build, "vm"))
    options.kernel, options.initramfs = kernel + "/vmlinux", os.path.join(options.work, "initramfs.cpio")
    options.initramfs_more = os.path.join(options.work, "initramfs-more.cpio")
    for more, path in ((False, options.initramfs), (True, options.initramfs_more)):
        made = image.base(kernel, more)
        made.program(image.which("e2fsck"), "/sbin/e2fsck")
        for job in ("work.sh", "units.sh"):
            made.file(os.path.join(HERE, job), "/" + job)
        made.write(path)


def main():
    parser = runner.arguments(__doc__, SCENARIOS, os.path.join(ROOT, "build"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--debs", help="install these packages into the guest of units")
    options = parser.parse_args()
    if os.getuid() != 0 or not os.access("/dev/fuse", os.R_OK) or not os.path.exists("/dev/loop-control"):
        print("needs root, /dev/fuse and loop devices")
        sys.exit(77)
    own_mounts()
    options.filter = os.path.join(options.build, "vm", "nbdkit-powercut-filter.so")
    options.image = os.path.join(options.build, "guest", "debian.img")
    names = options.scenario or [name for name in SCENARIOS if not (options.quick and name in LONG)]
    runner.run_suite(SCENARIOS, names, "check-guest", options, prepare)


if __name__ == "__main__":
    main()
