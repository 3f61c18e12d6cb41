#!/bin/bash
# micro.sh - how fast and how small: the figures of DESIGN.md, measured anew.
# Must never judge by time: it prints what it saw beside what is aimed at.
#
#   bench/micro.sh [--json FILE]        QUICK=1: a minute instead of ten
#
# Rates come from rounds that alternate between the things compared, as median
# and range; bytes and counts are exact. Beside LBS over NBD: nbdkit with luks and
# with nothing at all (what NBD costs), and qcow2 with LUKS under qemu-nbd.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

micro=build/bench/micro
plugin=$PWD/nbdkit-lbs-plugin.so
json=""
[ "${1:-}" != --json ] || json=${2:?--json needs a file}
if [ -n "${QUICK:-}" ]; then
	rounds=5 count=20000 written=1024 nbd_mib=128 disk_mib=512
else
	rounds=7 count=50000 written=8192 nbd_mib=512 disk_mib=1024
fi

ram=$(mktemp -d /dev/shm/lbs-micro.XXXXXX)
disk=$(mktemp -d "$PWD/build/lbs-micro.XXXXXX")
server=""
leave() {
	[ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
	rm -rf "$ram" "$disk"
}
trap leave EXIT
table=$disk/table
: >"$table"
say() { [ ! -t 2 ] || printf '\r\033[K%s' "$*" >&2; }
fresh() { rm -rf "$ram/d" && mkdir "$ram/d"; }

# ---- linked ------------------------------------------------------------------
say "linked: speed"
fresh
build/bench/speed "$ram/d" "$rounds" "$count" >>"$table"
linked() { say "linked: $1"; fresh; "$micro" "$@" >>"$table"; }
linked lone "$ram/d" 200
linked random "$ram/d" "$ram/d" 8 "$written"
linked random "$ram/d" "$ram/d" 64 "$written"
linked sequential "$ram/d" "$ram/d" 8 $((written / 2))
linked replay "$ram/d" 400
# The map alone, the data left out: from an empty vdisk to many times its size.
map_only() { say "map: $1"; fresh; build/bench/mapload "$1" "$ram/d" "$2" "$3" >>"$table"; }
map_only random 8 $((written / 256))
map_only sequential 8 $((written / 512))
map_only random 64 $((written / 51))

# ---- over NBD ------------------------------------------------------------------
serve() { # serve SOCKET NBDKIT-ARGUMENT...
	local socket=$1
	shift
	rm -f "$socket"
	nbdkit -f -U "$socket" "$@" 2>"$disk/nbdkit.log" &
	server=$!
	for _ in $(seq 200); do
		[ ! -S "$socket" ] || return 0
		sleep 0.05
	done
	cat "$disk/nbdkit.log" >&2
	return 1
}
finish() { kill -TERM "$server"; wait "$server" || true; server=""; }
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$server/stat"; }
fio_iops() { # fio_iops SOCKET RW BS MIB [FIO-OPTION]: iops
	fio --name=x --ioengine=nbd "--uri=nbd+unix:///?socket=$1" --rw="$2" --bs="$3" --iodepth=16 \
		--size="$4M" --randrepeat=0 ${5:+"$5"} --output-format=json --output="$disk/fio" >/dev/null 2>&1
	/usr/bin/python3 -c 'import json, sys
text = open(sys.argv[1]).read()
print(json.loads(text[text.index("{"):])["jobs"][0][sys.argv[2]]["iops"])' "$disk/fio" "${2#rand}"
}
# measure NAME RW BS [FIO-OPTION]: notes iops and, per GB of payload, server CPU
# seconds
measure() {
	local before after iops
	before=$(cpu_ticks)
	iops=$(fio_iops "$disk/s" "$2" "$3" "$nbd_mib" "${4:-}")
	after=$(cpu_ticks)
	echo "$1.$2 $iops $(awk -v t=$((after - before)) -v m="$nbd_mib" -v hz="$(getconf CLK_TCK)" \
		'BEGIN { print t / hz / (m * 1048576 / 1e9) }')" >>"$disk/nbd"
}
# What all compare with has written all its bytes before; so has a store once its
# log has come round. Filling is measured apart.
room=$((1200 + 2 * rounds * nbd_mib * 11 / 10))
lbs_store() { # lbs_store DIR CIPHER [--preallocate]
	mkdir -p "$1"
	./lbs create -q --size 1G --capacity "$((room + 512))M" --cipher "$2" --data "$1/card" \
		${3:+"$3"} "$1/b.lbs" >/dev/null 2>&1
}
luks_image() { # luks_image FORMAT OPTION...
	# Short, for the server derives the key while it is measured. qemu-img times
	# that, and on a noisy machine gives up every other time.
	local format=$1
	shift
	for try in $(seq 40); do
		! qemu-img create -q -f "$format" --object "secret,id=s,file=$disk/pass" \
			-o "$*" "$ram/d/luks.$format" 1G || return 0
	done
	return 1
}

: >"$disk/nbd"
printf micro >"$disk/pass"
fresh
lbs_store "$ram/d/lbs" chacha20poly1305 --preallocate
lbs_store "$ram/d/aes" aes256gcm --preallocate || true # where the processor has AES
luks_image luks key-secret=s,iter-time=10
luks_image qcow2 encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10
start() { # start CONTENDER: serves it on $disk/s
	case $1 in
	lbs | aes) serve "$disk/s" "$plugin" store="$ram/d/$1/b.lbs" ;;
	luks) serve "$disk/s" --filter=luks file "$ram/d/luks.luks" passphrase=+"$disk/pass" ;;
	null) serve "$disk/s" null 1G ;;
	qcow2)
		rm -f "$disk/s"
		qemu-nbd -t -k "$disk/s" --discard=unmap --object "secret,id=s,file=$disk/pass" --image-opts \
			"driver=qcow2,encrypt.key-secret=s,file.driver=file,file.filename=$ram/d/luks.qcow2" &
		server=$!
		until [ -S "$disk/s" ]; do sleep 0.05; done ;;
	esac
}
for round in $(seq "$rounds"); do
	say "over NBD on tmpfs: round $round of $rounds"
	for who in lbs luks null aes qcow2; do
		[ "$who" != aes ] || [ -e "$ram/d/aes/b.lbs" ] || continue
		start "$who"
		[ "$round" -gt 1 ] || [ "$who" = null ] ||
			fio_iops "$disk/s" write 1M 1000 >/dev/null
		measure "$who" randwrite 4k
		measure "$who" randread 4k
		[ "$who" = null ] || [ "$who" = aes ] || measure "$who" write 1M
		[ "$who" = null ] || [ "$who" = aes ] || measure "$who" read 1M
		finish
	done
