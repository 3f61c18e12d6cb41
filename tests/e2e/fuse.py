#!/usr/bin/python3
"""fuse - lbs-fuse as a program: starting and refusing, in front and in the
background; what the file may and may not; what is durable when; every way to end;
mount(8); users; ext4 on a loop device over the file. The requests themselves are
tests/conformance.
"""
import errno
import os
import shutil
import subprocess
import threading

import nbdlab
from fuselab import FuseLab, need_fuse
from nbdlab import Score, alive, own_mounts, seeded, wait_until

need_fuse()
own_mounts()
MIB = 1 << 20
rng = seeded()
score = Score()


def outcome(call):
    """0, or the name of the errno."""
    try:
        call()
        return 0
    except OSError as e:
        return errno.errorcode.get(e.errno, e.errno)


def sh(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def opened(lab, flags=os.O_RDWR):
    return os.open(lab.file, flags)


def records(lab):
    counters = lab.stat()["counters"]
    return counters["last_record"], counters["durable_record"]


def server_of(lab):
    return lab.stat()["pid"]


def background(lab, *options):
    """As a user starts it: returns when the file is there, or says why not."""
    return lab.run("lbs-fuse", *options, lab.store, lab.mnt, check=False)


def ended(pid):
    return wait_until(lambda: not alive(pid), 60)


# ---- starting ------------------------------------------------------------------
def starting():
    with FuseLab() as lab:
        done = background(lab)
        score.equal("the background: status", (done.returncode, done.stderr), (0, ""))
        score.equal("the file is there at once", os.listdir(lab.mnt), ["disk"])
        pid = server_of(lab)
        score.equal("lbs stat asks it", lab.stat()["server"], "lbs-fuse")
        score.equal("lbs list asks it", "disk" in lab.run("lbs", "list",
                                                          lab.store).stdout, True)
        score.equal("lbs clean works", lab.run("lbs", "clean", "-q",
                                               lab.store).returncode, 0)
        again = background(lab)
        score.check("a second one is told who holds it", again.returncode == 1 and
                    "[busy]" in again.stderr and str(pid) in again.stderr,
                    again.stderr)
        score.check("a socket of ours, private", os.stat(lab.store + ".ctl").st_mode
                    & 0o777 == 0o600)
        # A card that lost what was flushed: only opening it tells.
        fd = opened(lab)
        os.pwrite(fd, rng.randbytes(MIB), 0)
        os.fsync(fd)
        os.close(fd)
        os.kill(pid, 9)
        ended(pid)
        stale = background(lab)
        score.check("a mount that a killed server left is named, with the remedy",
                    stale.returncode == 1 and "[stale-mount]" in stale.stderr and
                    f"fusermount3 -u {lab.mnt}" in stale.stderr, stale.stderr)
        sh("fusermount3", "-u", lab.mnt)
        chunk = os.path.join(lab.card, "0000.lbs")
        with open(chunk, "r+b") as f:
            f.seek(0)
            f.write(bytes(8 * MIB))
        refused = background(lab)
        score.check("what the child finds at opening reaches the terminal",
                    refused.returncode == 1 and
                    refused.stderr.startswith("lbs-fuse: ") and
                    any(w in refused.stderr for w in
                        ("[data-missing]", "[stale-card]", "[damaged]")),
                    refused.stderr)
        score.check("and nothing is mounted", not lab.mounted())


def refusals():
    with FuseLab() as lab:
        for what, status, word, args in (
                ("no operand", 2, "invalid", []),
                ("no mount point", 2, "invalid", [lab.store]),
                ("one too many", 2, "invalid", [lab.store, lab.mnt, "x"]),
                ("an unknown option", 2, "invalid", ["-o", "bogus", lab.store, lab.mnt]),
                ("a bad number", 2, "invalid", ["-o", "uid=-1", lab.store, lab.mnt]),
                ("a bad mode", 2, "invalid", ["-o", "mode=9", lab.store, lab.mnt]),
                ("no such directory", 1, "not-found", [lab.store, lab.mnt + "x"]),
                ("a file to mount on", 1, "not-a-directory", [lab.store, lab.store]),
                ("no such store", 1, "not-found", [lab.store + "x", lab.mnt]),
                ("no card", 1, "card-missing",
                 ["--data", lab.work, lab.store, lab.mnt])):
            done = lab.run("lbs-fuse", *args, check=False)
            score.check(what, done.returncode == status and f"[{word}]" in done.stderr,
                        f"{done.returncode} {done.stderr}")
        done = lab.run("lbs-fuse", "--json", lab.store, lab.mnt + "x", check=False)
        score.check("errors as JSON", '"not-found"' in done.stdout, done.stdout)
        for option in "--help", "--version":
            score.equal(option, lab.run("lbs-fuse", option).stderr, "")
        score.check("nothing is mounted", not lab.mounted())


# ---- the file --------------------------------------------------------------------
def attributes():
    with FuseLab("64M") as lab:
        lab.start()
        st = os.stat(lab.file)
        score.equal("size and mode", (st.st_size, st.st_mode & 0o7777, st.st_uid),
                    (64 * MIB, 0o600, 0))
        score.equal("size to the same", outcome(lambda: os.truncate(
            lab.file, 64 * MIB)), 0)
        for what, call in (
                ("shorter", lambda: os.truncate(lab.file, MIB)),
                ("longer", lambda: os.truncate(lab.file, 65 * MIB)),
                ("O_TRUNC", lambda: os.open(lab.file, os.O_WRONLY | os.O_TRUNC)),
                ("chmod", lambda: os.chmod(lab.file, 0o644)),
                ("chown", lambda: os.chown(lab.file, 1, 1))):
            score.equal(what, outcome(call), "EPERM")
        for what, call in (
                ("unlink", lambda: os.unlink(lab.file)),
                ("rename", lambda: os.rename(lab.file, lab.file + "x")),
                ("create", lambda: os.open(lab.file + "x", os.O_CREAT | os.O_RDWR)),
                ("mkdir", lambda: os.mkdir(lab.file + "x"))):
            score.check(what, outcome(call) in ("ENOSYS", "EPERM", "EACCES"))
        score.equal("another name", outcome(lambda: os.stat(lab.file + "x")), "ENOENT")
        score.equal("it is as it was", os.stat(lab.file).st_size, 64 * MIB)
        os.utime(lab.file, (1, 1))
        fd = opened(lab)
        os.pwrite(fd, b"x", 0)
        os.close(fd)
        score.check("its time is that of the last write", os.stat(
            lab.file).st_mtime > 1e9)
        room = os.statvfs(lab.mnt)
        counters = lab.stat()["counters"]
        score.equal("the file system is as large as what may live", (
            room.f_blocks, room.f_frsize), (counters["live_blocks_max"], 4096))
        score.equal("it ends well", lab.umount(), 0)


def durable():
    """What is acknowledged as durable is anchored: fsync, O_DSYNC, RWF_DSYNC."""
    with FuseLab() as lab:
        lab.start()
        fd = opened(lab)
        for _ in range(20):  # the sync that comes unasked may have come just then
            os.pwrite(fd, rng.randbytes(4096), 0)
            last, there = records(lab)
            if there < last:
                break
        score.check("a plain write is not yet durable", there < last,
                    f"{there} of {last}")
        os.fsync(fd)
        last, there = records(lab)
        score.equal("fsync", there, last)
        os.pwrite(fd, rng.randbytes(4096), 8192)
        os.fdatasync(fd)
        last, there = records(lab)
        score.equal("fdatasync", there, last)
        for name, flags in (("O_DSYNC", os.O_DSYNC), ("O_SYNC", os.O_SYNC),
                            ("O_DSYNC and O_DIRECT", os.O_DSYNC | os.O_DIRECT)):
            sync = opened(lab, os.O_RDWR | flags)
            if flags & os.O_DIRECT:
                import mmap
                page = mmap.mmap(-1, 4096)
                os.pwritev(sync, [page], 4 * MIB)
            else:
                os.pwrite(sync, rng.randbytes(4096), 4 * MIB)
            last, there = records(lab)
            score.equal(name, there, last)
            os.close(sync)
        os.pwritev(fd, [rng.randbytes(512)], 512, os.RWF_DSYNC)
        last, there = records(lab)
        score.equal("RWF_DSYNC", there, last)
        os.close(fd)
        score.equal("it ends well", lab.umount(), 0)


def parallel():
    """Eight writers, each in its own blocks; then each reads its own."""
    with FuseLab() as lab:
        lab.start()
        seeds = [rng.randrange(1 << 30) for _ in range(8)]
        faults = []

        def work(number):
            import random
            mine = random.Random(seeds[number])
            model = {}
            fd = opened(lab)
            try:
                for _ in range(300):
                    block = mine.randrange(1024) * 8 + number
                    model[block] = mine.randbytes(4096)
                    os.pwrite(fd, model[block], block * 4096)
                for block, data in model.items():
                    if os.pread(fd, 4096, block * 4096) != data:
                        faults.append((number, block))
            except OSError as e:
                faults.append((number, str(e)))
            finally:
                os.close(fd)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        score.equal("eight at a time", faults, [])
        score.equal("it ends well", lab.umount(), 0)


def users():
    with FuseLab() as lab:
        for directory in lab.work, lab.mnt:
            os.chmod(directory, 0o755)
        reads = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                 "head", "-c", "10", lab.file)
        for options, may in (([], False), (["-o", "mode=0644"], False),
                             (["-o", "allow_other"], False),
                             (["-o", "allow_other,mode=0644"], True),
                             (["-o", "allow_other,uid=65534"], True)):
            lab.start(*options)
            score.equal(f"another user, {options}", sh(*reads).returncode == 0, may)
            lab.umount()


