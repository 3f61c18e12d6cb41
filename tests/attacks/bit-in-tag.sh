#!/bin/bash
# bit-in-tag.sh
# attack: flips the last bit of a block's tag
# claim: flip bits, overwrite sectors
# expect: opens; EIO on exactly that block
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
read -r file at < <(lab frame 0)
flip "$file" $((at + 4119))
opens 0
