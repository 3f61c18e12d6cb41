"""doors - a store with Debian on it, served over NBD or as a FUSE file to QEMU, on
card and internal flash whose power can be cut: each is an ext4 on a loop device,
over NBD, on the volatile cache of tests/vm/powercut.c. What a cut takes is what this
machine's page cache had not written, what the disks had not made durable, and the
boot's id. Needs root and a mount namespace of its own.
"""
import os
import signal
import subprocess
import uuid

from emulator import die_with_parent
from fuselab import FuseLab
from machine import Disk
from nbdlab import PATIENCE, Lab, children, wait_until

DEBUG = "/sys/kernel/debug"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
FLASH_MIB, CARD_MIB = 256, 3072


def run(*command):
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.strip()


class Volume:
    """A file system on a disk whose power can be cut, mounted at its path."""

    def __init__(self, lab, name, new):
        self.path = os.path.join(lab.work, name)
        self.front = self.path + ".nbd"
        self.disk = Disk(lab, name)
        for path in (self.path, self.front):
            os.makedirs(path, exist_ok=True)
        file = os.path.join(self.front, "disk")
        self.fuse = subprocess.Popen(
            ["nbdfuse", file, f"nbd+unix:///?socket={self.disk.socket}"],
            stdin=subprocess.DEVNULL, stderr=lab.log, preexec_fn=die_with_parent)
        if not wait_until(lambda: os.path.exists(file), PATIENCE):
            raise RuntimeError("nbdfuse does not mount")
        self.loop = run("losetup", "--show", "-f", file)
        if new:
            run("mkfs.ext4", "-q", self.loop)
        run("mount", self.loop, self.path)

    def unwritten(self):
        """KiB of this machine's page cache that its disk has not been given."""
        number = os.path.basename(self.loop)[len("loop"):]
        with open(f"{DEBUG}/bdi/7:{number}/stats") as f:
            found = dict(line.split(":") for line in f)
        return sum(int(found[name].split()[0]) for name in ("BdiWriteback", "BdiReclaimable"))

    def leave(self):
        """Unmounts; what is in memory is written, if there is still a disk to take it."""
        run("umount", self.path)
        run("losetup", "-d", self.loop)
        # The loop device may let go of its file a little later.
        wait_until(lambda: subprocess.run(["fusermount3", "-u", self.front]).returncode == 0, PATIENCE)
        self.fuse.wait(PATIENCE)


class Powered:
    """Mixed into a Lab: where its card and internal flash are."""

    def prepare(self):
        self.volumes = {}
        self.boot_id = os.path.join(self.work, "boot_id")
        for name, mib in (("card", CARD_MIB), ("flash", FLASH_MIB)):
            with open(self.image(name), "wb") as f:
                f.truncate(mib << 20)
        if not os.path.isdir(DEBUG + "/bdi"):
            run("mount", "-t", "debugfs", "debugfs", DEBUG)
        self.new_boot()
        run("mount", "--bind", self.boot_id, BOOT_ID)
        self.power_on(new=True)
        self.card = os.path.join(self.work, "card", "lbs")
        self.store = os.path.join(self.work, "flash", "corp.lbs")
        self.sock = self.store + ".sock"

    def image(self, name):
        return os.path.join(self.work, name + ".img")

    def new_boot(self):
        with open(self.boot_id, "w") as f:
            f.write(f"{uuid.uuid4()}\n")

    def power_on(self, new=False):
        for name in ("card", "flash"):
            self.volumes[name] = Volume(self, name, new)

    def power_cut(self, how, seed, qemu):
        """Returns for each disk the KiB of page cache that are gone, and what of its own
        cache was kept, torn and lost. The server does nothing more from before the cut;
        killed at once, it would end only when its syncs under way are done."""
        for pid in (self.launcher.pid, *children(self.launcher.pid)):
            os.kill(pid, signal.SIGSTOP)
        qemu.send_signal(signal.SIGKILL)
        lost = {}
        for n, (name, volume) in enumerate(self.volumes.items()):
            lost[name] = {"KiB": volume.unwritten(), **volume.disk.cut(how, seed + n)}
        self.kill()
        for volume in self.volumes.values():
            volume.leave()
        self.new_boot()
        return lost

    def __exit__(self, kind, value, trace):
        self.kill()
        for volume in self.volumes.values():
            volume.leave()
            volume.disk.end()
        run("umount", BOOT_ID)
        super().__exit__(kind, value, trace)


class NbdDoor(Lab):
    name = "NBD"

    def devices(self):
        return ["-blockdev", "driver=nbd,node-name=root,server.type=unix,server.path=" + self.sock +
                ",export=disk,discard=unmap,detect-zeroes=unmap,reconnect-delay=120",
                "-device", "virtio-blk-pci,drive=root"]

    def load_image(self, image):
        """The image becomes the beginning of the disk."""
        self.start()
        run("nbdcopy", "--destination-is-zero", image, self.uri("disk"))
        return self.stop()

    def discard(self, length, offset):
        h = self.connect()
        h.trim(length, offset)
        h.shutdown()


class FuseDoor(FuseLab):
    name = "FUSE"

    def devices(self):
        return ["-blockdev", "driver=file,node-name=root,filename=" + self.file +
                ",discard=unmap,detect-zeroes=unmap",
                "-device", "virtio-blk-pci,drive=root"]

    def load_image(self, image):
        Lab.start(self)
        run("nbdcopy", "--destination-is-zero", image, self.uri("disk"))
        return Lab.stop(self)

    def kill(self):
        """A killed server leaves its mount, which goes, too."""
        super().kill()
        if self.mounted():
            run("umount", "-l", self.mnt)


class PoweredNbd(Powered, NbdDoor):
    pass


class PoweredFuse(Powered, FuseDoor):
    pass
