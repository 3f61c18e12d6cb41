#!/bin/bash
# fuse.sh - the FUSE file beside a plain file through FUSE (bench/passthrough.c), in
# one run: 4 KiB random writes at depth 8, and what else a hypervisor asks for.
# Must never judge by time: it prints what it saw beside what is aimed at.
#
#   bench/fuse.sh [--json FILE]        QUICK=1: a minute instead of five
#   ON=DIR: where card and plain file lie (default build/, a disk; /dev/shm: memory)
#   LBS_FUSE=build/bench/lbs-fuse-nocipher: the same without the cipher, for what it takes
#
# Both mounts are up throughout; rounds alternate between them; median and range.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

json=""
[ "${1:-}" != --json ] || json=${2:?--json needs a file}
loads=("randwrite 4k 8")
rounds=5 seconds=2
[ -n "${QUICK:-}" ] || loads+=("randread 4k 8" "randwrite 4k 1" "write 1m 4" "read 1m 4")
mib=512
work=$(mktemp -d "${ON:-$PWD/build}/lbs-fuse.XXXXXX")
pids=()
leave() {
	umount -l "$work/lbs" "$work/plain" 2>/dev/null || true
	[ ${#pids[@]} -eq 0 ] || kill -TERM "${pids[@]}" 2>/dev/null || true
	wait
	rm -rf "$work"
}
trap leave EXIT
mkdir "$work/lbs" "$work/plain"
say() { [ ! -t 2 ] || printf '\r\033[K%s' "$*" >&2; }

# Both written once before, so that neither allocates while it is measured.
./lbs create -q --size ${mib}M --capacity $((4 * mib))M --preallocate --data "$work/card" "$work/corp.lbs" >/dev/null
"${LBS_FUSE:-./lbs-fuse}" -f -q "$work/corp.lbs" "$work/lbs" & pids+=($!)
dd if=/dev/zero of="$work/file" bs=1M count=$mib status=none
build/bench/passthrough "$work/file" "$work/plain" & pids+=($!)
for side in lbs plain; do
	for _ in $(seq 200); do [ ! -e "$work/$side/disk" ] || break; sleep 0.05; done
	dd if=/dev/urandom of="$work/$side/disk" bs=1M count=$mib conv=notrunc,fsync status=none
done

# once SIDE RW BS DEPTH: notes operations a second and the server's CPU time for each,
# in microseconds
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
once() {
	local server=${pids[0]} before after
	[ "$1" = lbs ] || server=${pids[1]}
	# Neither pays for the other's pages.
	[[ $2 != *write ]] || sync -f "$work/card"
	before=$(cpu_ticks "$server")
	fio --name=x --filename="$work/$1/disk" --rw="$2" --bs="$3" --iodepth="$4" --ioengine=libaio \
		--direct=1 --size=${mib}M --time_based --runtime="$seconds" --randrepeat=0 --norandommap \
		--output-format=json --output="$work/fio" >/dev/null
	after=$(cpu_ticks "$server")
	/usr/bin/python3 - "$work/fio" "$2" "$((after - before))" "$(getconf CLK_TCK)" <<'PYTHON' >>"$work/table.$1.$2.$3.$4"
import json, sys
job = json.load(open(sys.argv[1]))["jobs"][0][sys.argv[2].removeprefix("rand")]
print(job["iops"], int(sys.argv[3]) / int(sys.argv[4]) * 1e6 / max(job["total_ios"], 1))
PYTHON
}
for load in "${loads[@]}"; do
	for round in $(seq "$rounds"); do
		say "$load: round $round of $rounds"
		for side in lbs plain; do once $side $load; done
	done
done
say ""

/usr/bin/python3 - "$work" "$json" "${loads[@]}" <<'PYTHON'
import json, statistics, sys
work, path, loads = sys.argv[1], sys.argv[2], sys.argv[3:]
AIMS = {"randwrite 4k 8": 0.8}
rows = []
print(f"{'':16} {'lbs-fuse, a second':>28} {'plain file, a second':>28} {'of plain':>18}"
      f" {'CPU us each':>14}")
for load in loads:
    sides = []
    for side in "lbs", "plain":
        with open(f"{work}/table.{side}.{load.replace(' ', '.')}") as f:
            sides.append([tuple(map(float, line.split())) for line in f])
    iops = [[r[0] for r in side] for side in sides]
    ratios = [a / b for a, b in zip(*iops)]
    row = {"load": load, "aim": AIMS.get(load)}
    for name, values in ("lbs", iops[0]), ("plain", iops[1]), ("ratio", ratios):
        row[name] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    row["cpu_us"] = [statistics.median(r[1] for r in side) for side in sides]
    rows.append(row)
    cell = lambda v: f"{v['median']:9.0f} ({v['min']:.0f}-{v['max']:.0f})"
    r = row["ratio"]
    print(f"{load:16} {cell(row['lbs']):>28} {cell(row['plain']):>28}"
          f" {r['median']:6.2f} ({r['min']:.2f}-{r['max']:.2f})"
          f" {row['cpu_us'][0]:6.1f} {row['cpu_us'][1]:6.1f}"
          + (f"   aim {row['aim']}" if row["aim"] else ""))
if path:
    with open(path, "w") as f:
        json.dump({"schema": 1, "rows": rows}, f, indent=2)
PYTHON
