#!/bin/bash
# running-slow.sh
# attack: makes every call to the card take 100 ms
# claim: pull the card, fill it, make it fail
# expect: requests are slow and right; the server ends within its time
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
with_faults
faults slow
lab write 5 700 5
lab flush
/usr/bin/python3 - "$here" <<'PYTHON'
import sys, time
sys.path.insert(0, sys.argv[1])
import lab
one, other = lab.connect(), lab.connect()
begun = time.monotonic()
for b in range(8):
    assert one.pread(4096, (700 + b % 5) * 4096) == lab.content(5, 700 + b % 5)
    assert not any(other.pread(4096, 900 * 4096))  # a hole: asks no card
assert 0.7 < time.monotonic() - begun < 20
PYTHON
stop
unset LD_PRELOAD
opens
