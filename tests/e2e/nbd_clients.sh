#!/bin/bash
# nbd_clients - the programs people use, on a served store: nbdinfo, qemu-img,
# qemu-io, nbdcopy, nbdsh, fio, two connections at once.
# LBS_BUILD_ROOT says where ./lbs and ./lbs-nbd are (the checkout by default).
# Must end no process that it did not start.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "${LBS_BUILD_ROOT:-$here/../..}" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lbs-e2e.XXXXXX")
store=$work/corp.lbs
uri="nbd+unix:///?socket=$store.sock"
server=
checks=0
bad=0

leave() {
	if [ -n "$server" ]; then
		kill -9 "$server" 2>/dev/null
		wait "$server" 2>/dev/null
	fi
	rm -rf "$work"
}
trap leave EXIT

# check WHAT COMMAND...: the command succeeds.
check() {
	local what=$1
	shift
	checks=$((checks + 1))
	if ! "$@" >"$work/out" 2>&1 </dev/null; then
		bad=$((bad + 1))
		echo "FAULT: $what"
		tail -n 15 "$work/out" | sed 's/^/    /'
	fi
}
fails() { ! "$@"; }

start() {
	"$bin/lbs-nbd" -f "$@" "$store" 2>>"$work/server.log" &
	server=$!
	for _ in $(seq 300); do
		nbdinfo --size "$uri" >/dev/null 2>&1 && return
		kill -0 "$server" || break
		sleep 0.1
	done
	echo "the server did not start:"
	cat "$work/server.log"
	exit 1
}
stop() {
	kill -TERM "$server"
	wait "$server"
	check "the server ends well" test $? -eq 0
	server=
}

"$bin/lbs" create --size 256M --capacity 2G --data "$work/card" "$store" || exit 1
start

# ---- nbdinfo: what a client is told -----------------------------------------
told() {
	nbdinfo --json "$uri" >"$work/info.json" &&
	python3 - "$work/info.json" <<-'E'
	import json, sys
	e = json.load(open(sys.argv[1]))["exports"][0]
	want = {
	    "export-size": 256 << 20, "is_read_only": False, "is_rotational": False,
	    "can_fua": True, "can_flush": True, "can_trim": True, "can_zero": True,
	    "can_fast_zero": True, "can_multi_conn": True, "can_cache": True,
	    "can_df": True, "block_size_minimum": 1, "block_size_preferred": 4096,
	    "block_size_maximum": 32 << 20, "export-name": "disk",
	    "contexts": ["base:allocation"],
	}
	wrong = {k: e.get(k) for k in want if e.get(k) != want[k]}
	print(wrong)
	sys.exit(1 if wrong else 0)
	E
}
check "nbdinfo --json" told
check "nbdinfo --list" bash -c "nbdinfo --list '$uri' | grep -q 'export=\"disk\"'"
check "an export that is not there" fails nbdinfo "nbd+unix:///nope?socket=$store.sock"
check "the vdisk by its name" nbdinfo "nbd+unix:///disk?socket=$store.sock"
check "nbdinfo --map of a new disk" bash -c \
	"nbdinfo --map '$uri' | grep -Eq '^ +0 +268435456 +3 +hole,zero'"

# ---- qemu-img ---------------------------------------------------------------
# An image with data, holes and odd places.
truncate -s 256M "$work/in.img"
for at in 0 1 17 4096 9999 30000 65000; do
	head -c 1500000 /dev/urandom |
		dd of="$work/in.img" bs=4096 seek=$at conv=notrunc status=none
done
check "qemu-img convert, raw to the store" \
	qemu-img convert -n -f raw -O raw "$work/in.img" "$uri"
check "qemu-img compare" qemu-img compare -f raw -F raw "$work/in.img" "$uri"
check "qemu-img convert, the store to qcow2" \
	qemu-img convert -f raw -O qcow2 "$uri" "$work/out.qcow2"
check "and it is the same" qemu-img compare -f raw -F qcow2 "$uri" "$work/out.qcow2"
sparse() {
	local kib
	kib=$(du -k "$work/out.qcow2" | cut -f1)
	echo "$kib KiB"
	[ "$kib" -lt 20000 ]
}
check "holes stay holes" sparse
check "qemu-img map" bash -c \
	"qemu-img map --output=json -f raw '$uri' | grep -q '\"zero\": true'"
check "qemu-img bench" qemu-img bench -q -f raw -w -c 2000 -d 16 -s 4096 \
	-o 134217728 --flush-interval=100 --pattern=7 "$uri"

