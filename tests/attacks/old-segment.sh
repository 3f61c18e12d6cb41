#!/bin/bash
# old-segment.sh
# attack: puts back the earlier use of a segment with live blocks and the anchor's record
# claim: put back an old record, segment or file
# expect: `stale-card`, or EIO on its blocks where the anchor lies elsewhere
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
read -r file at < <(lab frame 50)
at=$((at / MIB * MIB))
lost=$(lab blocks "$file" $at $MIB)
bytes "old-$file" $at $MIB | put "$file" $at
opens $lost
