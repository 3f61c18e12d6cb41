#!/bin/bash
# appended-old-record.sh
# attack: copies an earlier record behind the end of the log
# claim: append old or foreign records
# expect: opens, nothing is lost and nothing older comes back
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
read -r file _ < <(log_end)
read -r at length < <(nth 60)
read -r last last_length < <(lab records $(log_end) $MIB | tail -n 1)
end=$((last + last_length))
bytes "$file" $at $length >"$work/record"
put "$file" $end <"$work/record"
put "$file" $(((end + length + 4095) / 4096 * 4096)) <"$work/record"
opens
