#!/bin/bash
# swapped-segments.sh
# attack: exchanges two segments with live blocks
# claim: move, swap or copy blocks, records, segments, files
# expect: `data-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
read -r a_file a < <(lab frame 1)
read -r b_file b < <(lab frame 399)
a=$((a / MIB * MIB)) b=$((b / MIB * MIB))
[ "$a_file $a" != "$b_file $b" ] || fault "one segment only"
bytes $a_file $a $MIB >"$work/a"
bytes $b_file $b $MIB >"$work/b"
put $a_file $a <"$work/b"
put $b_file $b <"$work/a"
refused data-missing
