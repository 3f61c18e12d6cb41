"""debian - the guest over many lives, and what it promised in them. Must never judge
a life that has not looked at everything.
"""
import os
import time

from emulator import SILENCE, Emulator
from promises import Findings, Promises

HERE = os.path.dirname(os.path.abspath(__file__))


class Debian:
    def __init__(self, options, name, score):
        self.kernel, self.initramfs, self.verbose = options.kernel, options.initramfs, options.verbose
        self.processors = 2
        self.filter = options.filter
        self.work = os.path.join(options.work, name)
        os.makedirs(self.work)
        with open(os.path.join(HERE, "boot.sh")) as f:
            self.script = f.read()
        self.score, self.promises, self.guest = score, Promises(), None
        self.boots = self.mended = 0

    def image(self, name):
        return os.path.join(self.work, name + ".img")

    def power_on(self, devices, how="direct", job="work"):
        self.findings = Findings()
        self.boots += 1
        self.begun = time.monotonic()
        self.guest = Emulator(self, self.script, devices, f"how={how} job={job} wait=vda")

    def next_word(self, paused=None):
        """What the guest says beyond promises and findings; None at its end. paused is
        called while it says nothing."""
        silent = 0
        while True:
            line = self.guest.next_line(SILENCE) if not paused else self.guest.poll_line(1)
            if line == "":
                paused()
                silent += 1
                if silent > SILENCE:
                    raise RuntimeError(f"the guest said nothing for {SILENCE} s")
                continue
            silent = 0
            if line is None:
                return None
            if self.promises.hear(line):
                return "promise"
            if self.findings.hear(line):
                if line.startswith("FAILED"):
                    self.score.check("the guest works", False, line)
                continue
            if line.split(" ")[0] in ("READY", "STOPPED", "FULL", "OFF"):
                return line

    def expect(self, word, paused=None):
        while (said := self.next_word(paused)) != word:
            if said is None:
                raise RuntimeError(f"the guest ended before it said {word}; see {self.work}/console.log")

    def ready(self, verify=False):
        """Waits until the guest has looked at everything, and judges it."""
        self.expect("READY")
        self.booted = time.monotonic() - self.begun
        if verify:
            self.guest.say("verify")
            while not self.findings.of("VERIFIED"):
                self.next_word_or_finding()
        self.mended += self.findings.mended()
        return self.judge()

    def next_word_or_finding(self):
        line = self.guest.next_line(SILENCE)
        if line is None:
            raise RuntimeError("the guest ended while it verified its packages")
        self.findings.hear(line)

    def judge(self):
        faults = list(self.findings.faults(self.promises))
        self.score.check("what was promised holds", not faults, "; ".join(faults[:6]))
        return faults

    def work_on(self, count, *words):
        """Until the guest has made so many promises more, and ever one of each of these."""
        until = self.promises.total() + count
        while self.promises.total() < until or any(word not in self.promises.counts for word in words):
            if self.next_word() is None:
                raise RuntimeError("the guest ended by itself")

    def stop(self, paused=None):
        """An orderly end."""
        self.guest.say("stop")
        self.expect("STOPPED", paused)
        self.score.equal("errors in the guest's log", self.findings.of("ERRORS"), [["0"]])
        while self.next_word(paused) is not None:
            pass
        self.score.equal("QEMU's end", self.guest.end(), 0)
        self.guest.kill()

    def kill(self):
        """QEMU goes; what it had said until then still counts."""
        self.guest.kill()
        while self.next_word() is not None:
            pass

    def clean_up(self):
        if self.guest:
            self.guest.kill()

    def told(self):
        counts = self.promises.counts
        return (f"{counts.get('SQL', 0)} commits, {counts.get('FILE', 0)} files, "
                f"{counts.get('MOVED', 0)} renames, {counts.get('UNLINKED', 0)} unlinks, "
                f"{counts.get('DPKG', 0)} packages in or out")
