#!/usr/bin/python3
"""check - a store on a real FAT or exFAT card, in a guest whose power is cut: the
kernel's page cache goes with the machine, the volatile caches of card and internal
flash go at the same moment. What the guest said to be durable is kept here, outside,
and must be there after the next boot.

    check.py [--full] [--seed N] [--json FILE] [--build DIR] [--keep] [-v] [SCENARIO]...

Prints the seed of every scenario; --seed with the scenario's name draws the same
again (how far a machine gets between two writes is not the seed's).
"""
import os
import platform
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "e2e")]
import image			# noqa: E402
import runner			# noqa: E402
import scenarios		# noqa: E402


def prepare(options):
    root = os.environ.get("LBS_BUILD_ROOT") or ROOT
    options.sdcard = os.path.join(root, "nbdkit-sdcard-plugin.so")
    options.kernel, options.initramfs = image.make(options.build, root, os.path.join(options.build, "load"))


def main():
    parser = runner.arguments(__doc__, scenarios.ALL, os.path.join(ROOT, "build", "vm"))
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
    if platform.machine() != "x86_64":
        print("the guest runs this machine's programs on an x86_64 that QEMU emulates")
        sys.exit(77)
    names = options.scenario or [name for name, (_, short) in scenarios.ALL.items() if short or options.full]
    runner.run_suite({name: made for name, (made, _) in scenarios.ALL.items()}, names, "check-vm", options,
                     prepare)


if __name__ == "__main__":
    main()
