#!/usr/bin/python3
"""nbd_launcher - lbs-nbd as a program: what it says, when it returns, whose
socket it takes, how it ends, and what becomes of nbdkit when either is killed.
"""
import errno
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time

import nbd
from ledger import Ledger, Load, SECTOR
from nbdlab import (ROOT, Lab, Score, alive, children, left_behind, seeded,
                    wait_until)

rng = seeded()
score = Score()
LBS_NBD = os.path.join(ROOT, "lbs-nbd")


class Daemon:
    """lbs-nbd in the background, found by its pidfile."""

    def __init__(self, lab, *options):
        self.pidfile = os.path.join(lab.work, "pid")
        self.done = lab.run("lbs-nbd", "--pidfile", self.pidfile, *options,
                            lab.store, check=False)
        self.pid = None
        if self.done.returncode == 0:
            with open(self.pidfile) as f:
                self.pid = int(f.read())

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        if self.pid and alive(self.pid):
            self.kill()

    def nbdkit(self):
        found = [p for p in children(self.pid) if alive(p)]
        return found[0] if found else None

    def kill(self):
        below = children(self.pid)
        os.kill(self.pid, signal.SIGKILL)
        return wait_until(lambda: not any(map(alive, below + [self.pid])), 60)

    def stop(self, seconds=60):
        os.kill(self.pid, signal.SIGTERM)
        return wait_until(lambda: not alive(self.pid), seconds)


def refuses(what, done, status, word):
    score.equal(f"{what}: status", done.returncode, status)
    score.check(f"{what}: says [{word}]", f"[{word}]" in done.stderr, done.stderr)


def says_once(what, done, *parts):
    lines = [l for l in done.stderr.splitlines() if l]
    score.equal(f"{what}: one line", len(lines), 1)
    for part in parts:
        score.check(f"{what}: names {part}", lines and part in lines[0],
                    done.stderr)


def with_client(lab, work):
    h = lab.connect()
    try:
        return work(h)
    finally:
        h.shutdown()


def reachable(lab, seconds=60):
    def attempt():
        try:
            with_client(lab, lambda h: h.pread(512, 0))
            return True
        except nbd.Error:
            return False
    return wait_until(attempt, seconds)


def strike(pid, signum):
    """Sends a signal that kills; returns when it has."""
    os.kill(pid, signum)
    wait_until(lambda: not alive(pid), 60)


def words():
    """Help, version, wrong usage, what is not built."""
    with Lab("16M") as lab:
        done = lab.run("lbs-nbd", "--help", check=False)
        score.equal("--help", (done.returncode, done.stderr), (0, ""))
        done = lab.run("lbs-nbd", "--version", check=False)
        score.equal("--version", (done.returncode, done.stdout[:4]), (0, "lbs "))
        for args in ((), ("--nonsense", lab.store), (lab.store, "another"),
                     ("--port", "70000", lab.store), ("--port", "x", lab.store),
                     ("--port", "1", "--socket", "x", lab.store),
                     ("--bind", "::1", lab.store), ("--tls", "maybe", lab.store),
                     ("--socket-mode", "9", lab.store),
                     ("--socket-group", "no-such-group", lab.store),
                     ("--socket", "", lab.store), ("--pidfile", "", lab.store),
                     ("--port", "0", "--bind", "", lab.store), ("",),
                     ("--threads", "0", lab.store),
                     ("--socket", lab.work + "/" + "x" * 200, lab.store)):
            refuses(f"lbs-nbd {args}", lab.run("lbs-nbd", *args, check=False), 2,
                    "invalid")
        for args in (("--passphrase",), ("--passphrase-file", "/dev/null"),
                     ("--passphrase-command", "true"), ("--key-file", "/x")):
            refuses(f"{args}", lab.run("lbs-nbd", *args, lab.store, check=False),
                    1, "unsupported")
        done = lab.run("lbs-nbd", lab.work + "/none.lbs", check=False)
        refuses("no store", done, 1, "not-found")
        says_once("no store", done, "none.lbs")
        with open(lab.work + "/text.lbs", "w") as f:
            f.write("not a store at all\n" * 1000)
        done = lab.run("lbs-nbd", lab.work + "/text.lbs", check=False)
        refuses("not a store", done, 1, "not-a-store")
        says_once("not a store", done, "text.lbs")
        os.rename(lab.card, lab.card + "2")
        done = lab.run("lbs-nbd", lab.store, check=False)
        refuses("no card", done, 1, "card-missing")
        says_once("no card", done, "corp.lbs")
        os.rename(lab.card + "2", lab.card)
        pipe = lab.work + "/pipe"
        os.mkfifo(pipe)
        try:
            done = lab.run("lbs-nbd", "-f", "--pidfile", pipe, lab.store, check=False,
                           timeout=60)
            refuses("a pipe for the pidfile", done, 1, "io")
        except subprocess.TimeoutExpired:
            score.check("a pipe for the pidfile", False)
        os.rename(lab.card, lab.card + "2")
        score.check("a refused store leaves no socket",
                    not os.path.exists(lab.sock))
        with Daemon(lab, "--data", lab.card + "2") as d:
            score.equal("--data finds it", d.done.returncode, 0)
            score.check("and it ends", d.stop())


