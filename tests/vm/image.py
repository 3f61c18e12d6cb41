#!/usr/bin/python3
"""image - a kernel and an initramfs for a guest: Debian's kernel as it is packaged,
the modules that the tests need, busybox, and programs of this machine with their
libraries. Must install nothing and need no root; the kernel is fetched once.
"""
import glob
import lzma
import os
import re
import shutil
import stat
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

MODULES = ("qemu_fw_cfg", "virtio_pci", "virtio_blk", "sdhci_pci", "mmc_block", "vfat", "nls_cp437", "nls_ascii",
           "nls_iso8859_1", "exfat", "ext4", "crc32c_generic")
# Beside them, for a guest that asks for them.
MORE = ("fuse", "loop", "nbd")
# Programs of Debian's that the guest runs besides busybox.
TOOLS = ("mkfs.vfat", "fsck.vfat", "mkfs.exfat", "fsck.exfat", "mke2fs", "e2fsck", "filefrag",
         "nbdkit", "mount", "umount")
OURS = ("lbs", "lbs-nbd", "lbsck", "nbdkit-lbs-plugin.so")
# What a kernel package has and no guest needs; unpacking it takes most of the time.
LEFT_OUT = ("gpu", "media", "net", "sound", "staging", "infiniband", "iio", "hwmon")


def fetch_kernel(directory):
    """Downloads Debian's kernel package; returns its path."""
    def there():
        return sorted(glob.glob(os.path.join(directory, "linux-image-*.deb")))

    def ask(*command):
        return subprocess.run(command, cwd=directory, text=True, capture_output=True)
    for lists_are_new in (False, True):
        if there():
            break
        if lists_are_new:
            ask("apt-get", "-q", "update")
        name = re.search(r"Depends: (linux-image-\S+)",
                         ask("apt-cache", "depends", "linux-image-amd64").stdout)
        done = ask("apt-get", "download", "-q", name.group(1) if name else "linux-image-amd64")
    if not there():
        sys.exit(f"image: Debian's kernel cannot be downloaded: {done.stderr.strip()}")
    return there()[-1]


def plain_kernel(packed):
    """The ELF file in a compressed kernel; started as such it needs half the time."""
    at = -1
    while True:
        at = packed.find(b"\xfd7zXZ\0", at + 1)
        if at < 0:
            sys.exit("image: no kernel is found in its package")
        try:
            plain = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(packed[at:])
        except lzma.LZMAError:
            continue
        if plain[:4] == b"\x7fELF":
            return plain


def find_modules(tree, names):
    """Paths of these modules, each after those it needs (as .modinfo names them)."""
    found, order = {}, []
    for path in glob.glob(tree + "/lib/modules/*/kernel/**/*.ko", recursive=True):
        found[os.path.basename(path)[:-3].replace("-", "_")] = path

    def need(name):
        path = found.get(name.replace("-", "_"))
        if not path or path in order:	# absent: built into the kernel
            return
        with open(path, "rb") as f:
            info = f.read()
        for field in re.findall(rb"(?:depends|softdep)=(?:pre: ?)?([^\0]*)\0", info):
            for other in re.split(r"[ ,]+", field.decode()):
                need(other)
        order.append(path)
    for name in names:
        need(name)
    return order


def make_kernel(directory, kernel):
    """kernel/vmlinux, and kernel/modules/NN-NAME.ko in the order of loading, those that
    only MORE needs in kernel/more."""
    package, part, tree = fetch_kernel(directory), kernel + ".part", kernel + ".tree"
    for path in (part, tree, kernel):
        shutil.rmtree(path, ignore_errors=True)
    os.makedirs(tree)
    for name in ("modules", "more"):
        os.makedirs(f"{part}/{name}")
    tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
    subprocess.run(["tar", "x", "-C", tree] + [f"--exclude=*/drivers/{d}/*" for d in LEFT_OUT],
                   stdin=tar.stdout, check=True)
    if tar.wait():
        sys.exit(f"image: {package} is damaged: remove it")
    with open(glob.glob(tree + "/boot/vmlinuz-*")[0], "rb") as f:
        plain = plain_kernel(f.read())
    with open(part + "/vmlinux", "wb") as f:
        f.write(plain)
    always = find_modules(tree, MODULES)
    for number, path in enumerate(find_modules(tree, MODULES + MORE)):
        where = "modules" if path in always else "more"
        shutil.copy(path, f"{part}/{where}/{number:02}-{os.path.basename(path)}")
    os.rename(part, kernel)
    shutil.rmtree(tree)
    os.unlink(package)


