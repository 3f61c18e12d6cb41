#!/bin/bash
# alternating-opening.sh
# attack: shows two versions of the log in turn while the store is opened, ten times
# claim: show different bytes at different reads
# expect: refused as `damaged` or `data-missing`, or opens; never wrong data, never a crash
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
read -r file at < <(log_end)
/usr/bin/python3 - "$file" "mid-$file" $at <<'PYTHON' &
import os, sys
new, old, at = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(new, "rb") as f:
    f.seek(at)
    one = f.read(1 << 20)
with open(old, "rb") as f:
    f.seek(at)
    other = f.read(1 << 20)
fd = os.open(new, os.O_WRONLY)
while True:
    os.pwrite(fd, other, at)
    os.pwrite(fd, one, at)
PYTHON
helpers+=($!)
for _ in $(seq 10); do
	status=0
	run_server --read-only "$(guest check some)" || status=$?
	! grep -q FAULT "$work/out" || fault "$(cat "$work/out")"
	[ $status -eq 0 ] || grep -qE '\[(damaged|data-missing|stale-card)\]' "$work/server.log" ||
		fault "ended with $status: $(cat "$work/server.log")"
done
kill "${helpers[@]}"
wait "${helpers[@]}" || true
helpers=()
echo "$name: no wrong data"
