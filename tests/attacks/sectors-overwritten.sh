#!/bin/bash
# sectors-overwritten.sh
# attack: writes noise over eight sectors that lie in some blocks
# claim: flip bits, overwrite sectors
# expect: opens; EIO on exactly the blocks under them
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
read -r file at < <(lab frame 100)
at=$((at / 512 * 512 + 512))
lost=$(lab blocks "$file" $at 4096)
noise 4096 | put "$file" $at
opens $lost