class Initramfs:
    """A cpio archive in the kernel's format, in memory."""

    def __init__(self):
        self.entries = {}

    def directory(self, path):
        if path and path not in self.entries:
            self.directory(os.path.dirname(path))
            self.entries[path] = (stat.S_IFDIR | 0o755, b"")

    def put(self, path, mode, data):
        path = path.lstrip("/")
        self.directory(os.path.dirname(path))
        self.entries.setdefault(path, (mode, data))

    def file(self, source, path, mode=0o755):
        with open(source, "rb") as f:
            self.put(path, stat.S_IFREG | mode, f.read())

    def link(self, path, target):
        self.put(path, stat.S_IFLNK | 0o777, target.encode())

    def program(self, source, path):
        """A program or a library, and the libraries it needs, where they are here."""
        self.file(source, path)
        needs = subprocess.run(["ldd", source], capture_output=True, text=True).stdout
        for name in re.findall(r"(?:=> |^\s)(/\S+)", needs, re.M):
            self.file(os.path.realpath(name), name)

    def write(self, path):
        with open(path + ".part", "wb") as f:
            for number, (name, (mode, data)) in enumerate(self.entries.items()):
                self.record(f, name, number + 1, mode, data)
            self.record(f, "TRAILER!!!", 0, 0, b"")
        os.rename(path + ".part", path)

    @staticmethod
    def record(f, name, number, mode, data):
        name = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        f.write(b"070701" + b"".join(b"%08x" % n for n in fields) + name)
        f.write(b"\0" * (-(110 + len(name)) % 4) + data + b"\0" * (-len(data) % 4))


def which(name):
    return shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin") or \
        sys.exit(f"image.py: {name} is missing: run tools/deps vm")


def base(kernel, more=False):
    """An initramfs with busybox, the modules, also those of MORE, and an init that runs
    what it is given."""
    made = Initramfs()
    for name in ("proc", "sys", "dev", "tmp", "run", "root"):
        made.directory(name)
    busybox = which("busybox")
    made.file(busybox, "/bin/busybox")
    for name in subprocess.run([busybox, "--list"], capture_output=True, text=True).stdout.split():
        made.link("/bin/" + name, "busybox")
    for where in ("modules", "more") if more else ("modules",):
        for module in os.listdir(f"{kernel}/{where}"):
            made.file(f"{kernel}/{where}/{module}", f"/modules/{module}", 0o644)
    made.link("/etc/mtab", "/proc/mounts")
    made.file(os.path.join(HERE, "init.sh"), "/init")
    return made


def make_initramfs(path, kernel, root, load):
    made = base(kernel)
    for name in ("card", "flash"):
        made.directory(name)
    for name in TOOLS:
        made.program(which(name), "/sbin/" + name)
    for name in OURS:
        made.program(os.path.join(root, name), "/lbs/" + name)
    made.program(load, "/lbs/load")
    made.file(os.path.join(HERE, "guest.sh"), "/guest.sh")
    made.write(path)


def have_kernel(directory):
    """The kernel in directory, made if it or a module is missing."""
    os.makedirs(directory, exist_ok=True)
    kernel = os.path.join(directory, "kernel")
    if not os.path.exists(kernel + "/more"):
        make_kernel(directory, kernel)
    return kernel


def make(directory, root, load):
    """Makes what is missing in directory, and the initramfs in any case; returns the
    paths of kernel and initramfs. root has the programs, load is the guest's load."""
    kernel, initramfs = have_kernel(directory), os.path.join(directory, "initramfs.cpio")
    make_initramfs(initramfs, kernel, root, load)
    return kernel + "/vmlinux", initramfs