done
room=$((1200 + rounds * (disk_mib + nbd_mib + 16) * 11 / 10))
for kind in full filling; do
	lbs_store "$disk/$kind" chacha20poly1305 "$([ $kind = filling ] || echo --preallocate)"
done
dd if=/dev/zero of="$disk/raw.img" bs=1M count=1024 conv=fdatasync status=none
# on_disk NAME NBDKIT-ARGUMENT...: random writes until the last is on the disk, for
# what stays in memory says nothing of a disk; those that are never flushed; and
# those with the flush that a guest's journal sends every so many writes
on_disk() {
	local name=$1
	shift
	serve "$disk/s" "$@"
	nbd_mib=$disk_mib measure "$name" randwrite 4k --end_fsync=1
	finish
	[ "$name" != disk-filling ] || return 0
	serve "$disk/s" "$@"
	measure "$name-memory" randwrite 4k
	finish
	sync
	serve "$disk/s" "$@"
	nbd_mib=16 measure "$name-flush" randwrite 4k --fsync=64
	finish
	sync
}
for round in $(seq "$rounds"); do
	say "over NBD on the disk: round $round of $rounds"
	on_disk disk-lbs "$plugin" store="$disk/full/b.lbs"
	on_disk disk-raw file "$disk/raw.img"
	on_disk disk-filling "$plugin" store="$disk/filling/b.lbs"
done
fresh
lbs_store "$ram/d/lbs" chacha20poly1305
serve "$disk/s" "$plugin" store="$ram/d/lbs/b.lbs"
fio --name=x --ioengine=nbd "--uri=nbd+unix:///?socket=$disk/s" --rw=randwrite --bs=128k --iodepth=16 \
	--size=1G >/dev/null 2>&1
awk '/VmHWM/ { print $2 / 1024 }' "/proc/$server/status" >"$disk/hwm"
finish
say ""

