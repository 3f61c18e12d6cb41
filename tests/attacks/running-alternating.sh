#!/bin/bash
# running-alternating.sh
# attack: shows two versions of the card in turn, as fast as it can, while blocks are read
# claim: show different bytes at different reads
# expect: EIO or right data; never wrong data, never a crash
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
read -r file at < <(lab frame 50)
at=$((at / 4096 * 4096))
serve
/usr/bin/python3 - "$file" "old-$file" $at <<'PYTHON' &
import os, sys
new, old, at = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(new, "rb") as f:
    f.seek(at)
    one = f.read(200000)
with open(old, "rb") as f:
    f.seek(at)
    other = f.read(200000)
fd = os.open(new, os.O_WRONLY)
while True:
    os.pwrite(fd, other, at)
    os.pwrite(fd, one, at)
PYTHON
helpers+=($!)
for _ in $(seq 12); do
	lab check some
done
kill "${helpers[@]}"
wait "${helpers[@]}" || true
helpers=()
bytes "old-$file" $at 100000 | put "$file" $at
lost=$(lab check some | sed 's/ .*//')
[ "$lost" -gt 10 ] || fault "what was shown in turn lay nowhere"
stop
