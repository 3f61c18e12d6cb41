#!/bin/bash
# demo - the main job on a real disk: import, load, lose the server, carry on.
# Everything happens below one temporary directory, which is removed at the end.
# Must never say that something held without having checked it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${LBS_BUILD_ROOT:-$root}
export PATH="$bin:$PATH:/usr/sbin:/sbin"

work=$(mktemp -d "${TMPDIR:-/tmp}/lbs-demo.XXXXXX")
card=$work/card flash=$work/flash
store=$flash/corp.lbs
uri="nbd+unix:///?socket=$store.sock"
server=""
proxy=""
fio=""

# Their end is the demo's duty, whatever happens.
leave() {
	local status=$? pid
	for pid in $fio $proxy $server; do
		if kill -9 "$pid" 2>/dev/null; then
			wait "$pid" 2>/dev/null || true
		fi
	done
	if [ $status -ne 0 ]; then
		echo
		echo "The demo FAILED. What the server and fio said last:"
		tail -n 8 "$work"/*.log 2>/dev/null | sed 's/^/    /'
	fi
	rm -rf "$work"
	exit $status
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

bold=""
plain=""
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' plain=$'\e[0m'
fi
step=0
chapter() {
	step=$((step + 1))
	printf '\n%s%d. %s%s\n' "$bold" "$step" "$1" "$plain"
}
say() { printf '   %s\n' "$@"; }
# Shows a command as one would type it, runs it, indents what it says.
run() {
	printf '   $ %s\n' "${*//$work\//}"
	"$@" 2>&1 | sed "s|$work/||g; s/^/     /"
}
mib() { echo $(($1 >> 20)); }

# Runs a server in the background and returns when clients can connect.
serve() {
	printf '   $ lbs-nbd %s &\n' "${store//$work\//}"
	lbs-nbd -f "$store" 2>"$work/server.log" &
	server=$!
	for _ in $(seq 300); do
		nbdinfo --size "$uri" >/dev/null 2>&1 && return 0
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	say "the server did not start"
	return 1
}
stop() {
	kill -TERM "$server"
	wait "$server" || true
	server=""
}

mkdir -p "$card" "$flash"

chapter "A real disk with real files"
tree=$work/tree
mkdir -p "$tree/project" "$tree/usr"
(cd "$root" && find . -path ./.git -prune -o -name 'build*' -prune -o \
	-type f -size -1024k -print0 | xargs -0 cp --parents -t "$tree/project")
# Some of this machine's own files, up to about 64 MiB.
(cd /usr/share && find . -xdev -type f -size -512k -readable -printf '%k %p\0' 2>/dev/null |
	awk 'BEGIN { RS = ORS = "\0" } (k += $1) <= 65536 { sub(/^[0-9]+ /, ""); print }' |
	xargs -0 cp --parents -t "$tree/usr")
(cd "$tree" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$work/manifest"
files=$(wc -l <"$work/manifest")
image_bytes=$((192 << 20))
truncate -s $image_bytes "$work/disk.img"
mkfs.ext4 -q -F -d "$tree" "$work/disk.img" 2>"$work/mkfs.log"
say "$files files ($(du -sm "$tree" | cut -f1) MiB: this project's, and some of /usr/share) in an" \
	"ext4 image of $(mib $image_bytes) MiB. Their checksums are kept aside."

chapter "A store: metadata on internal flash, encrypted log on the card"
run lbs create --size 512M --data "$card/corp" "$store"

chapter "The image goes in over NBD"
serve
run qemu-img convert -n --target-is-zero -W -f raw -O raw "$work/disk.img" "$uri"
run ls -l "$card/corp" "$flash"
# The text of this very script is in the image; it must not be on the card.
needle="the main job on a real disk: import, load, lose the server"
grep -aq "$needle" "$work/disk.img"
if grep -raq "$needle" "$card"; then
	say "the card holds plain text"
	exit 1
fi
say "A sentence of this script is in the image, and nowhere on the card."

chapter "A verified load: fio writes 4 KiB blocks at random, 16 at a time"
offset=$image_bytes
size=$(((512 << 20) - 2 * image_bytes))
counter() {
	lbs stat --json "$store" | sed -n "s/^ *\"$1\": \([0-9]*\),*\$/\1/p"
}
before=$(counter write_ops)
# QEMU's own block layer stands between, as it would for a guest: when the server
# is gone it waits, connects again and resends what was not acknowledged.
qemu-nbd -t -k "$work/qemu.sock" --image-opts \
	"driver=nbd,server.type=unix,server.path=$store.sock,reconnect-delay=60" 2>"$work/qemu.log" &
proxy=$!
(cd "$work" && timeout 120 fio --name=load --ioengine=nbd "--uri=nbd+unix:///?socket=$work/qemu.sock" \
	--rw=randwrite --bs=4k --iodepth=16 "--offset=$offset" "--size=$size" \
	--rate_iops=4000 --fsync=512 --verify=crc32c --do_verify=1 --verify_fatal=1) \
	>"$work/fio.log" 2>&1 &
fio=$!
say "It writes behind the image, $(mib $size) MiB with a checksum in each block, through" \
	"QEMU's block layer, and will read all of it back."
blocks=$((size / 4096))
acked=0
while kill -0 "$fio" 2>/dev/null; do
	# Of those that the server has begun, 16 may still be under way.
	acked=$(($(counter write_ops) - before - 16))
	[ "$acked" -lt $((blocks / 3)) ] || break
	sleep 0.1
done

chapter "In the middle of it the server dies by SIGKILL"
printf '   $ kill -9 %s\n' "$server"
kill -9 "$server"
wait "$server" 2>/dev/null || true
server=""
kill -0 "$fio" || { say "fio had ended before"; exit 1; }
say "At least $acked of $blocks writes had been acknowledged; others were under way."

chapter "Opening again: the log is rolled forward by itself"
serve
sed "s|$work/||g; s/^/     /" "$work/server.log"
grep -q "rolled forward" "$work/server.log"
say "What the new server counts (lbs stat has all of it):"
lbs stat "$store" >"$work/stat"
grep -E '^(.*served by|  (replay|segments|last record|durable record|io err|integ))' "$work/stat" |
	sed "s|$work/||g; s/^/     /"

chapter "fio did not notice, and finds every write"
wait "$fio"
fio=""
grep -E 'WRITE:|READ:' "$work/fio.log" | sed 's/^ */     /'
read_back=$(sed -n 's/.*issued rwts: total=\([0-9]*\),.*/\1/p' "$work/fio.log")
[ "$read_back" = "$blocks" ] || { say "read $read_back of $blocks"; exit 1; }
say "All $read_back blocks read back, each with its checksum: those acknowledged by the" \
	"killed server, and those by its successor."
kill "$proxy"
wait "$proxy" || true
proxy=""

chapter "The disk comes out again, and the files are intact"
run nbdcopy "$uri" "$work/out.img"
truncate -s $image_bytes "$work/out.img"
run e2fsck -fn "$work/out.img"
mkdir "$work/out"
debugfs -R "rdump / $work/out" "$work/out.img" >"$work/debugfs.log" 2>&1
(cd "$work/out" && sha256sum --quiet -c "$work/manifest")
cmp "$work/disk.img" "$work/out.img"
say "All $files checksums agree; the image is the same to the last byte."

chapter "The server finishes on SIGTERM, and lbsck reads every block"
stop
run lbsck --scrub "$store"

printf '\n%sNothing acknowledged was lost.%s (%d s)\n' "$bold" "$plain" "$SECONDS"
