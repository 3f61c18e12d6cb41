"""cuts - one machine whose power is cut again and again, and the ledger of what it
promised. Must never count a look that was not taken: before a load, and at the end,
everything that is checked must have been reported.
"""
import random
import signal
import time

from machine import SILENCE


class Ledger:
    """What the guest was promised, round by round; kept outside of it."""

    def __init__(self):
        self.kept = []		# of earlier rounds, exactly
        self.durable = None	# of the last round, at least; None: there was none yet

    def marks(self):
        rounds = self.kept + ([self.durable] if self.durable else [])
        return " ".join(f"{a},{b}" for a, b in rounds)

    def begin_round(self):
        if self.durable:
            self.kept.append(tuple(self.durable))
        self.durable = [0, 0]

    def promise(self, numbers):
        self.durable = [max(a, b) for a, b in zip(self.durable, numbers)]


class Cuts:
    """Draws from a seed where and how; judges what the guest reports."""

    def __init__(self, machine, seed, score):
        self.machine, self.seed, self.score = machine, seed, score
        self.rng = random.Random(seed)
        self.ledger = Ledger()
        self.verdicts, self.looked = [], set()
        self.count = self.lost = self.promised = self.early = self.mended = 0

    def script(self, then):
        round_now = len(self.ledger.kept) + (2 if self.ledger.durable else 1)
        return f"SEED={self.seed} ROUND={round_now} MARKS='{self.ledger.marks()}'\nlook\n{then}"

    def hear(self, line):
        """A line that judges by itself."""
        check, ledger = self.score.check, self.ledger
        word, *rest = line.split(" ")
        if word == "FSCK":
            self.looked.add(word)
            self.mended += rest[0] != "0"
            check("fsck leaves a clean file system", rest[1] == "0", line)
        elif word == "REFUSED":
            self.verdicts.append(line)
        elif word == "KEPT":
            client, kept = int(rest[0]), int(rest[1])
            self.looked.add(word + rest[0])
            check("everything promised is there", kept >= ledger.durable[client],
                  f"{line}, promised {ledger.durable}")
            ledger.durable[client] = max(kept, ledger.durable[client])
        elif word == "LBSCK":
            self.looked.add(word)
            check("lbsck finds no fault", rest[0] == "0", line)
        elif word == "D":
            ledger.promise([int(n) for n in rest])
            self.promised += 1
        elif word in ("WRONG", "FAILED", "STOPPED") or (word == "ENDED" and rest[0] != "0"):
            check("the guest works, and the disk is a prefix of what was written", False, line)

    def all_looked_at(self):
        wanted = {"FSCK", "LBSCK"} | ({"KEPT0", "KEPT1"} if self.ledger.durable else set())
        self.score.equal("all was looked at", self.looked, wanted)

    def one(self, how=None, most=600):
        """A boot with its looks, a load, and a cut after up to most writes. Returns False
        when the store was refused."""
        rng, machine = self.rng, self.machine
        # The requests of an SD card have 512 bytes each.
        scale = 60 if machine.bus == "sd" else 1
        # The third always comes before the load, others sometimes, once there is a promise.
        early = rng.randrange(1, 60 if machine.bus == "sd" else 6)
        if self.count != 2 and (rng.random() > 0.2 or not self.promised):
            early = 0
        # How many of a card's writes are the load's is not the seed's: those that fill a
        # chunk file are most on an SD card. The fourth waits for the promise that it may break.
        waiting = self.count > 2 and not self.promised
        after = rng.randrange(most // 6, most) * scale
        how = how or ("none" if self.count % 4 == 3 else rng.choice(("none", "prefix", "subset")))
        cut_seed = rng.randrange(1 << 32)
        begun, loading = time.monotonic(), False
        machine.power_on(self.script("work"))
        if early:
            machine.disks["card"].ask(f"arm {early}")
        self.looked = set()
        while (line := machine.guest.next_line(SILENCE)) is not None:
            if line == "READY":
                self.all_looked_at()
                self.ledger.begin_round()
                loading = True
                if not waiting:
                    machine.disks["card"].ask(f"arm {after}")
                machine.guest.say("go")
            else:
                self.hear(line)
                if waiting and self.promised:
                    machine.disks["card"].ask(f"arm {after}")
                    waiting = False
        # A machine that stops by itself has not been cut.
        status = machine.guest.end()
        self.score.check("the guest lived until the power went", status == -signal.SIGKILL or self.verdicts,
                         f"QEMU's status {status}; {machine.guest.console_end()}")
        lost = machine.power_cut(how, cut_seed)
        self.count += 1
        self.lost += lost["card"]["torn"] + lost["card"]["lost"]
        self.early += not loading
        where = f"{after} writes" if loading else f"{early} writes from power on"
        print(f"   cut after {where}, keeping {how}: card {lost['card']}, flash {lost['flash']}; "
              f"promised {self.ledger.durable}, {time.monotonic() - begun:.1f} s", flush=True)
        return not self.verdicts

    def last_look(self):
        """What the last cut left; the guest ends by itself."""
        self.looked = set()
        for line in self.machine.run(self.script("")):
            self.hear(line)
        if not self.verdicts:
            self.all_looked_at()
        return self

    def result(self):
        return {"cuts": self.count, "cuts_before_load": self.early, "promises": self.promised,
                "writes_lost": self.lost, "cards_mended_by_fsck": self.mended}
