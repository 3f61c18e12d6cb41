#!/bin/bash
# planted-link-grow.sh
# attack: plants a link to a user's file where the next chunk file would be made
# claim: links, pipes, directories instead of files
# expect: the file is as it was; reads go on
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$work"
echo "a user's own" >precious
"$bin/lbs" create -q --size 64M --capacity 256M --segment-size 1M --chunk-size 8M --data card corp.lbs >/dev/null
export truth=$work/truth
truncate -s 64M truth
run_server "$(guest write 1 0 300) && $(guest flush)"
for next in $(seq -f %04g 0 31); do
	[ -e card/$next.lbs ] || ln -s ../precious card/$next.lbs
done
serve
lab write 2 300 5000 2>out || grep -qE 'ENOSPC|No space|Input/output|EIO' out || fault "$(cat out)"
[ "$(cat precious)" = "a user's own" ] || fault "the link was followed"
kill -0 $server || fault "the server died"
/usr/bin/python3 - "$here" <<'PYTHON' || fault "reads do not go on"
import os, sys
sys.path.insert(0, sys.argv[1])
import lab
h = lab.connect()
assert all(h.pread(4096, b * 4096) == lab.content(1, b) for b in range(300))
PYTHON
kill_server
echo "$name: no link was followed"