AS_NOBODY = """
set -e
export PATH=$PATH:/usr/sbin
mknod "$work/fuse" c 10 229
chmod 666 "$work/fuse"
mount --bind "$work/fuse" /dev/fuse
cd "$work/theirs"
setpriv --reuid=65534 --regid=65534 --clear-groups bash -e -c '
    "$root/lbs" create -q --size 8M --data card corp.lbs >/dev/null
    mkdir mnt
    "$root/lbs-fuse" corp.lbs mnt
    stat -c "%u %a" mnt/disk
    echo theirs | dd of=mnt/disk conv=notrunc,fsync status=none
    head -c 6 mnt/disk; echo
    fusermount3 -u mnt
    for n in $(seq 600); do
        ! "$root/lbsck" -n corp.lbs >/dev/null 2>&1 || { echo clean; break; }
        sleep 0.1
    done
'
"""


def without_root():
    """All of it as nobody; the device is one that they may open."""
    with FuseLab() as lab:
        os.chmod(lab.work, 0o755)
        theirs = os.path.join(lab.work, "theirs")
        os.mkdir(theirs)
        os.chown(theirs, 65534, 65534)
        done = subprocess.run(["unshare", "-m", "bash", "-c", AS_NOBODY], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=dict(
                                  os.environ, work=lab.work, root=nbdlab.ROOT))
        score.equal("without root", (done.returncode, done.stdout),
                    (0, "65534 600\ntheirs\nclean\n"))


