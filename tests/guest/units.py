"""units - a Debian with systemd into which LBS is installed: its units, and what the
kernel makes of a store: nbd, loop, mount(8). The store is in the guest, its card a FAT
disk. What is done stands in units.sh, step by step. Must never pass a run in which a
step was not heard of.
"""
import glob
import os
import shutil
import subprocess

from debian import Debian
from emulator import SILENCE

CARD_MIB = 384
FIRST = ("installed", "verified", "created", "service", "stopped", "activated",
         "restarted_under_load", "nbd_device", "nbd_server_gone", "fuse_file", "loop_device", "fuse_killed",
         "fstab", "without_card", "card_unmounted", "journal_clean")
SECOND = ("at_boot", "journal_clean")
# What systemd-analyze may say at most; 10 is a service without any confinement.
EXPOSURE = {"lbs-nbd@corp.service": 2.0, "lbs-fuse@corp.service": 6.0}


def run(*command, **more):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, text=True,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)


class Units(Debian):
    def make_disks(self, image, debs):
        """The system on top of the image, which stays as it is; a card; what is installed:
        packages, or what make install makes."""
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", os.path.abspath(image), "-F", "raw",
            self.image("root"))
        run("truncate", "-s", f"{CARD_MIB}M", self.image("card"))
        run("mkfs.vfat", "-F", "32", "-s", "8", self.image("card"))
        tree = os.path.join(self.work, "packages")
        os.mkdir(tree)
        if debs:
            for deb in glob.glob(os.path.join(debs, "*.deb")):
                if "-dev_" not in deb and "-dbgsym_" not in deb:
                    shutil.copy(deb, tree)
        else:
            # The plugin lies where plain make has lbs-nbd look for it.
            run("make", "-s", "install", f"DESTDIR={tree}", "PREFIX=/usr",
                "NBDKIT_PLUGINDIR=/usr/lib/nbdkit/plugins",
                cwd=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")})
        run("mkfs.ext4", "-q", "-d", tree, self.image("packages"), "64M")

    def boot(self, steps):
        """One life; returns what was measured in it."""
        self.power_on([arg for name, kind in (("root", "qcow2"), ("card", "raw"), ("packages", "raw"))
                       for arg in ("-drive", f"if=virtio,format={kind},file={self.image(name)}")],
                      "systemd", "units")
        found, done = {}, []
        self.listen(("READY",), found)
        for name in steps:
            self.guest.say(f"step {name}")
            said = self.listen(("DONE", "FAILED"), found)
            self.score.check(f"step {name}", said.startswith(f"DONE {name} "), said)
            done.append(name)
        self.guest.say("off")
        self.listen(("OFF",), found)
        while self.guest.next_line(SILENCE) is not None:
            pass
        self.score.equal("QEMU's end", self.guest.end(), 0)
        self.guest.kill()
        return {"steps": len(done), **found}

    def listen(self, words, found):
        """The line with one of the words; others are what was found."""
        while (line := self.guest.next_line(SILENCE)) is not None:
            word, _, rest = line.partition(" ")
            if word in words:
                return line
            if word not in ("REPLAY", "FSCK", "UP"):
                print(f"   {line}", flush=True)
                found.setdefault(word.lower(), []).append(rest)
        raise RuntimeError(f"the guest ended before it said {words}; see {self.work}/console.log")


def units(options, name, seed, score):
    guest = Units(options, name, score)
    guest.initramfs = options.initramfs_more
    try:
        guest.make_disks(options.image, options.debs)
        first, second = guest.boot(FIRST), guest.boot(SECOND)
        for line in first.get("exposure", ["none 10"]):
            unit, figure = line.split(" ")
            score.check(f"exposure of {unit}", float(figure) <= EXPOSURE.get(unit, 0), figure)
        return {"boots": guest.boots, "steps": first["steps"] + second["steps"],
                "exposure": first.get("exposure"), "pieces": first.get("pieces")}
    finally:
        guest.clean_up()
