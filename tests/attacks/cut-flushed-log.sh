#!/bin/bash
# cut-flushed-log.sh
# attack: zeroes the log from a flushed record on
# claim: cut the tail of the log, or delete files
# expect: `data-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
read -r file _ < <(log_end)
read -r at _ < <(nth 60)
zeroes $((MIB - at % MIB)) | put "$file" $at
refused data-missing