# ---- ending ----------------------------------------------------------------------
def ending():
    """Each clean end leaves a checkpoint: nothing is rolled forward after it."""
    with FuseLab() as lab:
        data = rng.randbytes(3 * MIB)

        def written():
            fd = opened(lab)
            os.pwrite(fd, data, 0)
            return fd

        def checked(what, status):
            score.equal(f"{what}: status", status, 0)
            score.equal(f"{what}: nothing to roll forward",
                        lab.stat()["counters"]["replay_records"], 0)
            score.check(f"{what}: no mount, no socket", not lab.mounted() and
                        not os.path.exists(lab.store + ".ctl"))
            lab.start()
            fd = opened(lab)
            score.check(f"{what}: all is there", os.pread(fd, len(data), 0) == data)
            os.close(fd)
            lab.umount()

        lab.start()
        os.close(written())
        checked("fusermount3 -u", lab.umount())
        lab.start()
        os.close(written())
        checked("umount", lab.umount("umount"))
        lab.start()
        fd = written()
        status = lab.stop()
        score.equal("the open file is gone", outcome(lambda: os.close(fd)), "ENOTCONN")
        checked("SIGTERM, with the file open", status)
        background(lab)
        os.close(written())
        pid = server_of(lab)
        sh("umount", lab.mnt)
        checked("umount, of one in the background", 0 if ended(pid) else 1)
        lab.start()
        os.close(written())
        lab.kill()
        sh("fusermount3", "-u", lab.mnt)
        score.check("SIGKILL: the tail is rolled forward",
                    lab.stat()["counters"]["replay_records"] > 0)
        lab.start()
        fd = opened(lab)
        score.check("SIGKILL: all is there", os.pread(fd, len(data), 0) == data)
        os.close(fd)
        lab.umount()


