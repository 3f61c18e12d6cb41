#!/bin/bash
# appended-other-segment.sh
# attack: copies records of another segment behind the end of the log
# claim: append old or foreign records
# expect: opens, nothing is lost
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
read -r last last_length < <(lab records $(log_end) $MIB | tail -n 1)
read -r file at < <(log_end)
read -r other from < <(lab frame 399)
from=$((from / MIB * MIB))
bytes "$other" $((from + 4096)) 100000 | put "$file" $(((last + last_length + 4095) / 4096 * 4096))
opens
