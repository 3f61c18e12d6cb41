#!/bin/bash
# zip.sh - what compression saves and costs, on a real file system: an ext4 image made
# from this machine's /usr, imported over NBD, read back, and lone synchronous writes
# of blocks of it. Stores lie in memory, so rates are the processor's.
# Must never judge by time: it prints what it saw.
#
#   bench/zip.sh [--json FILE]        QUICK=1: 96 MiB of files instead of 512
#   bench/zip.sh --lengths            what the image's blocks become, for
#                                     bench/oncard/blocks.c
#
# Rates come from rounds that alternate between the methods, as median and range;
# bytes are exact.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

json=""
lengths=build/bench/oncard/oncard
[ "${1:-}" != --lengths ] || [ -x $lengths ] || { echo "zip.sh: $lengths is missing: make bench-tools" >&2; exit 1; }
[ "${1:-}" != --json ] || json=${2:?--json needs a file}
if [ -n "${QUICK:-}" ]; then
	rounds=1 mib=96
else
	rounds=5 mib=512
fi
ram=$(mktemp -d /dev/shm/lbs-zip.XXXXXX)
trap 'rm -rf "$ram"' EXIT
seen=$ram/seen
say() { [ ! -t 2 ] || printf '\r\033[K%s' "$*" >&2; }

# Every n-th file in the order of their names, until there is enough: programs,
# libraries, text, pictures as they come.
say "making the image"
mkdir "$ram/tree"
find /usr/bin /usr/lib /usr/share -xdev -type f -size -8M -printf '%s %p\n' 2>/dev/null |
	LC_ALL=C sort -k 2 >"$ram/all"
awk -v n=$((mib > 256 ? 5 : 25)) -v room=$((mib << 20)) 'NR % n == 1 {
	used += int(($1 + 4095) / 4096) * 4096
	if (used < room) { sub(/^[0-9]+ /, ""); print }
}' "$ram/all" >"$ram/some"
tar -C / -cf - -T "$ram/some" 2>/dev/null | tar -C "$ram/tree" -xf -
mke2fs -q -t ext4 -b 4096 -i 4096 -d "$ram/tree" "$ram/image" $((mib * 3 / 2))M
rm -rf "$ram/tree"
if [ "${1:-}" = --lengths ]; then
	say ""
	$lengths lengths "$ram/image"
	exit
fi

# figure NAME METHOD VALUE
figure() { echo "$*" >>"$seen"; }
# seconds COMMAND...: how long it took
seconds() {
	local begun=$EPOCHREALTIME
	"$@" >/dev/null
	awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'
}
counter() { /usr/bin/python3 -c 'import json, sys
print(json.load(sys.stdin)["counters"][sys.argv[1]])' "$1" <<<"$stat"; }
rate() { awk -v b="$1" -v s="$2" 'BEGIN { print b / s / 1e6 }'; }
quotient() { awk -v a="$1" -v b="$2" 'BEGIN { print a / b }'; }

# Lone synchronous writes, each a block of the image: card bytes by write.
lone='import json, nbd, os, subprocess
def card():
    return json.loads(subprocess.check_output(["./lbs", "stat", "--json", os.environ["store"]]))["counters"]["card_log_bytes"]
h = nbd.NBD()
h.connect_uri(os.environ["uri"])
image = open(os.environ["image"], "rb")
blocks = [b for b in (os.pread(image.fileno(), 4096, i * 4096 * 61) for i in range(2000)) if any(b)][:300]
h.pwrite(blocks[0], 0, nbd.CMD_FLAG_FUA)
before = card()
for b in blocks:
    h.pwrite(b, 0, nbd.CMD_FLAG_FUA)
print((card() - before) / len(blocks))'

for round in $(seq "$rounds"); do
	for method in none lz4 zstd; do
		say "round $round of $rounds: $method"
		rm -rf "$ram/d"
		mkdir "$ram/d"
		store=$ram/d/b.lbs
		./lbs create -q --size $((mib * 3 / 2))M --compress $method --preallocate \
			--data "$ram/d/card" "$store" >/dev/null
		empty=$(stat -c %s "$store")
		took=$(seconds ./lbs-nbd --run "nbdcopy --flush $ram/image \"\$uri\"" "$store")
		stat=$(./lbs stat --json "$store")
		guest=$(counter total_write_bytes)
		figure write_rate $method "$(rate "$guest" "$took")"
		took=$(seconds ./lbs-nbd --run 'nbdcopy "$uri" null:' "$store")
		figure read_rate $method "$(rate "$guest" "$took")"
		[ "$round" -eq 1 ] || continue
		figure card_bytes $method "$(quotient "$(counter total_card_log_bytes)" "$guest")"
		figure map_mib_per_gib $method \
			"$(quotient $((($(stat -c %s "$store") - empty) << 10)) "$guest")"
		./lbs-nbd --run "nbdcopy \"\$uri\" - | cmp -n $guest - $ram/image" "$store"
		export store image=$ram/image
		figure lone_write_bytes $method \
			"$(./lbs-nbd --run "/usr/bin/python3 -c '$lone'" "$store")"
	done
done
say ""

/usr/bin/python3 - "$seen" "$json" <<'PYTHON'
import json, statistics, sys
seen, out = sys.argv[1:]
units = {
    "card_bytes": "card bytes by guest byte, importing", "write_rate": "MB/s of guest data, importing",
    "read_rate": "MB/s, reading all of it", "lone_write_bytes": "card bytes by lone synchronous 4 KiB write",
    "map_mib_per_gib": "MiB of metadata file by GiB imported",
}
values = {}
for line in open(seen):
    name, method, value = line.split()
    values.setdefault((name, method), []).append(float(value))
print("%-18s %-6s %9s %9s %9s  %s" % ("figure", "method", "median", "lowest", "highest", "unit"))
rows = [(n, m, statistics.median(v), min(v), max(v), len(v)) for n in units
        for (k, m), v in values.items() if k == n]
for n, m, median, low, high, count in rows:
    print("%-18s %-6s %9.4g %9.4g %9.4g  %s" % (n, m, median, low, high, units[n]))
if out:
    json.dump({"schema": 1, "figures": [
        {"name": n, "method": m, "median": x, "low": l, "high": h, "rounds": c, "unit": units[n]}
        for n, m, x, l, h, c in rows]}, open(out, "w"), indent=1)
PYTHON