def failing():
    """A card that takes no more writes: programs get EIO, the log says once what
    to do, and it ends with a failure."""
    with FuseLab() as lab:
        shim, flag = (os.path.join(lab.work, n) for n in ("pull.so", "flag"))
        subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, os.path.join(
            os.path.dirname(os.path.abspath(__file__)), "pull.c"), "-ldl"], check=True)
        lab.start(env=dict(LD_PRELOAD=shim, PULL_DIR=lab.card, PULL_FLAG=flag,
                           PULL_LOG="/dev/null"))
        fd = opened(lab)
        os.pwrite(fd, b"kept", 0)
        os.fsync(fd)
        with open(flag, "w") as f:
            f.write("w")
        for what, call in (("a write", lambda: os.pwrite(fd, b"x" * 4096, 4096)),
                           ("fsync", lambda: os.fsync(fd)),
                           ("a write again", lambda: os.pwrite(fd, b"x", 9999))):
            score.equal(f"{what} on a failed store", outcome(call), "EIO")
        score.equal("reads go on", os.pread(fd, 4, 0), b"kept")
        os.close(fd)
        score.equal("the log says what to do, once", lab.said().count(
            "when that is mended, unmount it and start again"), 1)
        stat = lab.stat()
        score.check("lbs stat tells", stat["state"] == "failed" and stat["failure"],
                    str(stat)[:200])
        score.equal("it ends with a failure", lab.umount(), 1)
        os.unlink(flag)
        lab.start()
        fd = opened(lab)
        score.equal("opened again, what was durable is there", os.pread(fd, 4, 0),
                    b"kept")
        os.pwrite(fd, b"y", 0)
        os.close(fd)
        score.equal("and it ends well", lab.umount(), 0)


# ---- mount(8) --------------------------------------------------------------------
IN_NAMESPACE = """
set -e
mkdir "$work/up" "$work/ov"
mount -t tmpfs none "$work/up"
mkdir "$work/up/u" "$work/up/w"
mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$work/up/u,workdir=$work/up/w" \
    none /usr/sbin
ln -sf "$root/mount.lbs" /usr/sbin/mount.lbs
mount -t lbs "$store" "$mnt" -o "$options"
grep " $mnt fuse.lbs" /proc/mounts
echo from-fstab | dd of="$mnt/disk" conv=notrunc status=none
umount "$mnt"
"""


def mount8():
    with FuseLab() as lab:
        everything = ("rw,nofail,noauto,user,users,_netdev,nosuid,nodev,noexec,"
                      "defaults,relatime,comment=x,x-systemd.automount,"
                      "x-gvfs-hide,mode=0640,allow_other")
        done = lab.run("mount.lbs", lab.store, lab.mnt, "-o", everything, check=False)
        score.equal("mount.lbs takes what fstab has", (done.returncode, done.stderr),
                    (0, ""))
        score.equal("and the mode", os.stat(lab.file).st_mode & 0o777, 0o640)
        pid = server_of(lab)
        sh("umount", lab.mnt)
        score.check("umount ends it", ended(pid))
        for args, status in ((["-o", "bogus"], 2), (["-s", "-o", "bogus,ro"], 0),
                             (["-f"], 0), (["-n", "-v", "-o", "ro"], 0)):
            done = lab.run("mount.lbs", lab.store, lab.mnt, *args, check=False)
            score.equal(f"mount.lbs {args}", done.returncode, status)
            score.equal(f"mount.lbs {args} mounts", lab.mounted(), status == 0 and
                        args != ["-f"])
            if lab.mounted():
                pid = server_of(lab)
                sh("umount", lab.mnt)
                ended(pid)
        done = subprocess.run(
            ["unshare", "-m", "bash", "-c", IN_NAMESPACE], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=dict(
                os.environ, work=lab.work, root=nbdlab.ROOT, store=lab.store,
                mnt=lab.mnt, options="noauto,nofail,x-test"))
        score.equal("mount -t lbs", (done.returncode, "fuse.lbs" in done.stdout),
                    (0, True))
        if done.returncode:
            print(done.stdout)
        wait_until(lambda: not os.path.exists(lab.store + ".ctl"), 60)
        # Names that the option list must carry unharmed.
        odd = os.path.join(lab.work, "a,b \\c.lbs")
        lab.run("lbs", "create", "-q", "--size", "1M", "--data",
                os.path.join(lab.work, "odd"), odd)
        lab.store, before = odd, lab.store
        lab.start()
        with open("/proc/self/mounts") as f:
            score.check("a comma in the store's name", "a,b" in f.read())
        score.equal("it ends well", lab.umount(), 0)
        lab.store = before