# ---- nbdcopy ----------------------------------------------------------------
check "nbdcopy, over four connections, into the store" \
	nbdcopy --flush --connections=4 "$work/in.img" "$uri"
check "nbdcopy out of it" nbdcopy "$uri" "$work/out.img"
check "and it is the same" cmp "$work/in.img" "$work/out.img"

# ---- qemu-io ----------------------------------------------------------------
io() { qemu-io -f raw "$@" "$uri" >"$work/io" 2>&1; cat "$work/io"
	! grep -Eiq 'error|fail|verification' "$work/io"; }
check "qemu-io: any size, any place" io \
	-c "write -P 0x11 0 1M" -c "write -P 0x22 513 1025" -c "read -P 0x22 513 1025" \
	-c "read -P 0x11 0 513" -c "read -P 0x11 1538 1047038" \
	-c "write -f -P 0x33 1M 4096" -c "read -P 0x33 1M 4096"
check "qemu-io: zeroes and discards" io \
	-c "write -P 0x44 4M 1M" -c "write -z 4097k 10k" -c "read -P 0 4097k 10k" \
	-c "read -P 0x44 4M 1k" -c "write -z -u 5M 64k" \
	-c "discard 4200k 100k" -c "read -P 0 4200k 100k" -c "flush"
check "qemu-io: many at once" io \
	-c "aio_write -P 1 8M 64k" -c "aio_write -P 2 9M 64k" -c "aio_write -P 3 10M 1M" \
	-c "aio_flush" -c "read -P 1 8M 64k" -c "read -P 2 9M 64k" -c "read -P 3 10M 1M"

# ---- nbdsh ------------------------------------------------------------------
check "nbdsh" /usr/bin/python3 -m nbd -u "$uri" -c '
assert h.can_multi_conn() and h.can_fua() and h.get_size() == 256 << 20
h.pwrite(b"hello", 12345, nbd.CMD_FLAG_FUA)
assert h.pread(5, 12345) == b"hello"
h.zero(5, 12345)
assert not any(h.pread(5, 12345))
h.cache(1 << 20, 0)'

# ---- two connections at once ------------------------------------------------
two() {
	/usr/bin/python3 - "$uri" <<-'E'
	import nbd, sys
	a, b = nbd.NBD(), nbd.NBD()
	a.connect_uri(sys.argv[1]); b.connect_uri(sys.argv[1])
	for i in range(500):
	    data = bytes([i % 251]) * 4096
	    a.pwrite(data, i * 8192)
	    assert b.pread(4096, i * 8192) == data      # seen at once by the other
	    b.pwrite(data[::-1][:100], i * 8192 + 50)
	    if i % 50 == 0:
	        b.flush()                               # covers the writes of a
	b.flush()
	a.shutdown(); b.shutdown()
	E
}
check "what one connection writes the other reads" two

# ---- fio --------------------------------------------------------------------
load() {
	(cd "$work" && fio --name=v --ioengine=nbd "--uri=$uri" "$@" \
		--verify=crc32c --verify_fatal=1 --randrepeat=0)
}
check "fio, 4 KiB at random, depth 16, verified" load --rw=randwrite --bs=4k \
	--iodepth=16 --size=128M --do_verify=1
check "fio, mixed sizes, with syncs and discards" load --rw=randtrimwrite \
	--bsrange=512-128k --bs_unaligned=0 --iodepth=16 --offset=128M --size=96M \
	--io_size=64M --fsync=64 --do_verify=0
check "fio, two jobs, two connections" load --rw=randwrite --bs=4k --iodepth=16 \
	--size=32M --numjobs=2 --offset_increment=64M --do_verify=1

# ---- reopening --------------------------------------------------------------
check "the image once more" nbdcopy --flush "$work/in.img" "$uri"
stop
check "lbsck --scrub" "$bin/lbsck" -n --scrub "$store"
start
check "all of it after reopening" qemu-img compare -f raw -F raw "$work/in.img" "$uri"
stop
start --read-only
check "read-only: the same" qemu-img compare -f raw -F raw "$work/in.img" "$uri"
check "read-only: refuses a writer" fails qemu-io -f raw -c "write 0 4k" "$uri"
stop
check "under plain nbdkit, with a filter" nbdkit -U - --filter=stats \
	"$bin/nbdkit-lbs-plugin.so" "$store" statsfile=/dev/null \
	--run 'qemu-img compare -f raw -F raw '"$work/in.img"' "$uri"'

echo "$checks checks, $bad failed"
[ "$bad" -eq 0 ]
