#!/usr/bin/python3
"""account.py - what the suites counted when they last ran here.

Reads what they left in build/ and build/log/; prints a table, or with --write puts
it into tests/README.md, where rows of suites that did not run here stay as they were.
Must never state a figure that no suite has written.
"""
import json
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
README = os.path.join(TOP, "tests", "README.md")
BEGIN, END = "<!-- account: make account -->", "<!-- end of account -->"


def text(name):
    try:
        with open(os.path.join(TOP, "build", name), errors="replace") as f:
            return f.read()
    except OSError:
        return None


def from_json(name):
    found = text(name)
    return json.loads(found) if found else None


def last(name, pattern):
    """The groups of the last match in a log, or None."""
    found = re.findall(pattern, text(name) or "")
    return (found[-1] if isinstance(found[-1], tuple) else (found[-1],)) if found else None


def number(n):
    return f"{int(n):,}"


def crash(name):
    c = from_json(name)
    return c and (f"{number(c['cuts'])} power cuts and deaths, {number(c['second_cuts'])} of them "
                  f"during the recovery from another; {number(c['workloads'])} workloads; "
                  f"{number(c['sealings'])} sealings; {number(c['failed'])} failed")


def trials(name):
    c = from_json(name)
    return c and f"{number(c['trials'])} trials, {number(c['failed'])} failed"


def planted():
    c = from_json("planted.json")
    return c and f"{number(c['bugs'])} planted, {number(c['caught'])} caught"


def faults(c):
    """How many checks of the scenarios failed, and which."""
    names = [f"{name}: {what}" for name, v in c.items() for what in v.get("faults", [])]
    return f"{number(sum(v['failed'] for v in c.values()))} failed" + "".join(f"; {name}" for name in names)


def guests():
    c = from_json("vm.json")
    if not c:
        return None
    honest = [v for v in c.values() if "promises" in v]
    refused = [word for v in c.values() for word in v.get("verdicts", [])]
    return (f"{number(len(c))} scenarios; {number(sum(v['cuts'] for v in honest))} power cuts of a guest, "
            f"{number(sum(v['cuts_before_load'] for v in honest))} of them before it served; "
            f"{number(sum(v['promises'] for v in honest))} promises looked for; {number(len(refused))} "
            f"lying cards refused; {faults(c)}")


# Counters of the simulator that are faults.
FAULTS = ("power_cut", "cut_while_opening", "sigkill", "card_gone", "bit_rot",
          "misdirected_write", "lying_card_lost", "card_lost_100ms", "card_lost_700ms",
          "older_flash_restored", "older_card_restored", "card_full", "flash_full")


def simulator():
    c = from_json("sim.json")
    if not c:
        return None
    faults = {k: v for k, v in c.items()
              if k in FAULTS or re.fullmatch(r"(card|flash)_(read|write|sync|short)_\w+", k)}
    least = min(faults, key=faults.get)
    return (f"{number(c['seeds'])} seeds of {number(c['steps'])} operations; {len(faults)} kinds of "
            f"fault struck {number(sum(faults.values()))} times, the rarest ({least}) "
            f"{number(faults[least])}; {number(c['power_cut'])} power cuts, {number(c['sigkill'])} "
            f"deaths, {number(c['openings'])} openings; {number(c['failed'])} seeds failed")


def tamper(log):
    found = last(log, r"(\d+) changes, (\d+) failed")
    return found and f"{number(found[0])} changes of the card, {found[1]} failed"


def attacks():
    found = last("log/attacks.log", r"(\d+) attacks: (\d+) as SECURITY\.md says, (\d+) not tried, (\d+) otherwise")
    return found and (f"{found[0]} attacks, {found[1]} as SECURITY.md says, {found[2]} not tried, "
                      f"{found[3]} otherwise")


def lbsck():
    found = last("log/lbsck.log", r"(\d+) kinds of damage")
    checks = last("log/lbsck.log", r"(\d+) checks, (\d+) failed")
    return found and checks and f"{found[0]} kinds of damage, {checks[0]} checks, {checks[1]} failed"


def fuzzers():
    names = ("decode_fuzz", "scan_fuzz", "open_fuzz", "meta_fuzz")
    counts = [last(f"log/{n}.log", r"number_of_executed_units: *(\d+)") for n in names]
    nbd = last("log/fuzz-nbd_fuzz.log", r"(\d+) requests")
    if not nbd or not all(counts):
        return None
    return ", ".join(f"{n} {number(c[0])}" for n, c in zip(names, counts)) + \
        f" executions; nbd_fuzz.py {number(nbd[0])} requests"


def debian():
    c = from_json("guest.json")
    if not c:
        return None
    cuts = [s["cuts"] for s in c.values() if "cuts" in s]
    total = {word: sum(s.get(word, 0) for s in c.values())
             for word in ("boots", "server_kills", "pauses", "SQL", "FILE", "DPKG")}
    return (f"{number(total['boots'])} boots; {sum(n['power'] for n in cuts)} power cuts, "
            f"{sum(n['machine'] + n['processes'] for n in cuts)} ends of QEMU, "
            f"{total['server_kills']} deaths of the server under it, {total['pauses']} pauses on a full "
            f"store; {number(total['SQL'])} commits, {number(total['FILE'])} files, "
            f"{number(total['DPKG'])} packages in or out; {faults(c)}")


ROWS = (
    ("make check", "crash_test --quick", lambda: crash("crash-quick.json")),
    ("make check", "io_error_test", lambda: trials("io-error.json")),
    ("make check", "oom_test", lambda: trials("oom.json")),
    ("make check", "tests/attacks", attacks),
    ("make check", "tests/lbsck", lbsck),
    ("make check-crash", "crash_test", lambda: crash("crash.json")),
    ("make check-crash", "tamper_test --all", lambda: tamper("log/tamper.log")),
    ("make check-planted", "tests/planted", planted),
    ("make check-vm", "tests/vm", guests),
    ("make check-guest", "tests/guest", debian),
    ("make sim", "tests/sim", simulator),
    ("make fuzz", "tests/fuzz, the short run of .ci/run", fuzzers),
)


def main():
    rows = [(command, suite, fn()) for command, suite, fn in ROWS]
    lines = ["| command | suite | counted |", "|---|---|---|"]
    lines += [f"| `{c}` | {s} | {v or 'not run here'} |" for c, s, v in rows]
    if sys.argv[1:] != ["--write"]:
        print("\n".join(lines))
        return 0
    with open(README) as f:
        readme = f.read()
    begin, end = readme.index(BEGIN) + len(BEGIN), readme.index(END)
    before = {line.split("|")[2].strip(): line for line in readme[begin:end].splitlines()
              if line.startswith("| `")}
    lines = [before.get(row.split("|")[2].strip(), row) if "not run here" in row else row
             for row in lines]
    with open(README, "w") as f:
        f.write(readme[:begin] + "\n" + "\n".join(lines) + "\n" + readme[end:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