# ---- a file system on it -----------------------------------------------------------
def ext4_on_loop():
    with FuseLab("256M") as lab:
        lab.start()
        inside = os.path.join(lab.work, "fs")
        os.mkdir(inside)

        def run(*command):
            done = sh(*command)
            return score.check(" ".join(command[:3]), done.returncode == 0,
                               done.stdout)
        run("mkfs.ext4", "-q", "-b", "4096", lab.file)
        loop = sh("losetup", "-f", "--show", lab.file).stdout.strip()
        score.check("a loop device", loop.startswith("/dev/loop"), loop)
        try:
            if run("mount", loop, inside):
                tree = os.path.join(inside, "tree")
                shutil.copytree(os.path.join(nbdlab.ROOT, "liblbs"), tree)
                with open(os.path.join(inside, "big"), "wb") as f:
                    f.write(rng.randbytes(48 * MIB))
                os.sync()
                os.unlink(os.path.join(inside, "big"))
                before = lab.stat()["counters"]
                run("fstrim", inside)
                after = lab.stat()["counters"]
                score.check("fstrim discards",
                            after["discard_bytes"] - before["discard_bytes"] >
                            100 * MIB)
                run("umount", inside)
        finally:
            run("losetup", "-d", loop)
        run("e2fsck", "-fn", lab.file)
        score.equal("it ends well", lab.umount(), 0)
        lab.start()
        run("e2fsck", "-fn", lab.file)
        if run("mount", "-o", "loop,ro", lab.file, inside):
            run("diff", "-r", os.path.join(nbdlab.ROOT, "liblbs"),
                os.path.join(inside, "tree"))
            run("umount", inside)
        score.equal("it ends well again", lab.umount(), 0)


def guest():
    """The guest of tests/guest, its disk the file: it writes, flushes, reads back
    and says by its exit status that all was well."""
    blocks = 160
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "guest",
                          "guest.S")
    with FuseLab() as lab:
        def made(name):
            return os.path.join(lab.work, name)

        subprocess.run(["as", "--32", "--defsym", f"COUNT={blocks}", "-o",
                        made("guest.o"), source], check=True)
        subprocess.run(["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat",
                        "binary", "-o", made("guest.bin"), made("guest.o")], check=True)
        lab.start()
        with open(made("guest.bin"), "rb") as f, open(lab.file, "r+b") as disk:
            disk.write(f.read())
        done = sh("qemu-system-x86_64", "-nodefaults", "-display", "none", "-m", "64",
                  "-debugcon", "file:" + made("said"),
                  "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-blockdev",
                  f"driver=file,node-name=f0,filename={lab.file},aio=native,"
                  "cache.direct=on,discard=unmap",
                  "-blockdev", "driver=raw,node-name=d0,file=f0,discard=unmap",
                  "-device", "virtio-blk-pci,drive=d0,physical_block_size=4096")
        score.check("the guest is content", done.returncode == 33, done.stdout)
        score.check("its flushes came", lab.stat()["counters"]["flush_ops"] > 0)
        score.equal("it ends well", lab.umount(), 0)
        lab.start()
        with open(lab.file, "rb") as disk:
            disk.seek(2048 * 512)
            score.check("what it wrote is there", all(
                disk.read(4096) == n.to_bytes(4, "little") * 1024
                for n in range(blocks)))
        lab.umount()


for part in (starting, refusals, attributes, durable, parallel, users, without_root, ending,
             failing, mount8, ext4_on_loop, guest):
    part()
    print(part.__name__, flush=True)
score.end()
