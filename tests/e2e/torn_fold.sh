#!/bin/bash
# torn_fold.sh - a process that dies while SQLite's log is folded into the
# metadata file leaves a file that, read without its log, seems corrupt: the
# header counts pages that are not there yet. Opening must look through the log.
# LBS_BUILD_ROOT says where ./lbs, ./lbs-nbd and ./lbsck are.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "${LBS_BUILD_ROOT:-$here/../..}" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lbs-fold.XXXXXX")
server=""
leave() {
	[ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
	rm -rf "$work"
}
trap leave EXIT
cd "$work"

"$bin/lbs" create -q --size 64M --data card corp.lbs >/dev/null
"$bin/lbs-nbd" -f corp.lbs 2>server.log &
server=$!
uri="nbd+unix:///?socket=$work/corp.lbs.sock"
for _ in $(seq 600); do
	! nbdinfo --size "$uri" >/dev/null 2>&1 || break
	sleep 0.1
done
qemu-io -f raw -c 'write -P 7 0 8M' -c flush "$uri" >/dev/null
kill -9 "$server"
wait "$server" 2>/dev/null || true
server=""
test -s corp.lbs-wal

# Make the file grow in the log, and have the copy of it folded; then the torn
# state: page 1 of the folded file, the rest and the log as they were.
/usr/bin/python3 - <<'PYTHON'
import os, shutil, sqlite3
if os.fork() == 0:
    c = sqlite3.connect("corp.lbs")
    c.execute("CREATE TABLE growth(x)")
    c.execute("INSERT INTO growth VALUES(zeroblob(200000))")
    c.commit()
    os._exit(0)	# as if killed: the log stays
os.wait()
for end in "", "-wal":
    shutil.copy("corp.lbs" + end, "folded" + end)
c = sqlite3.connect("folded")
c.execute("PRAGMA wal_checkpoint(TRUNCATE)")
c.close()
page = open("folded", "rb").read(4096)
with open("corp.lbs", "r+b") as f:
    f.write(page)
os.remove("corp.lbs-shm")
PYTHON
if sqlite3 "file:corp.lbs?immutable=1" 'SELECT count(*) FROM vdisk' >/dev/null 2>&1; then
	echo "the bare file reads well: this test proves nothing"
	exit 1
fi
"$bin/lbs" list corp.lbs
"$bin/lbs-nbd" --run 'qemu-io -f raw -c "read -P 7 0 8M" "$uri"' corp.lbs | grep -q 'read 8388608/8388608'
"$bin/lbsck" --scrub corp.lbs
echo "1 check, 0 failed"
