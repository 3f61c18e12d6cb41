#!/bin/bash
# old-segment-of-log.sh
# attack: puts back the earlier bytes of the segment in which the log ends
# claim: put back an old record, segment or file
# expect: `stale-card`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
read -r file at < <(log_end)
bytes "mid-$file" $at $MIB | put "$file" $at
refused stale-card
