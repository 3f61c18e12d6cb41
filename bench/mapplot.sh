#!/bin/bash
# mapplot.sh - draws what the map costs internal flash, per GiB written, as
# bench/mapload measures it now, and as it was while all regions folded at about
# the same time (bench/map-before). Must never judge.
#
#   bench/mapplot.sh OUT.svg        two or three minutes; tables in build/map
set -euo pipefail
out=$(realpath -m "${1:?usage: bench/mapplot.sh OUT.svg}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

now=build/map
mkdir -p "$now"
ram=$(mktemp -d /dev/shm/lbs-map.XXXXXX)
trap 'rm -rf "$ram"' EXIT
for run in "8 32" "64 160"; do
	set -- $run
	rm -f "$ram"/*
	build/bench/mapload random "$ram" "$1" "$2" "$now/random.$1"
done

panel() { # panel WHAT COLUMN VDISK-GIB LIMIT LIMIT-TITLE
	cat <<-GNUPLOT
	set title "vdisk of $3 GiB: $1"
	plot $4 title "$5" lw 1 dt 2 lc rgb "#a02020", \\
	  "bench/map-before/random.$3" using 1:(\$$2 > 0 ? \$$2 : 1/0) with lines title "before" lw 1 lc rgb "#a0a0a0", \\
	  "$now/random.$3" using 1:(\$$2 > 0 ? \$$2 : 1/0) with lines title "now" lw 2 lc rgb "#205080"
	GNUPLOT
}
gnuplot <<GNUPLOT
set terminal svg size 960,680 font "sans,11" background rgb "white"
set output "$out"
set multiplot layout 2,2 title "Internal flash under uniform random 4 KiB writes, from an empty vdisk on"
set xlabel "GiB written"
set yrange [0:*]
set grid lc rgb "#e0e0e0"
set key below horizontal
$(panel "MiB held per GiB mapped" 4 8 2.2 "promised")
$(panel "MiB held per GiB mapped" 4 64 2.2 "promised")
$(panel "% of the guest's bytes" 3 8 5 "aim")
$(panel "% of the guest's bytes" 3 64 10 "aim")
unset multiplot
GNUPLOT
