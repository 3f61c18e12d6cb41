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
server=

# The server's end is the demo's duty, whatever happens.
leave() {
	local status=$?
	if [ -n "$server" ] && kill -9 "$server" 2>/dev/null; then
		wait "$server" 2>/dev/null || true
	fi
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
	server=
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
size=$(((512 << 20) - image_bytes))
load=(fio --name=load --ioengine=nbd "--uri=$uri" --rw=randwrite --bs=4k
	--iodepth=16 "--offset=$offset" "--size=$size" --verify=crc32c
	--do_verify=0 --fsync=512 --rate_iops=8000
	--write_lat_log="$work/ack" --log_offset=1)
say "It writes behind the image, from $(mib $offset) to $((512)) MiB, with a checksum in each" \
	"block, and keeps a ledger of what the server acknowledged."
(cd "$work" && "${load[@]}") >"$work/fio.log" 2>&1 &
fio=$!
sleep 4
kill -9 "$server"
wait "$server" 2>/dev/null || true
server=
wait "$fio" || true

chapter "In the middle of it the server dies by SIGKILL"
ledger=$work/ack_clat.1.log
acked=$(grep -c . "$ledger")
[ "$acked" -gt 1000 ] || { say "only $acked writes were acknowledged"; exit 1; }
say "fio had $acked writes acknowledged; the rest of its job failed, as it should."

chapter "Opening again: the log is rolled forward by itself"
serve
sed "s|$work/||g; s/^/     /" "$work/server.log"
say "What the new server counts (lbs stat has all of it):"
lbs stat "$store" >"$work/stat"
grep -E '^(.*served by|  (replay|segments|last record|durable record|io err|integ))' "$work/stat" |
	sed "s|$work/||g; s/^/     /"

chapter "Every acknowledged write is there"
{
	echo "fio version 2 iolog"
	echo "disk add"
	echo "disk open"
	awk -F', *' '$3 == 1 { print "disk read", $5, $4 }' "$ledger"
	echo "disk close"
} >"$work/replay"
(cd "$work" && fio --name=verify --ioengine=nbd "--uri=$uri" --read_iolog="$work/replay" \
	--verify=crc32c --verify_fatal=1 --iodepth=16) >"$work/fio.log" 2>&1
read_back=$(sed -n 's/.*issued rwts: total=\([0-9]*\),.*/\1/p' "$work/fio.log")
[ "$read_back" = "$acked" ] || { say "read $read_back of $acked"; exit 1; }
say "fio read $read_back blocks back and found the checksum of each right."

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