/usr/bin/python3 - "$table" "$disk/nbd" "$(cat "$disk/hwm")" "$json" <<'PYTHON'
import json, statistics, sys
table, nbd, hwm, out = sys.argv[1:]
aims = {
    "write_share": ">= 50, then 55", "read_share": ">= 50, then 65", "write_16_share": ">= 70",
    "write_2_share": ">= 1.6 times one's", "lone_card_bytes": "<= 8192",
    "lone_card_syncs": "1", "lone_meta_commits": "1", "lone_meta_bytes": "<= 4608",
    "random_8_card": "<= 1.04", "random_8_flash": "<= 5", "random_64_flash": "<= 10",
    "random_8_held": "<= 2.2", "random_64_held": "<= 2.2", "sequential_8_held": "far less",
    "map_random_8_flash_mean": "<= 5", "map_random_64_flash_mean": "<= 10",
    "map_random_8_flash_max": "<= 5", "map_random_64_flash_max": "<= 10",
    "map_random_8_held_max": "<= 2.2", "map_random_64_held_max": "<= 2.2",
    "map_sequential_8_held_max": "far less",
    "replay_read": "<= 64", "nbd_randwrite_iops": ">= 1, then 1.25", "nbd_randread_iops": ">= 1, then 1.1",
    "nbd_randwrite_cpu": "<= 1", "nbd_randread_cpu": "<= 1",
    "nbd_randwrite_cpu_floor": "<= 1", "nbd_randread_cpu_floor": "<= 1",
    "nbd_write_luks": ">= 1", "nbd_read_luks": ">= 1", "nbd_write_qcow2": ">= 1.5", "nbd_read_qcow2": ">= 1.5",
    "disk_randwrite_iops": ">= 1, then 1.5", "server_resident": "<= 48 + map",
}
rows = []
for line in open(table):
    name, median, low, high, rounds, unit = line.rstrip("\n").split("\t")
    rows.append((name, float(median), float(low), float(high), int(rounds), unit))
seen = {}
for line in open(nbd):
    name, iops, cpu = line.split()
    seen.setdefault(name, []).append((float(iops), float(cpu)))
def ratio(name, ours, theirs, column, unit):
    v = [a[column] / b[column] for a, b in zip(seen[ours], seen[theirs])]
    rows.append((name, statistics.median(v), min(v), max(v), len(v), unit))
cipher = {rw: 1e9 / 4096 / next(m for n, m, *_ in rows if n == figure)
          for rw, figure in (("randwrite", "write_cipher"), ("randread", "read_cipher"))}
for rw in "randwrite", "randread":
    ratio("nbd_%s_iops" % rw, "lbs." + rw, "luks." + rw, 0, "of luks's IOPS")
    ratio("nbd_%s_cpu" % rw, "lbs." + rw, "luks." + rw, 1, "of luks's CPU time")
    v = [a[1] / (b[1] + 1.6 * cipher[rw]) for a, b in zip(seen["lbs." + rw], seen["null." + rw])]
    rows.append(("nbd_%s_cpu_floor" % rw, statistics.median(v), min(v), max(v), len(v),
                 "of null's and 1.6 ciphers' CPU"))
    for who in "lbs", "luks", "null", "qcow2":
        v = [c for _, c in seen[who + "." + rw]]
        rows.append(("nbd_%s_cpu_%s" % (rw, who), statistics.median(v), min(v), max(v), len(v),
                     "CPU s per GB"))
    if "aes." + rw in seen:
        ratio("nbd_%s_aes" % rw, "aes." + rw, "luks." + rw, 0, "of luks's IOPS, by aes256gcm")
for rw in "write", "read":
    for whom in "luks", "qcow2":
        ratio("nbd_%s_%s" % (rw, whom), "lbs." + rw, whom + "." + rw, 0, "of %s's MB/s, 1 MiB" % whom)
raw = "of a raw file's IOPS"
ratio("disk_randwrite_iops", "disk-lbs.randwrite", "disk-raw.randwrite", 0, raw)
ratio("disk_filling_iops", "disk-filling.randwrite", "disk-raw.randwrite", 0, raw)
ratio("disk_memory_iops", "disk-lbs-memory.randwrite", "disk-raw-memory.randwrite", 0,
      raw + ", never flushed")
ratio("disk_flush_iops", "disk-lbs-flush.randwrite", "disk-raw-flush.randwrite", 0, raw)
rows.append(("server_resident", float(hwm), float(hwm), float(hwm), 1, "MiB at most"))
print("%-28s %10s %10s %10s  %-32s %s" % ("figure", "median", "lowest", "highest", "unit", "aim"))
for name, median, low, high, rounds, unit in rows:
    print("%-28s %10.5g %10.5g %10.5g  %-32s %s" % (name, median, low, high, unit, aims.get(name, "")))
if out:
    json.dump({"schema": 1, "figures": [
        {"name": n, "median": m, "low": l, "high": h, "rounds": r, "unit": u, "aim": aims.get(n)}
        for n, m, l, h, r, u in rows]}, open(out, "w"), indent=1)
PYTHON