def background():
    """Returns when clients can connect; the second opener; the end."""
    with Lab("16M") as lab, Lab("16M") as other:
        with Daemon(lab) as d:
            score.equal("it starts", d.done.returncode, 0)
            score.equal("size, at once",
                        with_client(lab, lambda h: h.get_size()), 16 << 20)
            score.equal("nothing on stdout", d.done.stdout, "")
            mode = os.stat(lab.sock)
            score.check("a socket of mode 0600", stat.S_ISSOCK(mode.st_mode) and
                        stat.S_IMODE(mode.st_mode) == 0o600, oct(mode.st_mode))
            control = os.stat(lab.store + ".ctl").st_mode
            score.equal("the control socket's mode", stat.S_IMODE(control), 0o600)
            answer = lab.stat()
            score.equal("lbs stat asks the server", (answer["server"],
                        answer["pid"]), ("lbs-nbd", d.nbdkit()))
            # A second opener, on the same socket and on another.
            for more in ((), ("--socket", lab.work + "/other.sock")):
                done = lab.run("lbs-nbd", *more, lab.store, check=False)
                refuses("a busy store", done, 1, "busy")
                says_once("a busy store", done, str(d.nbdkit()), "corp.lbs")
            # Another store, on a socket that is in use.
            done = lab.run("lbs-nbd", "--socket", lab.sock, other.store,
                           check=False)
            refuses("a socket in use", done, 1, "busy")
            says_once("a socket in use", done, str(d.pid))
            score.equal("the same socket still", os.stat(lab.sock).st_ino,
                        mode.st_ino)
            score.check("and it serves", reachable(lab))
            # An idle client does not hold up the end.
            idle = lab.connect()
            idle.pwrite(b"acknowledged".ljust(512), 4096)
            score.check("SIGTERM ends it, an idle client or not", d.stop())
        for path in (lab.sock, d.pidfile, lab.store + ".ctl"):
            score.check(f"{path} is gone", not os.path.exists(path))
        with Daemon(lab) as d:
            score.equal("what the idle client wrote", with_client(
                lab, lambda h: bytes(h.pread(512, 4096))),
                b"acknowledged".ljust(512))
            score.check("and the end", d.stop())


