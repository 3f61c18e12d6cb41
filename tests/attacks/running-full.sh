#!/bin/bash
# running-full.sh
# attack: fills the card beside the store while the server writes
# claim: pull the card, fill it, make it fail
# expect: no space to new writes (`no-space`), all else goes on; all is there after a restart
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# A file system of its own needs a name space of its own.
if [ "${1:-}" != inside ]; then
	unshare -rm true 2>/dev/null || {
		echo "no name spaces here: a full card is not tried"
		exit 77
	}
	rm -rf "$work"
	exec unshare -rm "$0" inside
fi
cd "$work"
mkdir it
cd it
mkdir card
trap 'status=$?; umount -l "$work/it/card"; (exit $status); leave' EXIT
mount -t tmpfs -o size=40m lbs card
"$bin/lbs" create -q --size 64M --capacity 128M --segment-size 1M --chunk-size 8M --data card corp.lbs >/dev/null
export truth=$PWD/truth
truncate -s 64M truth
serve
lab write 1 0 300
lab flush
cat /dev/zero >card/film 2>/dev/null || true
cp truth before
fails 'No space' write 2 2000 12000
/usr/bin/python3 - "$here" before >truth <<'PYTHON'
# Of the writes the first few were taken.
import sys
sys.path.insert(0, sys.argv[1])
import lab
h = lab.connect()
truth = bytearray(open(sys.argv[2], "rb").read())
taken = 0
while h.pread(4096, (2000 + taken) * 4096) == lab.content(2, 2000 + taken):
    truth[(2000 + taken) * 4096:(2001 + taken) * 4096] = lab.content(2, 2000 + taken)
    taken += 1
assert taken > 100, taken
sys.stdout.buffer.write(truth)
PYTHON
lab check
lab flush
lab discard 2000 500
lab flush
lab check
rm card/film
lab write 3 100 10
lab check
stop
run_server "$(guest check)" || fault "$(cat "$work/out" "$work/server.log")"
echo "$name: no space, and nothing lost"
