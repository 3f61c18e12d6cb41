#!/usr/bin/python3
"""manual_test - --help, man page and completion of every program and subcommand name the
same options; every page is well-formed; liblbs(3) names every call, and no other.
"""
import os
import re
import subprocess
import sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
faults = 0


def fault(text):
    global faults
    faults += 1
    print("FAULT:", text)


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def help_options(command):
    """{"-d", "--data"} and {"--data": "DIR"} of a command's --help."""
    names, values = set(), {}
    for line in output(*command, "--help").splitlines():
        m = re.match(r"  (?:(-\w), |    )(--[a-z-]+)(?: ([^ ]+))?(?: .*)?$", line)
        if m:
            names |= {n for n in m.group(1, 2) if n}
            if m.group(3):
                values[m.group(2)] = m.group(3)
    return names, values


def page_options(path):
    """The same of a page's lists: .It Fl d , Fl -data Ar DIR."""
    names, values = set(), {}
    for line in open(path):
        if not line.startswith(".It Fl "):
            continue
        flags = re.findall(r"Fl (-?[a-z-]+|\w)", line)
        names |= {"-" + f for f in flags}
        m = re.search(r"(?:Ar (\S+)|Cm (.*))$", line)
        if m:
            values["-" + flags[-1]] = m.group(1) or m.group(2).replace(" ", "")
    return names, values


def completed(words, cur):
    """What bash offers for the word cur after words."""
    script = """
    source completion/lbs
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    _lbs
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    out = output("bash", "-c", script, "bash", *words, cur).split("\n")
    return {w for w in out if w}


def differ(what, one, two):
    for name in sorted(one - two):
        fault(f"{what}: {name} is in the first only")
    for name in sorted(two - one):
        fault(f"{what}: {name} is in the second only")


def bind(command, page):
    names, values = help_options(command)
    if len(names) < 6:
        fault(f"{' '.join(command)} --help names {len(names)} options")
    if not os.path.exists(page):
        fault(f"{page} is missing")
        return 0
    page_names, page_values = page_options(page)
    differ(f"{' '.join(command)} --help and {page}", names, page_names)
    for name in names & page_names:
        if values.get(name) != page_values.get(name):
            fault(f"{page}: {name} takes {page_values.get(name)}, --help says {values.get(name)}")
    differ(f"{' '.join(command)} --help and completion", names, completed(command, "-"))
    return len(names)


programs = re.search(r"^PROGRAMS := (.*)$", open("Makefile").read(), re.M).group(1).split()
programs = [p for p in programs if not p.endswith(".so") and p != "mount.lbs"]
options = 0
for program in programs:
    if program == "lbs":
        continue
    section = 8 if program == "lbsck" else 1
    options += bind([f"./{program}"], f"man/{program}.{section}")

text = output("./lbs", "--help").split("\nNot in")[0]
commands = re.findall(r"^  ([a-z]+) +[a-z]", text, re.M)
for command in commands:
    options += bind(["./lbs", command], f"man/lbs-{command}.1")
page = open("man/lbs.1").read()
differ("lbs --help and lbs(1)", set(commands), set(re.findall(r"^\.It Ic (\w+)$", page, re.M)))
differ("lbs --help and completion", set(commands) | {"--help", "--version"},
       completed(["./lbs"], ""))
for name in os.listdir("man"):
    m = re.match(r"lbs-(\w+)\.1$", name)
    # lbs-fuse is built where there is FUSE.
    if m and m.group(1) not in [*commands, "fuse"] and f"lbs-{m.group(1)}" not in programs:
        fault(f"man/{name} describes what is not there")

# Values: what an option's argument is called decides.
os.makedirs("build/manual-test/card", exist_ok=True)
if "build/manual-test/card" not in completed(["./lbs-nbd", "--data"], "build/manual-test/"):
    fault("--data does not complete directories")
if "aes256gcm" not in completed(["./lbs", "create", "--cipher", "="], "ae"):
    fault("--cipher= does not complete ciphers")
if completed(["./lbs-nbd", "--tls"], "r") != {"require"}:
    fault("--tls does not complete its words")

# The plugin's parameters.
shown = output("nbdkit", "./nbdkit-lbs-plugin.so", "--help")
differ("nbdkit lbs --help and nbdkit-lbs-plugin(1)", set(re.findall(r"^([a-z-]+)=<", shown, re.M)),
       set(re.findall(r"^\.It Cm ([a-z-]+) Ns =", open("man/nbdkit-lbs-plugin.1").read(), re.M)))

# The library's calls.
header = re.sub(r"^static inline.*?^}", "", open("liblbs/include/lbs.h").read(), flags=re.M | re.S)
calls = {c for c in re.findall(r"\b(lbs_[a-z_]+)\(", header) if not c.endswith("_fn")}
differ("lbs.h and liblbs(3)", calls, set(re.findall(r"^\.Fn (lbs_\w+)", open("man/liblbs.3").read(), re.M)))

pages = sorted("man/" + name for name in os.listdir("man"))
for path in pages:
    lint = subprocess.run(["mandoc", "-Tlint", "-W", "warning", path], capture_output=True, text=True)
    if lint.returncode or lint.stdout:
        fault(f"mandoc: {lint.stdout}{lint.stderr}")
    for name, section in re.findall(r"^\.Xr (lbs\S*|nbdkit-lbs-plugin|mount\.lbs) (\d)", open(path).read(), re.M):
        if not os.path.exists(f"man/{name}.{section}"):
            fault(f"{path} refers to {name}({section}), which is not there")

print(f"{len(pages)} pages, {len(commands)} commands, {options} options, {len(calls)} calls; {faults} faults")
sys.exit(faults != 0)