def sockets():
    """Stale ones, foreign files, modes, groups, TCP, TLS."""
    with Lab("16M") as lab:
        with Daemon(lab) as d:
            score.check("nbdkit dies with lbs-nbd", d.kill())
            score.check("a stale socket is there", os.path.exists(lab.sock))
        with Daemon(lab) as d:
            score.equal("it is replaced", d.done.returncode, 0)
            score.check("and serves", reachable(lab))
            d.stop()
        with open(lab.sock, "w") as f:
            f.write("mine")
        done = lab.run("lbs-nbd", lab.store, check=False)
        refuses("a file in the way", done, 1, "exists")
        with open(lab.sock) as f:
            score.equal("is left alone", f.read(), "mine")
        os.unlink(lab.sock)
        with Daemon(lab, "--socket-group", "daemon") as d:
            st = os.stat(lab.sock)
            score.equal("--socket-group", (stat.S_IMODE(st.st_mode), st.st_gid),
                        (0o660, 1))
            d.stop()
        with Daemon(lab, "--socket-mode", "0666", "--socket",
                    lab.work + "/x.sock") as d:
            st = os.stat(lab.work + "/x.sock")
            score.equal("--socket-mode", stat.S_IMODE(st.st_mode), 0o666)
            d.stop()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with Daemon(lab, "--port", str(port)) as d:
            score.equal("--port", d.done.returncode, 0)
            h = nbd.NBD()
            h.connect_tcp("127.0.0.1", str(port))
            score.equal("size over TCP", h.get_size(), 16 << 20)
            h.shutdown()
            score.check("no Unix socket then", not os.path.exists(lab.sock))
            with Lab("16M") as other:
                done = other.run("lbs-nbd", "--port", str(port), other.store,
                                 check=False)
                refuses("a port in use", done, 1, "busy")
            d.stop()
        done = lab.run("lbs-nbd", "--json", "--port", "0", lab.store)
        told = json.loads(done.stdout)
        h = nbd.NBD()
        h.connect_tcp(told["address"], str(told["port"]))
        score.equal("a port of its choice, as JSON", h.get_size(), 16 << 20)
        h.shutdown()
        os.kill(json.loads(lab.run("lbs", "stat", "--json", lab.store).stdout)["pid"],
                signal.SIGTERM)
        # Asked for what cannot be: the store is closed again, not just let go.
        done = lab.run("lbs-nbd", "--pidfile", lab.work + "/none/pid", lab.store,
                       check=False)
        refuses("--pidfile in no directory", done, 1, "io")
        for name in (lab.sock, lab.store + ".ctl", lab.store + "-wal"):
            score.check(f"{name} is gone", not os.path.exists(name))
        done = lab.run("lbs-nbd", "--socket", lab.work + "/" + "x" * 200, lab.store,
                       check=False)
        score.check("the most that a socket's name may have", "107" in done.stderr,
                    done.stderr)
        keys = os.path.join(lab.work, "keys.psk")
        with open(keys, "w") as f:
            f.write("lbs:" + "5a" * 32 + "\n")
        with Daemon(lab, "--tls", "require", "--tls-psk", keys) as d:
            score.equal("--tls require", d.done.returncode, 0)
            h = nbd.NBD()
            h.set_uri_allow_local_file(True)
            h.connect_uri(f"nbds+unix://lbs@/?socket={lab.sock}"
                          f"&tls-psk-file={keys}")
            score.equal("size over TLS", h.get_size(), 16 << 20)
            h.shutdown()
            try:
                lab.connect()
                score.check("nobody without TLS", False)
            except nbd.Error:
                score.check("nobody without TLS", True)
            d.stop()
        with Daemon(lab, "--read-only") as d:
            score.equal("--read-only", (d.done.returncode, with_client(
                lab, lambda h: h.is_read_only())), (0, True))
            d.stop()


def activation():
    """A service manager holds the socket: lbs-nbd serves on it and leaves it."""
    with Lab() as lab:
        path = os.path.join(lab.work, "given.sock")
        with socket.socket(socket.AF_UNIX) as given:
            given.bind(path)

            def start(*options, count="1"):
                def pass_on():
                    os.dup2(given.fileno(), 3)
                    os.environ["LISTEN_PID"] = str(os.getpid())
                    os.environ["LISTEN_FDS"] = count
                return subprocess.Popen([LBS_NBD, "-f", *options, lab.store], stderr=subprocess.PIPE,
                                        preexec_fn=pass_on, close_fds=False, text=True)

            def end(p):
                done = subprocess.CompletedProcess(p.args, p.wait(60), "", p.stderr.read())
                p.stderr.close()
                return done

            refuses("a socket that does not listen", end(start()), 1, "invalid")
            given.listen(8)
            refuses("a socket passed and one named", end(start("--socket", path + "2")), 2, "invalid")
            refuses("more sockets than it takes", end(start(count="5")), 1, "invalid")
            server = start()
            uri = "nbd+unix:///?socket=" + path
            size = subprocess.run(["nbdinfo", "--size", uri], capture_output=True, text=True)
            score.equal("a client of the passed socket", size.stdout.strip(), str(64 << 20))
            for nbdkit in children(server.pid):
                os.kill(nbdkit, signal.SIGKILL)
            size = subprocess.run(["nbdinfo", "--size", uri], capture_output=True, text=True)
            score.equal("and after nbdkit was killed", size.stdout.strip(), str(64 << 20))
            os.kill(server.pid, signal.SIGTERM)
            score.equal("its end", end(server).returncode, 0)
            score.check("the socket stays where it was", os.path.exists(path))


