"""runner - runs scenarios, each with a seed of its own that is printed. Must never let
one that could not run to its end pass.
"""
import json
import random
import subprocess
import time


def run_all(names, scenarios, target, options, score):
    """What each found; target is make's, for the line that says how to draw it again."""
    report = {}
    for name in names:
        seed = options.seed if options.seed is not None else random.randrange(1 << 31)
        begun, bad = time.monotonic(), score.bad
        print(f"{name}: seed {seed} (make {target} ONLY={name} SEED={seed} draws it again)", flush=True)
        try:
            found = scenarios[name](options, name, seed, score)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            score.check(name, False, f"{error} {getattr(error, 'stdout', None) or ''}")
            found = {}
        report[name] = {"seed": seed, "seconds": round(time.monotonic() - begun, 1),
                        "failed": score.bad - bad, **found}
        print(f"{name}: {json.dumps(report[name])}", flush=True)
    return report
