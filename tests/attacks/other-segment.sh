#!/bin/bash
# other-segment.sh
# attack: puts another store's segment in the place of one with live blocks
# claim: put in another store's card
# expect: opens with EIO on its blocks, or `data-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
read -r file at < <(lab frame 5)
at=$((at / MIB * MIB))
lost=$(lab blocks "$file" $at $MIB)
bytes "$work/foreign/card/0000.lbs" 0 $MIB | put "$file" $at
opens $lost