def inherited():
    """Signals that the parent had ignored: that of children is wanted all the same,
    that of a terminal's end is not, which nohup(1) relies on."""
    with Lab("16M") as lab:
        def start(signum):
            server = subprocess.Popen(
                [LBS_NBD, "-f", lab.store], stdin=subprocess.DEVNULL,
                stdout=lab.log, stderr=lab.log,
                preexec_fn=lambda: signal.signal(signum, signal.SIG_IGN))
            lab.launcher = server
            score.check(f"serves with {signum.name} ignored", reachable(lab))
            return server

        start(signal.SIGCHLD)
        strike(lab.nbdkit(), signal.SIGKILL)
        score.check("and starts nbdkit again", reachable(lab))
        score.equal("and ends", lab.stop(), 0)
        server = start(signal.SIGHUP)
        server.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        score.check("SIGHUP under nohup", server.poll() is None and reachable(lab))
        score.equal("SIGTERM under nohup", lab.stop(), 0)


def run_command():
    with Lab("16M") as lab:
        show = 'echo "$uri|$socket|$unixsocket"; nbdinfo --size "$uri"'
        done = lab.run("lbs-nbd", "--run", show, lab.store, check=False)
        score.equal("--run", (done.returncode, done.stdout),
                    (0, f"nbd+unix:///?socket={lab.sock}|{lab.sock}|{lab.sock}\n"
                     f"{16 << 20}\n"))
        done = lab.run("lbs-nbd", "--vdisk", "", "--run", 'nbdinfo --size "$uri"',
                       lab.store, check=False)
        score.equal("the empty name is disk", (done.returncode, done.stdout),
                    (0, f"{16 << 20}\n"))
        for command, status in (("exit 7", 7), ("kill -9 $$", 137)):
            done = lab.run("lbs-nbd", "--run", command, lab.store, check=False)
            score.equal(f"--run '{command}'", done.returncode, status)
        score.check("and no socket is left", not os.path.exists(lab.sock))
        server = subprocess.Popen([LBS_NBD, "--run", "echo up; exec sleep 100",
                                   lab.store], stdout=subprocess.PIPE)
        server.stdout.readline()
        below = children(server.pid)
        server.kill()
        server.wait()
        score.check("its children die with it, by SIGKILL, too",
                    wait_until(lambda: not any(map(alive, below)), 60))


# What a killed nbdkit had is closed in no order: clients may see it go before lbs-nbd.
DIES_SLOWLY = """#!/usr/bin/python3
import os, socket, sys, time
link = [a for a in sys.argv if a.startswith("link-fd=")][0][8:]
if os.path.exists(sys.argv[0] + ".died"):
    os.execv("{real}", ["nbdkit", *sys.argv[1:]])
open(sys.argv[0] + ".died", "w").close()
clients, link = socket.socket(fileno=3), socket.socket(fileno=int(link))
clients.settimeout(0.1)
link.send(b"ready")
seen = time.monotonic()
while time.monotonic() < seen + 0.5:
    try:
        clients.accept()[0].close()
    except TimeoutError:
        pass
os.kill(os.getpid(), 9)
"""


def slow_death():
    """Killed while lbs-nbd looks whether it greets; its end is told last."""
    with Lab("16M") as lab:
        fake, path = os.path.join(lab.work, "nbdkit"), os.environ["PATH"]
        with open(fake, "w") as f:
            f.write(DIES_SLOWLY.format(real=shutil.which("nbdkit")))
        os.chmod(fake, 0o755)
        os.environ["PATH"] = lab.work + ":" + path
        lab.start()
        os.environ["PATH"] = path
        score.check("a slow death is one", os.path.exists(fake + ".died") and
                    "started again" in lab.said(), lab.said())
        score.equal("the end", lab.stop(), 0)


