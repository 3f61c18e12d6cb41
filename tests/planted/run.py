#!/usr/bin/python3
"""run.py - plants one bug at a time and sees that the suite named for it notices.

A suite that catches none of its own bugs is no test. Each *.bug file here says in
words what a programmer might get wrong, which source text becomes which other, and
which suite must fail then. The text is looked for in the product's sources; a copy
of the one file that has it is changed, compiled and linked before the library, so
that the product carries no trace of it.

Must never count as caught what did not build, did not apply exactly once, or died
in a way that is no verdict of the suite.

  tests/planted/run.py [--jobs N] [--json FILE] [BUG...]

Started by `make check-planted`, which gives compiler, flags and objects in the
environment (PLANTED_...).
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ROOMS = ("crypto", "zip", "liblbs", "recovery")
SECONDS = 200

# The quickest form of each suite: it may stop at its first failure.
CRASH = ["crash_test", "--stop", "--jobs", "1"]
SUITES = {
    "crash": CRASH + ["--few"],
    "restore": ["restore_test"],
    "recover": ["recover_test"],
    "fault": ["fault_test"],
    "beside": ["beside_test"],
    "overlap": ["overlap_test"],
    "full": ["full_test"],
    "clean": ["clean_test"],
    "tamper": ["tamper_test", "--jobs", "1"],
    "tamper-moves": ["tamper_moves_test"],
    "io-error": ["io_error_test", "--stop"],
    "oom-work": ["oom_test", "--only", "work"],
    "sim": ["sim_test", "--seeds", "80", "--stop", "--jobs", "1", "--min-hits", "0",
            "--shrink", "0"],
}
WRAPS = {
    "oom_test": ["malloc", "calloc", "realloc", "free", "sodium_malloc",
                 "sodium_free"],
    "sim_test": ["secret_random", "secret_unique"],
}
# Suites of several files: the directory of the others.
PARTS = {"crash_test": "crash", "tamper_test": "tamper", "sim_test": "sim"}


class Wrong(Exception):
    """The bug cannot be judged: no verdict at all."""


def suite_command(name):
    if name in SUITES:
        return SUITES[name]
    if name.startswith("unit/"):
        return [name]
    raise Wrong(f"there is no suite {name}")


def read_bug(path):
    """A description: headers, then blocks of @@ instead of / @@ do / @@ end."""
    bug = {"name": path.stem, "changes": []}
    part, old, new = None, [], []
    for line in path.read_text().splitlines(keepends=True):
        mark = line.strip()
        if mark == "@@ instead of":
            part, old, new = "old", [], []
        elif mark == "@@ do":
            part = "new"
        elif mark == "@@ end":
            bug["changes"].append(("".join(old), "".join(new)))
            part = None
        elif part == "old":
            old.append(line)
        elif part == "new":
            new.append(line)
        elif mark:
            key, colon, value = line.partition(":")
            if not colon or key not in ("breaks", "suite", "why"):
                raise Wrong(f"cannot read the line {mark!r}")
            bug[key] = (bug[key] + " " if key in bug else "") + value.strip()
    missing = {"breaks", "suite", "why"} - bug.keys()
    if missing or not bug["changes"]:
        raise Wrong("says not all that it must")
    return bug


def sources():
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.c"))


def mutate(bug):
    """The one file that has the texts, and it changed."""
    found, text = None, None
    for old, new in bug["changes"]:
        places = [(p, n) for p in sources()
                  if (n := (text if p == found else p.read_text()).count(old))]
        if len(places) != 1 or places[0][1] != 1:
            where = ", ".join(f"{p.relative_to(ROOT)} {n} times"
                              for p, n in places) or "nowhere"
            raise Wrong("a text must be there exactly once, is in: " + where)
        if found not in (None, places[0][0]):
            raise Wrong("its texts are in two files")
        found = places[0][0]
        text = (text or found.read_text()).replace(old, new)
    return found, text


def call(command, seconds, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, timeout=seconds,
                          stderr=subprocess.STDOUT, text=True, cwd=ROOT,
                          errors="replace", **more)


def build(command, what):
    done = call(command, 300)
    if done.returncode != 0:
        raise Wrong(f"{what}:\n" + done.stdout[-2000:])


def link(out, test, objects):
    env = os.environ
    build_dir = pathlib.Path(env["PLANTED_BUILD"])
    wraps = ["aead_seal"] + WRAPS.get(test, [])
    # The simulator's main file is one of its parts.
    main = [str(build_dir / "tests" / f"{test}.o")] if test != "sim_test" else []
    build([*shlex.split(env["PLANTED_CC"]), "-o", str(out), *main,
           *sorted(map(str, build_dir.glob(f"tests/{PARTS.get(test)}/*.o"))),
           *shlex.split(env["PLANTED_LAB"]), *objects, env["PLANTED_LIB"],
           *[f"-Wl,--wrap={w}" for w in wraps],
           *shlex.split(env["PLANTED_LIBS"])], "does not link")


def compile_bug(bug, folder):
    source, text = mutate(bug)
    copy = folder / source.name
    copy.write_text(text)
    build([*shlex.split(os.environ["PLANTED_CC"]),
           *shlex.split(os.environ["PLANTED_CFLAGS"]),
           "-w",  # what a bug leaves unused must not stop CI's -Werror build
           "-c", "-o", str(folder / "mutant.o"), str(copy)],
          "does not compile")
    return source, str(folder / "mutant.o")


def verdict(done):
    """Who noticed, or None. Only what a suite says itself counts."""
    out = done.stdout
    if done.returncode == 0:
        return None
    if done.returncode < 0 and done.returncode != -6:
        raise Wrong(f"the suite died of signal {-done.returncode}:\n" + out[-1500:])
    assertion = re.search(r"(\w+\.c):(\d+): (\w+): Assertion", out)
    if done.returncode == -6:
        if not assertion:
            raise Wrong("the suite aborted without a word:\n" + out[-1500:])
        return f"assertion in {assertion[3]}, {assertion[1]}"
    failed = re.search(r"^FAILED (\S.*)$", out, re.M)
    if failed:
        cuts = re.search(r"^(\d+) (cuts|trials|changes), \d+ failed", out, re.M)
        return failed[1] + (f" ({cuts[1]} {cuts[2]})" if cuts else "")
    tests = re.findall(r"^\[  FAILED  \] (\w+)$", out, re.M)
    if tests:
        return ", ".join(dict.fromkeys(tests))
    raise Wrong(f"the suite gave {done.returncode} and no failure:\n" + out[-1500:])


def run_suite(folder, name, objects):
    command = suite_command(name)
    program = folder / pathlib.Path(command[0]).name
    link(program, command[0], objects)
    try:
        done = call([str(program), *command[1:]], SECONDS)
    except subprocess.TimeoutExpired:
        raise Wrong(f"the suite was not done after {SECONDS} s") from None
    finally:
        program.unlink(missing_ok=True)
    (folder / "log").write_text(done.stdout)
    return done


def try_bug(path):
    begun = time.monotonic()
    result = {"bug": path.stem, "ok": False, "breaks": "", "suite": "", "by": ""}
    folder = ROOT / os.environ["PLANTED_BUILD"] / "planted" / path.stem
    folder.mkdir(parents=True, exist_ok=True)
    try:
        bug = read_bug(path)
        result.update(breaks=bug["breaks"], suite=bug["suite"], why=bug["why"])
        source, mutant = compile_bug(bug, folder)
        result["source"] = str(source.relative_to(ROOT))
        by = verdict(run_suite(folder, bug["suite"], [mutant]))
        result["ok"] = by is not None
        result["by"] = by or "NOT CAUGHT"
    except Wrong as e:
        result["by"] = f"NO VERDICT: {e}"
    result["seconds"] = round(time.monotonic() - begun, 1)
    return result


def try_sound(suite):
    """The suite passes when nothing is planted: else it proves nothing."""
    begun = time.monotonic()
    folder = ROOT / os.environ["PLANTED_BUILD"] / "planted" / (
        "none-" + suite.replace("/", "-"))
    folder.mkdir(parents=True, exist_ok=True)
    result = {"bug": "(none)", "ok": False, "breaks": "", "suite": suite}
    try:
        by = verdict(run_suite(folder, suite, []))
        result["ok"] = by is None
        result["by"] = "passes" if by is None else f"FAILS: {by}"
    except Wrong as e:
        result["by"] = f"NO VERDICT: {e}"
    result["seconds"] = round(time.monotonic() - begun, 1)
    return result


def show(r):
    print(f"{'ok  ' if r['ok'] else 'FAIL'} {r['bug']:<26} {r['breaks']:<24} "
          f"{r['suite']:<16} {r['seconds']:>5} s  {r['by']}", flush=True)


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--jobs", type=int, default=os.cpu_count())
    args.add_argument("--json")
    args.add_argument("bugs", nargs="*")
    args = args.parse_args()
    paths = sorted(HERE.glob("*.bug"))
    if args.bugs:
        paths = [p for p in paths if p.stem in args.bugs]
        if len(paths) != len(set(args.bugs)):
            sys.exit("planted: no such bug")
    suites = set()
    for p in paths:
        try:
            suites.add(read_bug(p)["suite"])
        except Wrong:
            pass  # told when it is tried
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        sound = [pool.submit(try_sound, s) for s in sorted(suites)]
        tried = [pool.submit(try_bug, p) for p in paths]
        results = []
        for f in sound + tried:
            results.append(f.result())
            show(results[-1])
    bugs = [r for r in results if r["bug"] != "(none)"]
    caught = sum(r["ok"] for r in bugs)
    if args.json:
        with open(args.json, "w") as out:
            json.dump({"suite": "planted", "bugs": len(bugs), "caught": caught,
                       "results": results}, out, indent=1)
    print(f"{len(bugs)} bugs planted, {caught} caught by the suite named for each")
    sys.exit(0 if bugs and all(r["ok"] for r in results) else 1)


main()
