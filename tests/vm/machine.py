"""machine - a guest under QEMU and its disks, each behind its own nbdkit with the
powercut filter, so that both lose their power at one moment. The guest's script
speaks line by line over its second serial port. Must end no process that it did not
start, and every one that it did.
"""
import os
import subprocess

from emulator import SILENCE, Emulator, die_with_parent
from nbdlab import dial

CARD_MIB, FLASH_MIB = 8192, 256
PARTITION = 8192	# first sector, as cards are sold
BLOCKS = 8192		# of each of the load's two clients: 32 MiB


class Disk:
    """A disk image served over NBD. cache: bytes that are volatile. With a model, the
    image is that modelled card's, in a server of its own behind the filter's."""

    def __init__(self, vm, name, cache="64M", lying=False, model=None):
        self.name, image = name, vm.image(name)
        self.log = open(os.path.join(vm.work, name + ".log"), "ab")
        self.control = os.path.join(vm.work, name + ".control")
        self.servers, behind = [], ["file", image]
        if os.path.exists(self.control):
            os.unlink(self.control)
        if model:
            behind = ["nbd", "shared=true", "socket=" + self.serve(
                os.path.join(vm.work, name + ".model"), vm.sdcard, f"preset={model}", f"file={image}",
                f"size={CARD_MIB}M", f"state={image}.state", f"stats={image}.stats")]
        self.socket = self.serve(
            os.path.join(vm.work, name + ".sock"), "--filter=" + vm.filter, *behind,
            "powercut-control=" + self.control, f"powercut-cache={cache}", f"powercut-lying={int(lying)}")

    def serve(self, path, *args):
        """Starts an nbdkit; returns its socket, which listens then."""
        if os.path.exists(path):
            os.unlink(path)
        server = subprocess.Popen(["nbdkit", "-f", "-U", path, *args], stdin=subprocess.DEVNULL,
                                  stdout=self.log, stderr=self.log, preexec_fn=die_with_parent)
        self.servers.insert(0, server)
        dial(path, self.running).close()
        return path

    def running(self):
        return all(server.poll() is None for server in self.servers)

    def ask(self, command):
        """A command to the filter; see powercut.c."""
        with dial(self.control, self.running) as s:
            s.sendall(command.encode() + b"\n")
            return s.makefile().readline().strip()

    def cut(self, how, seed):
        """The power is gone; returns how many cached writes were kept, torn and
        lost, and of how many of these a flush had promised that they are kept."""
        said = self.ask(f"cut {how} {seed}").split()
        self.servers[0].kill()
        self.end()
        if said[0] != "cut":
            raise RuntimeError(f"{self.name}: the cut failed: {said}")
        return {word: int(number) for word, number in zip(said[1::2], said[2::2])}

    def end(self):
        """Orderly: the filter's server first, with its cache written."""
        for server in self.servers:
            if server.poll() is None:
                server.terminate()
            try:
                server.wait(SILENCE)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
                raise
        self.log.close()


class Guest(Emulator):
    """A guest that serves a store on a card, on a bus, and an internal flash."""

    def __init__(self, vm, script, card, flash, bus):
        disk = "mmcblk0" if bus == "sd" else "vda"
        drive = "if=none,format=raw,rerror=report,werror=report"
        # The card's bus: an SD host whose guest knows no flush, so every write is made
        # durable; or virtio, which passes flushes on.
        card_drive = f"{drive},id=card,file=nbd+unix:///?socket={card.socket}"
        if bus == "sd":
            card_args = ["-drive", card_drive + ",cache=writethrough",
                         "-device", "sdhci-pci", "-device", "sd-card,drive=card"]
        else:
            card_args = ["-drive", card_drive + ",detect-zeroes=on",
                         "-device", "virtio-blk-pci,drive=card"]
        super().__init__(vm, script, [
            *card_args, "-drive", f"{drive},id=flash,file=nbd+unix:///?socket={flash.socket}",
            "-device", "virtio-blk-pci,drive=flash"],
            f"wait={disk},{'vda' if bus == 'sd' else 'vdb'}")


class Machine:
    """The guest's two disks over many lives of the guest."""

    def __init__(self, options, name, fs, bus, mount="noatime", lying=False):
        self.name, self.fs, self.bus, self.mount, self.lying = name, fs, bus, mount, lying
        self.model, self.sdcard = None, options.sdcard
        self.verbose, self.processors = options.verbose, 1
        self.kernel, self.initramfs = options.kernel, options.initramfs
        self.filter = os.path.join(options.build, "nbdkit-powercut-filter.so")
        self.work = os.path.join(options.work, name)
        os.makedirs(self.work)
        self.images = {"card": CARD_MIB, "flash": FLASH_MIB}
        for disk, mib in self.images.items():
            with open(self.image(disk), "wb") as f:
                f.truncate(mib << 20)
        subprocess.run(["sfdisk", "-q", self.image("card")], text=True, check=True,
                       input=f"label: dos\nstart={PARTITION}, type={'c' if fs == 'vfat' else '7'}\n")
        self.disks, self.guest = {}, None

    def image(self, disk):
        return os.path.join(self.work, disk + ".img")

    def power_on(self, script):
        # A liar loses the whole session.
        card_cache = "16M" if self.lying else "0" if self.bus == "sd" else "64M"
        self.disks = {"card": Disk(self, "card", card_cache, self.lying, self.model),
                      "flash": Disk(self, "flash")}
        card = {"sd": "/dev/mmcblk0p1", "virtio": "/dev/vda1"}[self.bus]
        flash = {"sd": "/dev/vda", "virtio": "/dev/vdb"}[self.bus]
        head = f"CARD={card} FLASH={flash} FS={self.fs} OPTIONS={self.mount} BLOCKS={BLOCKS}\n" \
            ". /guest.sh\n"
        self.guest = Guest(self, head + script, self.disks["card"], self.disks["flash"], self.bus)

    def power_off(self):
        """After the guest has ended by itself."""
        self.guest.kill()
        for disk in self.disks.values():
            disk.end()
        self.disks = {}

    def power_cut(self, how, seed):
        self.guest.kill()
        lost = {name: disk.cut(how, seed + n) for n, (name, disk) in enumerate(self.disks.items())}
        self.disks = {}
        return lost

    def run(self, script, seconds=SILENCE):
        """A whole life; returns what was said."""
        self.power_on(script)
        said = list(iter(lambda: self.guest.next_line(seconds), None))
        self.power_off()
        if not said or said[-1] != "ENDED 0":
            raise RuntimeError(f"{self.name}: the guest failed: {said[-3:]}; the console's end:\n"
                               + self.guest.console_end())
        return said

    def create(self, options, cut=False):
        """Makes file systems and a store; with cut, the power goes as soon as lbs
        create is done, and all that was not synced with it."""
        if not cut:
            self.run(f"create {options}\nunmount_disks", 900)
            return
        self.power_on(f"create {options}\nsay CREATED\nheard nothing")
        while (line := self.guest.next_line(900)) is not None and line != "CREATED":
            pass
        if line is None:
            raise RuntimeError(f"{self.name}: lbs create failed; the console's end:\n"
                               + self.guest.console_end())
        self.power_cut("none", 0)

    def clean_up(self):
        if self.guest:
            self.guest.kill()
        for disk in self.disks.values():
            disk.end()
