"""runner - the two ends of a suite of guests, and between them its scenarios, each with a
seed of its own that is printed. Must never let one that could not run to its end pass.
"""
import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

from nbdlab import Score


def arguments(usage, scenarios, build):
    """A parser of what every suite of guests can be told."""
    parser = argparse.ArgumentParser(usage=usage)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--json")
    parser.add_argument("--build", default=build)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("scenario", nargs="*", choices=[[], *scenarios])
    return parser


def run_one(name, scenario, target, options, score):
    """What it found; target is make's, for the line that says how to draw it again."""
    seed = options.seed if options.seed is not None else random.randrange(1 << 31)
    begun, faults, found = time.monotonic(), len(score.faults), {}
    print(f"{name}: seed {seed} (make {target} ONLY={name} SEED={seed} draws it again)", flush=True)
    try:
        found = scenario(options, name, seed, score)
    except Exception as error:	# the others still have something to say
        print(traceback.format_exc(), flush=True)
        score.check(name, False, f"{error} {getattr(error, 'stdout', None) or ''}")
    report = {**found, "seed": seed, "seconds": round(time.monotonic() - begun, 1),
              "failed": len(score.faults) - faults, "faults": score.faults[faults:]}
    print(f"{name}: {json.dumps(report)}", flush=True)
    return report


def run_suite(scenarios, names, target, options, prepare):
    """Runs the named scenarios in a temporary directory, which prepare(options) may use
    before; writes what they found, and ends the program. Of one that fails the machine's
    disks and console are kept."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    base = tempfile.mkdtemp(prefix="lbs-guest.")
    score, report = Score(), {}
    try:
        options.work = base
        prepare(options)
        for name in names:
            options.work = os.path.join(base, name)
            os.mkdir(options.work)
            report[name] = run_one(name, scenarios[name], target, options, score)
            if not report[name]["failed"] and not options.keep:
                shutil.rmtree(options.work)
    finally:
        if options.json:
            with open(options.json, "w") as f:
                json.dump(report, f, indent=1)
        if options.keep or score.bad:
            print(f"what is left of it is in {base}")
        else:
            shutil.rmtree(base, ignore_errors=True)
    score.end()
