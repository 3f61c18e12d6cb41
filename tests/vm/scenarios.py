"""scenarios - what is done with a machine: cuts, the control, the steady state. Each
takes the options of the run, its name, a seed and a score, and returns figures. Must
never pass one in which nothing was cut, promised or written.
"""
import json
import os
import re

import blocktrace
from cuts import Cuts
from machine import PARTITION, SILENCE, Machine


# Verdicts of a loss. Which it is depends on what got through: a record behind a gap
# makes it "damaged", a card as it was before the session "stale-card".
LOSS = ("data-missing", "damaged", "stale-card")


def cuts(fs, bus, create="--size 3G --capacity 5G", first_mib=0):
    """A store larger than FAT's largest file, cut. With first_mib it is preallocated,
    and so much is written before, so that the log is past 4 GiB."""
    def scenario(options, name, seed, score):
        machine = Machine(options, name, fs, bus)
        try:
            if first_mib:
                machine.create(create)
                machine.run(f"mount_disks\nserve || exit 1\nload stream $socket 64 {first_mib} >&3\n"
                            "stop_serving\nunmount_disks", 900)
            else:
                machine.create(create, cut=True)
            done = Cuts(machine, seed, score)
            for _ in range(20 if options.full and not first_mib else 4):
                if not done.one():
                    break
            done.last_look()
            score.check("the store opens after every cut", not done.verdicts, str(done.verdicts))
            score.check("something was promised", done.promised > 0)
            # An SD host passes no flush on: its card has no cache to lose.
            score.check("something was lost in the cuts", done.lost > 0 or bus == "sd")
            return done.result()
        finally:
            machine.clean_up()
    return scenario


def lying(fs, bus):
    """The control: a card that acknowledges flushes and does nothing must be found out."""
    def scenario(options, name, seed, score):
        words, wanted = [], 4 if options.full else 2
        for n in range(3 * wanted):
            if len(words) == wanted:
                break
            machine = Machine(options, f"{name}-{n}", fs, bus)
            try:
                machine.create("--size 256M --capacity 512M --preallocate")
                done = Cuts(machine, seed + n, score)
                machine.lying = True
                done.one("none", 200)
                machine.lying = False
                # A store that opens must have all that was promised: the lie was about
                # nothing then, and another is told.
                done.last_look()
                if done.verdicts:
                    found = re.findall(r"\[([a-z-]+)\]$", done.verdicts[0])
                    score.check("a lying card is found out", found and found[0] in LOSS, str(done.verdicts))
                    words += found
            finally:
                machine.clean_up()
        score.equal("lies told", len(words), wanted)
        return {"cuts": len(words), "verdicts": words}
    return scenario


def steady(fs, bus, mount="noatime,lazytime"):
    """Everything is filled: what does the card see then? Behind the trace is a modelled
    class 4 card, which holds three units open."""
    def scenario(options, name, seed, score):
        machine = Machine(options, name, fs, bus, mount)
        machine.model = "class4-2013"
        traces, moved, extents, last = {}, {"before": 0}, [], None
        try:
            machine.create("--size 128M --capacity 256M --segment-size 4M --preallocate")
            machine.power_on(f"SEED={seed}\nmount_disks\nsteady\nunmount_disks")
            while (line := machine.guest.next_line(SILENCE)) is not None:
                last = line
                word, *rest = line.split(" ")
                if word == "READY":
                    path = os.path.join(machine.work, f"trace{len(traces)}")
                    machine.disks["card"].ask("trace " + path)
                    machine.guest.say("go")
                elif word == "STOP":
                    machine.disks["card"].ask("trace -")
                    traces[rest[0]], moved[rest[0]] = path, int(rest[1])
                    machine.guest.say("go")
                elif word == "CARD":
                    # A disk tells no allocation unit, and neither does QEMU's SD card: its
                    # status has none, so the kernel's number is a guess of the kernel's.
                    score.equal("what lbs info finds of the card", line,
                                f"CARD {fs}, allocation unit 4 MiB (assumed), files on units")
                elif word == "EXTENT":
                    extents.append(tuple(int(n) + (PARTITION << 9) for n in rest))
            machine.power_off()
            score.equal("the guest's end", last, "ENDED 0")
            score.equal("phases", sorted(traces), ["cleaning", "large", "small"])
            score.check("the chunk file begins on an allocation unit",
                        extents and extents[0][0] % blocktrace.UNIT == 0, str(extents[:2]))
            volume = blocktrace.Volume(machine.image("card"), PARTITION << 9, extents)
            result = {what: blocktrace.analyse(path, volume) for what, path in traces.items()}
            # When the cleaner begins is not the trace's to say.
            counts = list(moved.values())
            cleaned = [what for n, what in enumerate(traces) if counts[n + 1] > counts[n]]
            score.check("the cleaner had work in the end", "cleaning" in cleaned, str(moved))
            blocktrace.judge(result, cleaned, score, exact=bus != "sd")
            with open(machine.image("card") + ".stats") as f:
                card = json.load(f)
            result["card"] = {key: card[key] for key in (
                "modelled_card", "write_amplification", "switch_merges", "partial_merges",
                "full_merges", "copied_bytes")}
            # Closing one unit too early at each flush would be about 1.5; 1.01 to 1.14 are seen.
            score.check("the card copies little", card["write_amplification"] < 1.3, str(result["card"]))
            return {"chunk_extents": len(extents), "cleaned_blocks": moved, **result}
        finally:
            machine.clean_up()
    return scenario


# What it is, and whether the short run has it.
ALL = {
    "cuts-vfat": (cuts("vfat", "virtio"), True),
    "cuts-exfat": (cuts("exfat", "virtio"), True),
    "cuts-vfat-sd": (cuts("vfat", "sd"), True),
    "cuts-exfat-sd": (cuts("exfat", "sd"), False),
    "cuts-vfat-large": (cuts("vfat", "virtio", "--size 5G --capacity 7G --preallocate", 4500), False),
    "lying": (lying("vfat", "virtio"), True),
    "lying-exfat": (lying("exfat", "virtio"), False),
    "lying-sd": (lying("vfat", "sd"), False),
    "steady-vfat": (steady("vfat", "virtio"), True),
    "steady-exfat": (steady("exfat", "virtio"), True),
    "steady-vfat-sd": (steady("vfat", "sd"), False),
}
