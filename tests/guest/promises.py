"""promises - what the Debian guest has said to be durable, kept outside of it over
all its lives, and what it finds in a later life, judged. Pure: lines in, faults out.
Must never pass what was not looked at.
"""

UNSURE = "unsure"


class Promises:
    def __init__(self):
        self.rows = {"wal": 0, "roll": 0}
        self.files = {}		# number: where it is, or UNSURE
        self.unlinked = set()
        self.filled = 0
        self.packages = {}	# name: "in", "out", or UNSURE while dpkg is at it
        self.counts = {}	# promises heard, by word

    def hear(self, line):
        """Whether the line is a promise; it is kept."""
        word, *rest = line.split(" ")
        if word == "SQL":
            self.rows[rest[0]] = max(self.rows[rest[0]], int(rest[1]))
        elif word in ("FILE", "MOVE", "MOVED"):
            self.files[int(rest[0])] = {"FILE": "files", "MOVE": UNSURE, "MOVED": "moved"}[word]
            self.unlinked.discard(int(rest[0]))
        elif word in ("UNLINK", "UNLINKED"):
            self.files.pop(int(rest[0]), None)
            if word == "UNLINKED":
                self.unlinked.add(int(rest[0]))
        elif word == "FILLED":
            self.filled = max(self.filled, int(rest[0]))
        elif word == "DPKG":
            self.packages[rest[0]] = UNSURE if rest[1] == "begun" else rest[1]
        else:
            return False
        if word in ("MOVE", "UNLINK") or rest[-1] == "begun":
            return False
        self.counts[word] = self.counts.get(word, 0) + 1
        return True

    def total(self):
        return sum(self.counts.values())


class Findings:
    """Of one life of the guest, up to its READY."""

    WORDS = ("REPLAY", "FSCK", "INTEGRITY", "ROWS", "FILES", "AUDIT", "AUDITED", "PACKAGE", "VERIFIED",
             "ERRORS", "FAILED")

    def __init__(self):
        self.lines = []

    def hear(self, line):
        """Whether the line is a finding."""
        found = line.split(" ")[0] in self.WORDS
        if found:
            self.lines.append(line.split(" "))
        return found

    def of(self, word):
        return [rest for found, *rest in self.lines if found == word]

    def faults(self, promised):
        """What does not hold of what was promised, in words."""
        return [*self.file_system(), *self.databases(promised), *self.files(promised),
                *self.dpkg(promised)]

    def file_system(self):
        for rest in self.of("FAILED"):
            yield "the guest failed: " + " ".join(rest)
        # 1: something was mended, which the journal should have made needless.
        if self.of("REPLAY") != [["0"]]:
            yield f"e2fsck -p: status {self.of('REPLAY')}, not 0"
        if self.of("FSCK") != [["0"]]:
            yield f"e2fsck -fn: status {self.of('FSCK')}, not 0"

    def databases(self, promised):
        rows = {rest[0]: rest[1:] for rest in self.of("ROWS")}
        sound = {rest[0]: rest[1:] for rest in self.of("INTEGRITY")}
        for name, most in promised.rows.items():
            if not most and name not in sound:
                continue
            if sound.get(name) != ["ok"]:
                yield f"{name}.db: integrity_check says {sound.get(name)}"
            count, last = (int(n) for n in rows.get(name) or (0, 0))
            if last < most:
                yield f"{name}.db: row {most} was committed, the last is {last}"
            if count != last:
                yield f"{name}.db: {count} rows up to {last}"

    def files(self, promised):
        places = {"files": set(), "moved": set(), "fill": set()}
        looked = set()
        for where, state, *numbers in self.of("FILES"):
            looked.add((where, state))
            if state == "bad" and numbers:
                yield f"{where}: checksums differ: {' '.join(numbers)}"
            places[where].update(int(n) for n in numbers)
        if len(looked) != 6:
            yield f"the files were not looked at: only {sorted(looked)}"
        for number, where in promised.files.items():
            here = [place for place in ("files", "moved") if number in places[place]]
            if len(here) != 1 or where not in (UNSURE, here[0]):
                yield f"file {number} should be in {where}, is in {here}"
        back = promised.unlinked & (places["files"] | places["moved"])
        if back:
            yield f"unlinked files are back: {sorted(back)}"
        missing = set(range(1, promised.filled + 1)) - places["fill"]
        if missing:
            yield f"of the large files {sorted(missing)} are missing"

    def dpkg(self, promised):
        if self.of("AUDITED") != [["0"]]:
            yield f"dpkg --audit finds something after all was configured or removed: {self.of('AUDITED')}"
        found = {rest[0]: rest[1:] for rest in self.of("PACKAGE")}
        if not found:
            yield "the packages were not looked at"
        for name, state in promised.packages.items():
            status, *verify = [word for word in found.get(name, []) if word] or ["?"]
            if state == "in" and (status != "ii" or verify != ["0"]):
                yield f"{name} was installed, is {status}, dpkg -V: {verify}"
            if state == "out" and status not in ("none", "un"):
                yield f"{name} was removed, is {status}"
            if state == UNSURE and status == "ii" and verify != ["0"]:
                yield f"{name}: dpkg -V: {verify}"
        for rest in self.of("VERIFIED"):
            if rest != ["0"]:
                yield f"dpkg -V of all packages: {rest[0]} lines"

    def mended(self):
        """Whether dpkg had been interrupted."""
        return self.of("AUDIT") not in ([], [["0"]])
