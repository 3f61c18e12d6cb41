#!/bin/bash
# bit-in-block.sh
# attack: flips one bit of a block's ciphertext
# claim: flip bits, overwrite sectors
# expect: opens; EIO on exactly that block, `damaged` in the log
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
read -r file at < <(lab frame 7)
flip "$file" $((at + 2000))
opens 7
