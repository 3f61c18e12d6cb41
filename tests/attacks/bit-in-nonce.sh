#!/bin/bash
# bit-in-nonce.sh
# attack: flips one bit of the random value before a block
# claim: flip bits, overwrite sectors
# expect: opens; EIO on exactly that block
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
read -r file at < <(lab frame 399)
flip "$file" "$at"
opens 399
