#!/bin/bash
# cut-flushed-tail.sh
# attack: zeroes the last flushed record
# claim: cut the tail of the log, or delete files
# expect: `data-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
read -r file _ < <(log_end)
read -r at length < <(lab records $(log_end) $MIB | tail -n 1)
zeroes $length | put "$file" $at
refused data-missing
