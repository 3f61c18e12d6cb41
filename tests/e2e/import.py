#!/usr/bin/python3
"""import - lbs import, lbs export and lbs create --from: every format there and
back, holes stay holes, images that lie or name other files, stores that are
full, served or held, and interruptions: what fails leaves nothing behind.
"""
import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import time

from nbdlab import ROOT, Lab, Score, alive, left_behind, seeded, wait_until

MIB = 1 << 20
FORMATS = ("raw", "qcow2", "vmdk", "vhdx", "vpc", "vdi")
rng = seeded()
score = Score()
SECRET = b"root:x:0:0:what the image must not get at\n"


def tool(*args):
    return subprocess.run(args, check=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True).stdout


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return path


def data_bytes(image, form):
    """How much of an image is data, as qemu-img map has it."""
    extents = json.loads(tool("qemu-img", "map", "--output=json", "-f", form, image))
    return sum(e["length"] for e in extents if e["data"] and not e["zero"])


class Place(Lab):
    """A store, with what images need beside it; temporary files of the programs
    are seen, too."""

    def __init__(self, size, *create):
        super().__init__(size, *create)
        self.tmp = self.path("tmp")
        os.mkdir(self.tmp)
        os.environ["TMPDIR"] = self.tmp

    def path(self, name):
        return os.path.join(self.work, name)

    def lbs(self, *args, status=0, word=None, what=None):
        """Runs lbs ARGS --json; checks status and word; the document."""
        done = self.run("lbs", args[0], "--json", *args[1:], check=False)
        what = what or " ".join(os.path.basename(a) for a in args)
        score.equal(f"{what}: status", done.returncode, status)
        document = json.loads(done.stdout or "{}")
        if word:
            score.equal(what, document.get("error", {}).get("code"), word)
            score.check(f"{what} says so", f"[{word}]" in done.stderr, done.stderr)
        score.equal(f"{what}: temporary files", os.listdir(self.tmp), [])
        return document

    def begin(self, *args):
        return subprocess.Popen([os.path.join(ROOT, "lbs"), *args],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def clean(self, what):
        checked = self.run("lbsck", self.store, check=False)
        score.equal(f"lbsck after {what}", checked.returncode, 0)

    def vdisk(self):
        """The whole vdisk, as raw bytes."""
        out = self.path("vdisk.raw")
        self.lbs("export", self.store, out)
        data = read(out)
        os.unlink(out)
        return data


def ext4(lab, size):
    """A sparse file system with files in it."""
    tree, image = lab.path("tree"), lab.path("disk.img")
    os.mkdir(tree)
    for i in range(20):
        write(os.path.join(tree, f"f{i}"), rng.randbytes(rng.randrange(200000)))
    with open(image, "wb") as f:
        f.truncate(size)
    tool("/sbin/mkfs.ext4", "-q", "-F", "-d", tree, image)
    return image


def round_trips(lab, image):
    size = os.path.getsize(image)
    data = data_bytes(image, "raw")
    plain = read(image)
    for form in FORMATS:
        there = lab.path(f"in.{form}")
        tool("qemu-img", "convert", "-O", form, image, there)
        # What was there before must not shine through.
        told = lab.lbs("import", there, lab.store)
        score.equal(f"{form}: told", (told.get("format"), told.get("verified")),
                    (form, True))
        score.check(f"{form}: seconds", told.get("seconds", 0) > 0)
        back = lab.path(f"out.{form}")
        told = lab.lbs("export", lab.store, back)
        score.equal(f"{form}: by its name", told.get("format"), form)
        score.check(f"{form}: the same", tool("qemu-img", "compare", "-f", form,
                                              "-F", "raw", back, image))
        score.equal(f"{form}: mode", os.stat(back).st_mode & 0o777, 0o600)
        # Holes: as much data as there was. The others have blocks of MiBs.
        score.check(f"{form}: sparse", form not in ("raw", "qcow2", "vmdk") or
                    data_bytes(back, form) <= data + MIB,
                    f"{data_bytes(back, form)} of {data}")
        tool("qemu-img", "convert", "-f", form, "-O", "raw", back, back + ".raw")
        got = read(back + ".raw")
        score.check(f"{form}: byte for byte",
                    got[:size] == plain and not any(got[size:]))
        tool("/sbin/e2fsck", "-fn", back + ".raw")
        for name in (there, back, back + ".raw"):
            os.unlink(name)
    # In the store, too, the holes take no room.
    lab.start()
    held = json.loads(tool("qemu-img", "map", "--output=json", "-f", "raw", lab.uri()))
    held = sum(e["length"] for e in held if e["data"])
    score.check("holes in the store", held <= data, f"{held} of {data}")
    lab.stop()


def rest_is_zero(lab):
    """A smaller image over a disk full of data."""
    lab.lbs("import", write(lab.path("full.raw"), rng.randbytes(48 * MIB)), lab.store)
    small = rng.randbytes(3 * MIB + 1000)
    lab.lbs("import", write(lab.path("small.raw"), small), lab.store)
    got = lab.vdisk()
    score.check("the rest is zero", got[:len(small)] == small and
                not any(got[len(small):]))
    lab.lbs("import", "--no-verify", write(lab.path("one"), b"x"), lab.store)
    score.check("one byte", lab.vdisk() == b"x" + bytes(48 * MIB - 1))


def refused(lab):
    """Nothing of these may change the vdisk or read what it should not."""
    secret = write(lab.path("passwd"), SECRET * 2000)
    before = lab.vdisk()
    big = lab.path("big.qcow2")
    tool("qemu-img", "create", "-f", "qcow2", big, "49M")
    lab.lbs("import", big, lab.store, status=1, word="too-large")
    said = lab.run("lbs", "import", big, lab.store, check=False).stderr
    score.check("both sizes", "49 MiB" in said and "48 MiB" in said, said)

    for form in ("qcow2", "vmdk", "qcow"):
        backed = lab.path("backed." + form)
        base, of = ("/etc/passwd", "raw") if form != "vmdk" else (lab.path("b.vmdk"), "vmdk")
        if form == "vmdk":
            tool("qemu-img", "create", "-f", "vmdk", base, "1M")
        tool("qemu-img", "create", "-f", form, "-F", of, "-b", base, backed, "1M")
        lab.lbs("import", backed, lab.store, status=1, word="backing-file")
        lab.lbs("import", "--format", form, backed, lab.store, status=1,
                word="backing-file")
    url = lab.path("url.qcow2")
    tool("qemu-img", "create", "-u", "-f", "qcow2", "-F", "raw", "-b",
         "nbd://127.0.0.1:1/", url, "1M")
    lab.lbs("import", url, lab.store, status=1, word="backing-file")
    outside = lab.path("outside.qcow2")
    tool("qemu-img", "create", "-f", "qcow2", "-o",
         f"data_file={lab.path('ext')},data_file_raw=on", outside, "64k")
    shutil.copy(secret, lab.path("ext"))
    flat = write(lab.path("flat.vmdk"), f"""# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="monolithicFlat"
RW 128 FLAT "{secret}" 0
""".encode())
    for lying in (outside, flat):
        done = lab.run("lbs", "import", lying, lab.store, check=False)
        score.equal(f"{lying}: status", done.returncode, 1)
        # By the wall around qemu-img where there is one, else by its report.
        score.check(f"{lying}: not read", "Permission denied" in done.stderr or
                    "[backing-file]" in done.stderr, done.stderr)
    score.check("nothing was written", lab.vdisk() == before)
    lab.lbs("import", "--follow-backing", flat, lab.store)
    score.check("followed when asked to", lab.vdisk().startswith(SECRET))
    lab.lbs("import", "--format", "raw", backed, lab.store)
    score.check("raw is raw", lab.vdisk().startswith(read(backed)[:65536]))

    whole = lab.path("whole.qcow2")
    tool("qemu-img", "convert", "-O", "qcow2", write(lab.path("w"), rng.randbytes(MIB)), whole)
    bytes_ = bytearray(read(whole))
    before = lab.vdisk()
    for what, at, value in (("magic", 0, b"\0\0\0\0"), ("version", 4, b"\0\0\0\x63"),
                            ("cluster bits", 20, b"\0\0\0\x40"),
                            ("L1 size", 36, b"\x7f\xff\xff\xff"),
                            ("L1 offset", 40, b"\x7f" + bytes(6) + b"\x01")):
        hurt = bytearray(bytes_)
        hurt[at:at + len(value)] = value
        lab.lbs("import", write(lab.path("hurt.qcow2"), hurt), lab.store, status=1,
                word="bad-image", what=f"damaged {what}")
    score.check("a damaged image wrote nothing", lab.vdisk() == before)
    # An entry that points beyond the end: found while reading.
    l1 = int.from_bytes(bytes_[40:48], "big")
    l2 = int.from_bytes(bytes_[l1:l1 + 8], "big") & 0x00fffffffffffe00
    bytes_[l2:l2 + 8] = (1 << 63 | 1 << 50).to_bytes(8, "big")
    done = lab.run("lbs", "import", write(lab.path("hurt.qcow2"), bytes_), lab.store,
                   check=False)
    score.check("a wild pointer is zeroes or an error, never a crash",
                done.returncode in (0, 1), str(done))
    for name, word in (("nowhere.raw", "not-found"), ("tmp", "bad-image")):
        lab.lbs("import", lab.path(name), lab.store, status=1, word=word)
    os.mkfifo(lab.path("pipe"))
    lab.lbs("import", lab.path("pipe"), lab.store, status=1, word="bad-image")
    lab.lbs("import", write(lab.path("nothing"), b""), lab.store, status=1, word="bad-image")
    lab.lbs("import", whole, lab.path("no.lbs"), status=1, word="not-found")
    lab.lbs("import", "--vdisk", "other", whole, lab.store, status=1, word="not-found")
    lab.lbs("export", "--vdisk", "other", lab.store, lab.path("o"), status=1, word="not-found")
    lab.lbs("export", lab.store, whole, status=1, word="exists")
    score.check("what exists stays", read(whole)[:4] == b"QFI\xfb")
    lab.lbs("export", lab.store, lab.path("no/where"), status=1, word="io")
    lab.lbs("export", "--format", "nonsense", lab.store, lab.path("o"), status=1, word="failed")
    score.check("nothing is left", not os.path.exists(lab.path("o")))
    # Names that mean something else to qemu-img.
    here = os.getcwd()
    os.chdir(lab.work)
    for name in ("nbd:unix:x", "json:{}", "-n", "a,b=c"):
        shutil.copy(whole, os.path.join(lab.work, name))
        lab.lbs("import", "--", "./" + name if name == "-n" else name, lab.store)
        lab.lbs("export", "--", lab.store, "./x" + name)
        score.check(f"{name} came out", os.path.getsize("./x" + name) == 48 * MIB)
    os.chdir(here)
    lab.clean("refusals")


def served(lab, image):
    wanted = read(image)
    lab.start()
    lab.lbs("import", image, lab.store)
    out = lab.path("served.raw")
    lab.lbs("export", lab.store, out)
    score.check("through the server", read(out)[:len(wanted)] == wanted)
    score.check("the server still serves", lab.stat()["served"])
    lab.kill()
    lab.start("--read-only")
    lab.lbs("import", image, lab.store, status=1, word="read-only")
    os.unlink(out)
    lab.lbs("export", lab.store, out)
    score.check("flushed: after a kill, read-only", read(out)[:len(wanted)] == wanted)
    lab.stop()
    elsewhere = lab.path("else.sock")
    server = subprocess.Popen([os.path.join(ROOT, "lbs-nbd"), "-f", "--socket", elsewhere,
                               lab.store], stdin=subprocess.DEVNULL)
    wait_until(lambda: os.path.exists(lab.store + ".ctl"), 60)
    refused = lab.lbs("import", image, lab.store, status=1, word="busy")
    score.check("who holds it, and that it is not served there",
                "in use by lbs-nbd, which does not serve it at" in refused["error"]["message"])
    os.unlink(out)
    lab.lbs("export", lab.store, out, status=1, word="busy")
    score.check("busy makes no image", not os.path.exists(out))
    server.terminate()
    server.wait()


def unread(lab):
    """What is said goes into a pipe that nobody reads: nothing is left half done."""
    def run(*args):
        ours, theirs = os.pipe()
        os.close(ours)
        done = subprocess.run([os.path.join(ROOT, "lbs"), *args], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=theirs, check=False,
                              timeout=300)
        os.close(theirs)
        return done.returncode

    new, card, out = lab.path("new.lbs"), lab.path("newcard"), lab.path("half.raw")
    # It warns that the card holds less than the disk, and goes on.
    score.equal("create that warns into nothing", run(
        "create", "--size", "64M", "--segment-size", "1M", "--capacity", "32M", "--data",
        card, new), 0)
    score.equal("makes a whole store", lab.run("lbsck", new, check=False).returncode, 0)
    shutil.rmtree(card)
    for name in os.listdir(lab.work):
        if name.startswith("new.lbs"):
            os.unlink(lab.path(name))
    image = write(lab.path("48.raw"), rng.randbytes(48 * MIB))
    score.equal("create that fails into nothing", run(
        "create", "--segment-size", "1M", "--capacity", "32M", "--from", image, "--data",
        card, new), 1)
    score.equal("leaves nothing", [n for n in os.listdir(lab.work) if n.startswith("new")], [])
    score.equal("export that fails into nothing", run(
        "export", "--format", "nonsense", lab.store, out), 1)
    score.check("leaves nothing", not os.path.exists(out))
    gone(lab, "unread")


def latin(lab):
    """Names that are not UTF-8, which the server's and qemu-img's JSON has to be."""
    place = os.fsencode(lab.work) + b"/caf\xe9"
    os.mkdir(place)
    store, image, out = (os.fsdecode(place + b"/" + n) for n in (b"s.lbs", b"i.raw", b"o.raw"))
    lab.lbs("create", "--size", "8M", "--data", place + b"/card", store, what="latin: create")
    data = rng.randbytes(MIB)
    lab.lbs("import", write(image, data), store, what="latin: import")
    told = lab.lbs("export", store, out, what="latin: export")
    score.check("latin: exported", read(out)[:MIB] == data and
                told.get("image", "").endswith("/caf?/o.raw"), str(told))
    os.environ["TMPDIR"] = os.fsdecode(place)
    lab.lbs("import", image, lab.store, what="latin: TMPDIR")
    os.environ["TMPDIR"] = lab.path("nowhere")
    told = lab.lbs("import", image, lab.store, status=1, word="io", what="no TMPDIR")
    score.check("no TMPDIR: what to do", "TMPDIR" in told.get("error", {}).get("message", ""), told)
    os.environ["TMPDIR"] = lab.tmp
    server = subprocess.Popen([os.path.join(ROOT, "lbs-nbd"), "-f", store],
                              stdin=subprocess.DEVNULL)
    score.check("latin: serves", wait_until(lambda: os.path.exists(store + ".ctl"), 60))
    for command in ("stat", "list"):
        told = lab.lbs(command, store, what=f"latin: {command}")
        score.equal(f"latin: {command} asks it", told.get("served"), True)
    wait_until(lambda: os.path.exists(store + ".sock"), 60)
    told = lab.lbs("import", image, store, status=1, word="busy", what="latin: served")
    score.check("latin: and why", "UTF-8" in told.get("error", {}).get("message", ""), told)
    server.terminate()
    server.wait()


def no_room(lab):
    """A card that is full; a disk that is, under an export."""
    image = write(lab.path("big.raw"), rng.randbytes(40 * MIB))
    full = lab.lbs("import", image, lab.store, status=1, word="no-space")
    score.check("and where to look", "lbs stat" in full["error"]["message"])
    lab.clean("a full card")
    lab.lbs("import", write(lab.path("small.raw"), rng.randbytes(4 * MIB)), lab.store)
    if subprocess.run(["unshare", "-m", "true"], check=False,
                      stderr=subprocess.DEVNULL).returncode == 0:
        small = lab.path("small")
        os.mkdir(small)
        done = subprocess.run(
            ["unshare", "-m", "bash", "-c", f"mount -t tmpfs -o size=1M none {small} && "
             f"{{ {ROOT}/lbs export {lab.store} {small}/x.qcow2; s=$?; ls -A {small}; exit $s; }}"],
            check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        score.check("a full disk", done.returncode == 1 and "[no-space]" in done.stderr and
                    done.stdout == "", str(done))


def differs(lab):
    """A qemu-img that copies wrongly: noticed, unless told not to look."""
    real, fake = shutil.which("qemu-img"), lab.path("bin")
    os.mkdir(fake)
    write(os.path.join(fake, "qemu-img"), f"""#!/bin/bash
{real} "$@" || exit
[ "$1" != convert ] || printf X | dd of="${{@: -1}}" bs=1 seek=777 conv=notrunc status=none
""".encode())
    os.chmod(os.path.join(fake, "qemu-img"), 0o755)
    path, out = os.environ["PATH"], lab.path("wrong.raw")
    os.environ["PATH"] = fake + ":" + path
    lab.lbs("export", lab.store, out, status=1, word="differs")
    score.check("a wrong copy is not left", not os.path.exists(out))
    told = lab.lbs("export", "--no-verify", lab.store, out)
    score.equal("not verified", told.get("verified"), False)
    os.environ["PATH"] = path


def asks(lab):
    """What a vdisk holds is written over only with consent, where there is a terminal
    to ask on; a dry run writes nothing."""
    old, new = rng.randbytes(2 * MIB), rng.randbytes(MIB)
    lab.lbs("import", write(lab.path("old.raw"), old), lab.store)
    image = write(lab.path("new.raw"), new)
    told = lab.lbs("import", "--dry-run", image, lab.store)
    score.check("a dry run", told.get("dry_run") and told.get("written") and
                told.get("live_bytes", 0) >= 2 * MIB, told)

    def typed(answer, *options):
        ours, theirs = pty.openpty()
        os.write(ours, answer)
        done = subprocess.run([os.path.join(ROOT, "lbs"), "import", *options, image,
                               lab.store], stdin=theirs, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120)
        os.close(ours)
        os.close(theirs)
        return done

    done = typed(b"n\n")
    score.check("no is no", done.returncode == 1 and "[cancelled]" in done.stderr and
                "2 MiB live" in done.stderr, done.stderr)
    score.check("nothing was written", lab.vdisk()[:2 * MIB] == old)
    score.equal("yes is yes", typed(b"y\n").returncode, 0)
    score.check("and it is written", lab.vdisk()[:2 * MIB] == new + bytes(MIB))
    done = typed(b"", "--yes")
    score.check("--yes asks nothing", done.returncode == 0 and
                "go on?" not in done.stderr, done.stderr)


def writes(lab):
    try:
        return lab.stat()["counters"]["write_ops"]
    except (RuntimeError, KeyError):
        return 0


def gone(lab, what):
    score.check(f"{what}: no process is left",
                wait_until(lambda: not left_behind(lab.work), 30), str(left_behind(lab.work)))
    score.equal(f"{what}: temporary files", os.listdir(lab.tmp), [])


def twice(work):
    """SIGINT again and again, as somebody who does not want to wait."""
    while work.poll() is None:
        work.send_signal(signal.SIGINT)
        time.sleep(0.01)
    said = work.communicate()[1]
    # At the very end it may be what ends it.
    score.check("SIGINT twice", work.returncode in (1, -signal.SIGINT) and "[cancelled]" in said,
                f"{work.returncode}: {said}")


def interrupted(lab):
    image = write(lab.path("long.raw"), rng.randbytes(32 * MIB) * 8)
    for name, number in (("SIGINT", signal.SIGINT), ("SIGTERM", signal.SIGTERM),
                         ("SIGKILL", signal.SIGKILL)):
        work = lab.begin("import", "-q", image, lab.store)
        wait_until(lambda: os.path.exists(lab.store + ".ctl") and writes(lab) > 2 or
                   work.poll() is not None, 60)
        work.send_signal(number)
        said = work.communicate()[1]
        if number != signal.SIGKILL:
            score.equal(f"import, {name}: status", work.returncode, 1)
            score.check(f"import, {name}: says so", "[cancelled]" in said and "the vdisk" in said, said)
            score.check(f"import, {name}: nothing of a client that hung up", not any(
                w in said for w in ("Connection reset", "Broken pipe", "Bad message")), said)
        gone(lab, f"import, {name}")
        lab.clean(f"import, {name}")
    lab.lbs("import", "--no-verify", image, lab.store)
    out = lab.path("long.out")
    for name, number in (("SIGINT", signal.SIGINT), ("SIGTERM", signal.SIGTERM)):
        work = lab.begin("export", "-q", lab.store, out)
        wait_until(lambda: os.path.exists(out) and os.stat(out).st_blocks > 100 or
                   work.poll() is not None, 60)
        work.send_signal(number)
        said = work.communicate()[1]
        score.equal(f"export, {name}: status", work.returncode, 1)
        score.check(f"export, {name}: says so", "[cancelled]" in said and "no image" in said, said)
        score.check(f"export, {name}: no half image", not os.path.exists(out))
        gone(lab, f"export, {name}")
    # Asked again while the server ends: what was begun is removed all the same.
    work = lab.begin("export", "-q", lab.store, out)
    wait_until(lambda: os.path.exists(out) and os.stat(out).st_blocks > 100 or
               work.poll() is not None, 60)
    twice(work)
    score.check("export, SIGINT twice: no half image", not os.path.exists(out))
    gone(lab, "export, SIGINT twice")
    new, card = lab.path("new.lbs"), lab.path("newcard")

    def nothing(what):
        left = [n for n in os.listdir(lab.work) if n.startswith("new")]
        score.equal(f"{what}: left behind", left, [])

    work = lab.begin("create", "-q", "--from", image, "--data", card, new)
    wait_until(lambda: os.path.exists(new + ".ctl") or work.poll() is not None, 60)
    time.sleep(0.1)
    work.send_signal(signal.SIGTERM)
    said = work.communicate()[1]
    score.check("create --from, SIGTERM", work.returncode == 1 and "[cancelled]" in said, said)
    nothing("create --from, SIGTERM")
    gone(lab, "create --from, SIGTERM")
    work = lab.begin("create", "-q", "--from", image, "--data", card, new)
    wait_until(lambda: os.path.exists(new + ".ctl") or work.poll() is not None, 60)
    time.sleep(0.1)
    twice(work)
    nothing("create --from, SIGINT twice")
    gone(lab, "create --from, SIGINT twice")
    lab.lbs("create", "--from", image, "--capacity", "64M", "--data", card, new,
            status=1, word="no-space")
    nothing("create --from on a full card")
    lab.lbs("create", "--from", image, "--size", "255M", "--data", card, new,
            status=1, word="too-large")
    nothing("create --from, too small")
    lab.lbs("create", "--from", lab.path("nowhere"), "--data", card, new,
            status=1, word="not-found")
    lab.lbs("create", "--no-verify", "--size", "1M", "--data", card, new,
            status=2, word="invalid")
    nothing("create --from, no image")


def catches(pid, signum):
    try:
        with open(f"/proc/{pid}/status") as f:
            caught = [l.split()[1] for l in f if l.startswith("SigCgt")]
    except OSError:
        return False
    return bool(int(caught[0], 16) >> signum - 1 & 1)


def at_once(lab):
    """Interrupted before the private server is up: on one processor it has done
    nothing yet when it is told to end."""
    processor = min(os.sched_getaffinity(0))
    for _ in range(5):
        with open(lab.store + ".run", "rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            work = subprocess.Popen(
                [os.path.join(ROOT, "lbs"), "export", lab.store, lab.path("out.raw")],
                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {processor}))
            wait_until(lambda: catches(work.pid, signal.SIGINT) or
                       work.poll() is not None, 60)
            work.send_signal(signal.SIGINT)
        said = work.communicate(timeout=120)[1]
        # Where the lock was not let go of in time, it is busy.
        score.check("interrupted at once", work.returncode == 1 and
                    ("[cancelled]" in said or "[busy]" in said), said)
        gone(lab, "interrupted at once")
    score.check("and no image", not os.path.exists(lab.path("out.raw")))


def progress(lab):
    """On a terminal, after two seconds; the server is stopped meanwhile."""
    image = write(lab.path("slow.raw"), rng.randbytes(32 * MIB) * 6)
    lab.start()
    for quiet in ((), ("-q",)):
        ours, theirs = pty.openpty()
        before = writes(lab)
        work = subprocess.Popen([os.path.join(ROOT, "lbs"), "import", *quiet, image, lab.store],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=theirs)
        os.close(theirs)
        wait_until(lambda: writes(lab) > before + 2 or work.poll() is not None, 60)
        server = lab.nbdkit()
        os.kill(server, signal.SIGSTOP)
        time.sleep(3)
        os.kill(server, signal.SIGCONT)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        score.equal("with a terminal", work.wait(), 0)
        score.equal(f"progress {quiet}", b"importing [" in shown, not quiet)
    lab.stop()


def unwaited(lab):
    """From a parent that waits for no child: what qemu-img says counts all the same."""
    def run(*args):
        return subprocess.run([os.path.join(ROOT, "lbs"), *args], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=300,
                              preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))

    data = rng.randbytes(MIB)
    done = run("import", write(lab.path("one.raw"), data), lab.store)
    score.equal("import with SIGCHLD ignored", done.returncode, 0)
    score.check("it is there", lab.vdisk()[:MIB] == data)
    out = lab.path("out.raw")
    done = run("export", "--format", "nonsense", lab.store, out)
    score.check("export with SIGCHLD ignored", done.returncode == 1 and
                "[failed]" in done.stderr and not os.path.exists(out), str(done))
    gone(lab, "SIGCHLD ignored")


