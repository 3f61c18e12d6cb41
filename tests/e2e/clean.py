#!/usr/bin/python3
"""clean - `lbs clean` on a store that is served and on one that is not, and the
cleaner at work by itself: what the guest wrote stays, room comes of it, and the
server goes on answering. `lbs clean --shrink` gives chunk files back, likewise.
"""
import json
import os
import socket
import threading

from nbdlab import Lab, Score, seeded

MIB = 1 << 20
SIZE = 48

rng = seeded()
score = Score()
model = bytearray(SIZE * MIB)


def put(h, at, size):
    data = rng.randbytes(size)
    h.pwrite(data, at)
    model[at:at + size] = data


def scatter(h, blocks):
    """Single blocks everywhere: every segment loses some."""
    for _ in range(blocks):
        put(h, rng.randrange(SIZE * MIB // 4096) * 4096, 4096)


def whole(h):
    return all(h.pread(MIB, i * MIB) == model[i * MIB:(i + 1) * MIB]
               for i in range(SIZE))


def clean(lab, *options):
    return json.loads(lab.run("lbs", "clean", *options, "--json",
                              lab.store).stdout)


def card_bytes(lab):
    return sum(os.stat(os.path.join(lab.card, name)).st_size
               for name in os.listdir(lab.card))


def shrink(lab, what):
    """Gives chunk files back: what it says it gave, the card has got (a server
    may have filled some room meanwhile)."""
    before = card_bytes(lab)
    said = clean(lab, "--shrink")
    score.check(f"{what}: room came of it", said["bytes_given_back"] > 10 * MIB,
                str(said))
    got = before - card_bytes(lab)
    score.check(f"{what}: as much as it says",
                got == said["bytes_given_back"] or
                said["served"] and 0 < got < said["bytes_given_back"], str(got))


def started_again(lab):
    """A server that was killed and started again in the middle knows of no job."""
    with socket.socket(socket.AF_UNIX) as fake:
        fake.bind(lab.store + ".ctl")
        fake.listen(8)

        def answer():
            for state in ("running", "idle"):
                client = fake.accept()[0]
                client.recv(64)
                client.sendall(json.dumps({"schema": 1, "clean": {"state": state}}).encode() + b"\n")
                client.close()

        job = threading.Thread(target=answer, daemon=True)
        job.start()
        done = lab.run("lbs", "clean", "--json", lab.store, check=False)
        job.join()
    os.unlink(lab.store + ".ctl")
    score.check("a job that is gone is none that is done", done.returncode == 1 and
                json.loads(done.stdout).get("error", {}).get("code") == "io", str(done))


with Lab(f"{SIZE}M", "--capacity", "100M", "--segment-size", "1M",
         "--chunk-size", "4M") as lab:
    lab.start()
    h = lab.connect()
    for i in range(SIZE):
        put(h, i * MIB, MIB)
    # Three times the capacity: the store cleans by itself, and never refuses.
    for _ in range(6):
        scatter(h, 50 * MIB // 4096)
        h.flush()
    counters = lab.stat()["counters"]
    score.check("it cleans by itself", counters["cleaned_segments"] > 20,
                str(counters["cleaned_segments"]))
    score.check("all is there", whole(h))
    free = counters["segments_free"]

    answers = []

    def ask():
        answers.append(clean(lab))

    job = threading.Thread(target=ask)
    job.start()
    # The server goes on meanwhile, and answers others.
    scatter(h, 500)
    score.check("it answers others", lab.stat()["served"])
    job.join()
    score.check("served", answers[0]["served"], str(answers[0]))
    score.check("segments were emptied", answers[0]["segments"] > 5,
                str(answers[0]))
    counters = lab.stat()["counters"]
    score.check("room came of it", counters["segments_free"] > free + 5,
                f"{counters['segments_free']} after {free}")
    score.check("all is there, cleaned", whole(h))
    again = clean(lab)
    score.check("then there is little to gain", again["segments"] <= 8,
                str(again))
    scatter(h, 4000)
    h.shutdown()
    score.equal("it ends well", lab.stop(), 0)

    by_hand = clean(lab)
    score.check("not served", not by_hand["served"] and
                by_hand["segments"] > 5, str(by_hand))
    said = lab.run("lbs", "clean", lab.store).stdout
    score.check("nothing to gain", "nothing to gain" in said, said)
    checked = lab.run("lbsck", "--scrub", lab.store, check=False)
    score.equal("lbsck finds nothing", checked.returncode, 0)
    # A chunk file is gone, whichever: what the cleaner copied after the log's end
    # gives nothing up.
    for name in sorted(n for n in os.listdir(lab.card) if n[0] == "0"):
        chunk = os.path.join(lab.card, name)
        os.rename(chunk, chunk + ".away")
        told = json.loads(lab.run("lbsck", "-n", "--accept-loss", "--json",
                                  lab.store, check=False).stdout)
        score.check(f"without {name} copies are no lost writes", "write-lost"
                    not in {f["code"] for f in told["findings"]} and
                    told["verdict"] == "errors-left", str(told)[:2000])
        os.rename(chunk + ".away", chunk)
    lab.start("--read-only")
    refused = lab.run("lbs", "clean", "--json", lab.store, check=False)
    score.equal("a read-only server refuses", refused.returncode, 1)
    score.check("in words", json.loads(refused.stdout)["error"]["code"] ==
                "read-only", refused.stdout)
    h = lab.connect()
    score.check("all is there at the end", whole(h))
    h.shutdown()
    lab.stop()

# Thin: filled as it is written to, emptied by discards and cleaning.
with Lab(f"{SIZE}M", "--capacity", "400M", "--segment-size", "1M",
         "--chunk-size", "16M") as lab:
    model = bytearray(SIZE * MIB)
    for served in (True, False):
        lab.start()
        h = lab.connect()
        for _ in range(6):
            for i in range(SIZE):
                put(h, i * MIB, MIB)
        if served:
            job = threading.Thread(target=shrink, args=(lab, "served"))
            job.start()
            scatter(h, 300)
            job.join()
            score.check("all is there, shrunk", whole(h))
            scatter(h, 3000)
        h.shutdown()
        score.equal("it ends well", lab.stop(), 0)
    shrink(lab, "not served")
    said = lab.run("lbs", "clean", "--shrink", lab.store).stdout
    score.check("no effect is told", "no chunk file can be given back" in said,
                said)
    checked = lab.run("lbsck", "--scrub", lab.store, check=False)
    score.equal("lbsck finds nothing", checked.returncode, 0)
    lab.start()
    h = lab.connect()
    score.check("all is there at last", whole(h))
    h.shutdown()
    lab.stop()
    started_again(lab)
score.end()