def killed_nbdkit():
    """Started again on the same socket; never after a refused store."""
    with Lab("16M") as lab:
        with Daemon(lab) as d:
            inode, first = os.stat(lab.sock).st_ino, d.nbdkit()
            h = lab.connect()
            h.pwrite(b"x" * 4096, 8192)
            for signum in (signal.SIGKILL, signal.SIGABRT):
                strike(d.nbdkit(), signum)
                score.check(f"reachable after signal {signum}", reachable(lab))
            for _ in range(24):		# somebody else's doing, no crash loop
                strike(d.nbdkit(), signal.SIGKILL)
                if not score.check("reachable again", reachable(lab)):
                    break
            score.check("by another nbdkit", d.nbdkit() not in (None, first))
            score.equal("on the same socket", os.stat(lab.sock).st_ino, inode)
            score.equal("with what was acknowledged", with_client(
                lab, lambda h: bytes(h.pread(4096, 8192))), b"x" * 4096)
            os.rename(lab.card, lab.card + "2")
            strike(d.nbdkit(), signal.SIGKILL)
            score.check("a refused store ends it",
                        wait_until(lambda: not alive(d.pid), 60))
            score.check("and its socket", not os.path.exists(lab.sock))
            os.rename(lab.card + "2", lab.card)
        with Daemon(lab) as d:
            score.check("it can be started again", reachable(lab))
            d.stop()
        # nbdkit killed as soon as it is up, before lbs-nbd itself is content.
        for _ in range(5):
            lab.start()
            strike(lab.nbdkit(), signal.SIGKILL)
            score.check("reachable again", reachable(lab), lab.said()[-1500:])
            score.equal("the end", lab.stop(), 0)
        # Who does not wait until it is up does not want it.
        waiting = subprocess.Popen([LBS_NBD, "-P", lab.work + "/pid2", lab.store])
        wait_until(lambda: left_behind(lab.work + "/pid2") != [waiting.pid], 60)
        waiting.kill()
        waiting.wait()
        gone = wait_until(lambda: not [p for p in left_behind(lab.work)
                                       if alive(p)], 10)
        if not gone:	# it was faster than we
            for pid in left_behind(lab.work + "/pid2"):
                os.kill(pid, signal.SIGTERM)
        score.check("the socket is gone", wait_until(
            lambda: not os.path.exists(lab.sock), 60))


def hang_up():
    """Clients that go away with requests under way abort nbdkit 1.32, but not
    the service."""
    with Lab("32M") as lab:
        with Daemon(lab) as d:
            with_client(lab, lambda h: h.pwrite(rng.randbytes(1 << 20), 0))
            nbdkits = {d.nbdkit()}
            for _ in range(60):
                try:
                    h = lab.connect()
                    for i in range(16):
                        h.aio_pread(nbd.Buffer(1 << 20), i << 20)
                    h.poll(0)
                    del h
                except nbd.Error:
                    pass
                nbdkits.add(d.nbdkit())
            score.check("still served", reachable(lab))
            score.check("by the same lbs-nbd", alive(d.pid))
            print(f"60 clients hung up; nbdkit was started "
                  f"{len(nbdkits - {None})} times")
            score.check("which ends well", d.stop())


def end_under_load():
    """SIGTERM in the middle: no request is answered with an error, nothing
    acknowledged is lost, and the next server has nothing to roll forward."""
    with Lab("16M", "--capacity", "256M") as lab:
        ledger = Ledger(16 << 20 >> 9)
        load = Load(rng, ledger)
        for number in range(4):
            lab.start()
            if number:
                faults = with_client(lab, ledger.judge)
                score.check("all is there after SIGTERM under load", not faults,
                            "; ".join(faults[:5]))
            status = []
            timer = threading.Timer(rng.uniform(0.1, 0.6),
                                    lambda: status.append(lab.stop()))
            timer.start()
            broken = load.run(lab.connect(), lambda: True)
            timer.join()
            score.equal("it ends, under load", (broken, status), (True, [0]))
        strange = [e for e in load.failed
                   if e not in (errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE)]
        score.equal("no request was answered with an error", strange[:5], [])


def ask(lab, text, seconds=60):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(seconds)
        s.connect(lab.store + ".ctl")
        s.sendall(text)
        answer = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                return answer
            answer += piece


