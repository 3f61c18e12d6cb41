#!/usr/bin/python3
"""claims - SECURITY.md and the attack scripts say the same: each row that claims
something has a script, each script tries a row or a section that is there, and
each verdict is met. What is trusted or tried elsewhere is listed here.
"""
import os
import re
import sys

here = os.path.dirname(os.path.abspath(__file__))
TRUSTED = {
    "the process that opens the store, the kernel, the random generator",
    "the card: every byte, name, size, time and file type",  # has a table of its own
    # Not of the card, and tried elsewhere:
    "arguments",  # tests/cli_test.sh
    "image files given to `import` and `create --from`",  # tests/e2e/import.py
    "users of the machine, of a store served as a file",  # tests/e2e/fuse.py
}
SECTIONS = {"Freshness, exactly", "What is visible", "Keys, as they are now"}

with open(os.path.join(here, "..", "..", "SECURITY.md")) as f:
    security = f.read()
faults = []


def rows(heading):
    """The first cells of the table below a heading."""
    part = security.split(f"## {heading}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("|")]
    return [c for c in cells[2:] if c]


words = {r.strip("`") for r in rows("How the verdicts read")}
claims = (set(rows("Who is trusted")) - TRUSTED | set(rows(
    "What an attacker may do to the card, and the answer")) | SECTIONS)
for cell in TRUSTED - set(rows("Who is trusted")):
    faults.append(f"no row of SECURITY.md says '{cell}'")
for section in SECTIONS:
    if f"## {section}\n" not in security:
        faults.append(f"SECURITY.md has no section '{section}'")
tried, met, scripts = set(), set(), 0
for name in sorted(os.listdir(here)):
    if not name.endswith(".sh") or name == "lib.sh":
        continue
    scripts += 1
    path = os.path.join(here, name)
    with open(path) as f:
        head = f.read().split("\n\n")[0]
    fields = dict(re.findall(r"^# (attack|claim|expect): (.+)$", head, re.M))
    if f"# {name}\n" not in head or len(fields) != 3 or not os.access(path, os.X_OK):
        faults.append(f"{name}: not a script with attack, claim and expect")
        continue
    if fields["claim"] not in claims | {f"`{w}`" for w in words}:
        faults.append(f"{name}: SECURITY.md does not claim '{fields['claim']}'")
    tried.add(fields["claim"])
    met |= {w for w in words if w in fields["expect"]}
faults += [f"no script tries '{c}'" for c in sorted(claims - tried)]
faults += [f"no script meets the verdict '{w}'" for w in sorted(words - met)]
for fault in faults:
    print(f"FAULT: {fault}")
print(f"{scripts} scripts for {len(claims)} claims and {len(words)} verdicts, {len(faults)} faults")
sys.exit(1 if faults else 0)
