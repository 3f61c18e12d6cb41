#!/bin/bash
# dropped-record.sh
# attack: closes up the log over a record that it takes out
# claim: move, swap or copy blocks, records, segments, files
# expect: `data-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
read -r file _ < <(log_end)
read -r at length < <(nth 30)
bytes "$file" $((at + length)) $((MIB / 2)) >"$work/rest"
put "$file" $at <"$work/rest"
refused data-missing