def control():
    """The control socket, polite clients and others."""
    with Lab("16M") as lab:
        lab.start()
        for command in (b"stat", b"info", b"list", b"failure", b"checkpoint"):
            answer = ask(lab, command + b"\n")
            score.check(f"{command}", answer.startswith(b'{"schema":1,') and
                        answer.endswith(b"\n") and b'"error"' not in answer,
                        answer)
        score.check("an unknown command", b'"unsupported"' in ask(lab, b"bogus\n"))
        try:
            answer = ask(lab, b"x" * 5000)
        except OSError:
            answer = b""
        score.equal("an endless line", answer, b"")
        silent = socket.socket(socket.AF_UNIX)
        silent.connect(lab.store + ".ctl")
        silent.sendall(b"sta")
        begun = time.monotonic()
        score.check("a silent client only delays the next",
                    b"counters" in ask(lab, b"stat\n"))
        score.check("by little", time.monotonic() - begun < 30)
        score.equal("the end, with a client on it", lab.stop(), 0)
        silent.close()
        lab.start()
        strike(lab.nbdkit(), signal.SIGKILL)
        score.check("after SIGKILL", reachable(lab))
        score.check("the control socket is a new one",
                    b"counters" in ask(lab, b"stat\n"))
        lab.stop()
        os.mkdir(lab.store + ".ctl")
        lab.start()
        score.check("no control socket, and why", ".ctl" in lab.said() and
                    "Is a directory" in lab.said(), lab.said()[-500:])
        lab.stop()


def plain_nbdkit():
    """Without lbs-nbd; and nobody else may write the metadata, however nbdkit
    was started."""
    plugin = os.path.join(ROOT, "nbdkit-lbs-plugin.so")

    def foreign_write(lab):
        return subprocess.run(["sqlite3", lab.store, "CREATE TABLE foreign_(x)"],
                              stderr=subprocess.DEVNULL).returncode

    def locked(pid):
        if "LD_PRELOAD" in os.environ:	# a sanitizer locks nothing
            return 1
        with open(f"/proc/{pid}/status") as f:
            return [int(l.split()[1]) for l in f if l.startswith("VmLck")][0]

    with Lab("16M") as lab:
        lab.start()
        score.check("lbs-nbd: no foreign writer", foreign_write(lab) != 0)
        score.check("lbs-nbd: locked memory", locked(lab.nbdkit()) > 0)
        lab.stop()
        pidfile = os.path.join(lab.work, "nbdkit.pid")
        done = subprocess.run(["nbdkit", "-P", pidfile, "-U", lab.sock, plugin,
                               lab.store], stderr=subprocess.PIPE, text=True)
        score.equal("nbdkit in the background", done.returncode, 0)
        wait_until(lambda: os.path.exists(pidfile) and os.stat(pidfile).st_size, 60)
        with open(pidfile) as f:
            pid = int(f.read())
        score.check("nbdkit: reachable", reachable(lab))
        score.check("nbdkit: no foreign writer", foreign_write(lab) != 0)
        score.check("nbdkit: locked memory", locked(pid) > 0)
        score.equal("nbdkit: lbs stat", lab.stat()["server"], "nbdkit")
        done = subprocess.run(["nbdkit", "-U", "-", plugin, lab.store, "--run",
                               "true"], stderr=subprocess.PIPE, text=True)
        score.equal("nbdkit: a second opener", done.returncode, 1)
        says_once("nbdkit: a second opener", done, "[busy]", str(pid))
        os.kill(pid, signal.SIGTERM)
        score.check("nbdkit: the end", wait_until(lambda: not alive(pid), 60))
        os.unlink(lab.sock)
        done = subprocess.run(["nbdkit", "-U", "-", plugin, "store=" + lab.store,
                               "--run", 'nbdinfo --size "$uri"; sqlite3 ' +
                               lab.store + ' "CREATE TABLE foreign_(x)"; echo $?'],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True)
        lines = done.stdout.split()
        score.check("nbdkit --run", len(lines) == 2 and
                    lines[0] == str(16 << 20) and lines[1] != "0", done.stdout)
        done = subprocess.run(["nbdkit", "-U", "-", plugin, lab.store,
                               "passphrase=secret", "--run", "true"],
                              stderr=subprocess.PIPE, text=True)
        score.check("nbdkit: key protection is refused, not shown",
                    done.returncode == 1 and "not built yet" in done.stderr and
                    "secret" not in done.stderr, done.stderr)
        done = subprocess.run(["nbdkit", plugin, "--dump-plugin"],
                              stdout=subprocess.PIPE, text=True)
        score.check("--dump-plugin", "lbs_format_version=1" in done.stdout and
                    "max_thread_model=parallel" in done.stdout)


for part in (words, background, sockets, activation, inherited, run_command, slow_death, killed_nbdkit,
             hang_up, end_under_load, control, plain_nbdkit):
    begun = time.monotonic()
    part()
    print(f"{part.__name__}: {time.monotonic() - begun:.1f} s", flush=True)
score.end()
