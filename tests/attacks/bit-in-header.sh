#!/bin/bash
# bit-in-header.sh
# attack: flips a bit of the header of a segment with live blocks
# claim: flip bits, overwrite sectors
# expect: opens, nothing is lost: keys do not come from the card
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
read -r file at < <(lab frame 5)
flip "$file" $((at / MIB * MIB + 70))
opens
