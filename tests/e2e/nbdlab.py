"""nbdlab - a store, its server and a score, for the tests of the NBD front end
that are written in Python. LBS_BUILD_ROOT says where ./lbs and ./lbs-nbd are
(the checkout by default). Must end no process that it did not start.
"""
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.environ.get("LBS_BUILD_ROOT") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", ".."))

PATIENCE = 240		# seconds for what must happen; a loaded machine is slow


CLONE_NEWNS = 0x20000


def own_mounts():
    """What is mounted from here on only we and our children see, where that may be: a
    copy of it in somebody else's new namespace would keep it busy."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0:
        subprocess.run(["mount", "--make-rprivate", "/"], check=False)


def seeded():
    """A random generator whose seed is printed, and taken from SEED."""
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"seed {seed} (SEED={seed} repeats this)", flush=True)
    return random.Random(seed)


class Score:
    """Counts checks; end() gives the exit status. Not aloud: where faults must be found."""

    def __init__(self, aloud=True):
        self.checks, self.faults, self.aloud = 0, [], aloud

    @property
    def bad(self):
        return len(self.faults)

    def check(self, what, holds, detail=""):
        self.checks += 1
        if not holds:
            self.faults.append(what)
            if self.aloud:
                print(f"FAULT: {what}" + (f": {detail}" if detail else ""), flush=True)
        return holds

    def equal(self, what, got, wanted):
        return self.check(what, got == wanted, f"{got!r}, not {wanted!r}")

    def end(self):
        print(f"{self.checks} checks, {self.bad} failed")
        sys.exit(1 if self.bad else 0)


def alive(pid):
    """Whether a process runs; a zombie that nobody waits for does not, but one
    whose threads still end may hold its files."""
    try:
        if len(os.listdir(f"/proc/{pid}/task")) > 1:
            return True
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def left_behind(work):
    """Processes of ours that a failed test has not ended: those that name its
    temporary directory."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as f:
                if name != str(os.getpid()) and work.encode() in f.read():
                    found.append(int(name))
        except (OSError, ValueError):
            pass
    return found


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return bool(condition())


def dial(path, going, seconds=PATIENCE):
    """A connection to a Unix socket that a program which has just been started will
    listen on; going() is false when that program has ended. A socket's path is there
    before it listens."""
    end = time.monotonic() + seconds
    while True:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path)
            return s
        except (FileNotFoundError, ConnectionRefusedError) as error:
            s.close()
            if not going() or time.monotonic() > end:
                raise RuntimeError(f"nobody answers at {path}: {error}") from error
            time.sleep(0.01)


class Lab:
    """One store below one temporary directory, which goes with it. LBS_E2E_CREATE
    has further options for lbs create."""

    def __init__(self, size="64M", *create):
        self.work = tempfile.mkdtemp(prefix="lbs-e2e.")
        self.card = os.path.join(self.work, "card")
        self.store = os.path.join(self.work, "corp.lbs")
        self.sock = self.store + ".sock"
        self.log = open(os.path.join(self.work, "server.log"), "ab")
        self.launcher = None
        try:
            self.prepare()
            self.run("lbs", "create", "--size", size, *create,
                     *os.environ.get("LBS_E2E_CREATE", "").split(), "--data",
                     self.card, self.store)
        except BaseException:
            shutil.rmtree(self.work, ignore_errors=True)
            raise

    def prepare(self):
        """Where card and store are to be, if not in the directory itself."""

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.kill()
        if kind:
            print(f"the server said:\n{self.said()[-4000:]}")
        for pid in left_behind(self.work):
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not alive(pid), 5)
        shutil.rmtree(self.work, ignore_errors=True)

    def run(self, program, *args, check=True, timeout=600):
        done = subprocess.run([os.path.join(ROOT, program), *args],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True,
                              errors="replace", timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError(f"{program} {' '.join(args)}: status "
                               f"{done.returncode}: {done.stderr}")
        return done

    def said(self):
        with open(self.log.name, errors="replace") as f:
            return f.read()

    def stat(self):
        return json.loads(self.run("lbs", "stat", "--json", self.store).stdout)

    def uri(self, name=""):
        return f"nbd+unix:///{name}?socket={self.sock}"

    def greets(self):
        """Whether a client is answered."""
        import nbd
        if self.launcher.poll() is not None:
            raise RuntimeError(f"lbs-nbd ended with status {self.launcher.returncode}:\n"
                               f"{self.said()[-2000:]}")
        try:
            h = nbd.NBD()
            h.connect_uri(self.uri())
            h.shutdown()
            return True
        except nbd.Error:
            return False

    def start(self, *options, wait=PATIENCE):
        """Starts lbs-nbd in the foreground; returns when it greets clients."""
        self.launcher = subprocess.Popen(
            [os.path.join(ROOT, "lbs-nbd"), "-f", *options, self.store],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        if not wait_until(self.greets, wait):
            raise RuntimeError("lbs-nbd does not greet clients")

    def connect(self):
        import nbd
        h = nbd.NBD()
        h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
        h.connect_uri(self.uri())
        return h

    def nbdkit(self):
        """The pid of the running nbdkit, or None."""
        found = [p for p in children(self.launcher.pid) if alive(p)]
        return found[0] if found else None

    def stop(self, wait=PATIENCE):
        """SIGTERM; returns lbs-nbd's exit status."""
        self.launcher.send_signal(signal.SIGTERM)
        status = self.launcher.wait(wait)
        self.launcher = None
        return status

    def kill(self):
        """SIGKILL for lbs-nbd and nbdkit; returns when both are gone. lbs-nbd killed
        alone takes nbdkit with it, but once in a while nbdkit sees it go first and
        ends cleanly, which is no death."""
        if not self.launcher:
            return
        self.launcher.send_signal(signal.SIGSTOP)
        below = children(self.launcher.pid)
        for pid in below:
            os.kill(pid, signal.SIGKILL)
        self.launcher.kill()
        self.launcher.wait()
        self.launcher = None
        if not wait_until(lambda: not any(map(alive, below)), PATIENCE):
            raise RuntimeError("nbdkit outlived lbs-nbd")