def created(lab, image):
    for size in ((), ("--size", "96M")):
        new, card = lab.path("new.lbs"), lab.path("newcard")
        told = lab.lbs("create", "--from", image, *size, "--data", card, new)
        wanted = 96 * MIB if size else os.path.getsize(image)
        score.equal("the disk's size", told.get("size_bytes"), wanted)
        score.equal("told", told.get("from", {}).get("verified"), True)
        score.check("no server is left", not os.path.exists(new + ".ctl"))
        out = lab.path("created.raw")
        lab.lbs("export", new, out)
        got, plain = read(out), read(image)
        score.check("as the image", got[:len(plain)] == plain and
                    not any(got[len(plain):]) and len(got) == wanted)
        for path in [out] + [lab.path(n) for n in os.listdir(lab.work) if n.startswith("new.lbs")]:
            os.unlink(path)
        shutil.rmtree(card)


with Place("48M") as lab:
    disk = ext4(lab, 40 * MIB)
    round_trips(lab, disk)
    created(lab, disk)
    rest_is_zero(lab)
    refused(lab)
    served(lab, disk)
    differs(lab)
with Place("16M") as lab:
    unwaited(lab)
    latin(lab)
    unread(lab)
    at_once(lab)
    asks(lab)
with Place("64M", "--capacity", "24M", "--segment-size", "1M") as lab:
    no_room(lab)
with Place("256M") as lab:
    interrupted(lab)
    progress(lab)
score.end()
