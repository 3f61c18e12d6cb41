#!/bin/bash
# swapped-records.sh
# attack: exchanges two records of the flushed log
# claim: move, swap or copy blocks, records, segments, files
# expect: `damaged`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
read -r file _ < <(log_end)
read -r a length < <(nth 30)
read -r b _ < <(nth 40)
bytes "$file" $a $length >"$work/a"
bytes "$file" $b $length | put "$file" $a
put "$file" $b <"$work/a"
refused damaged
