#!/bin/bash
# running-bit.sh
# attack: flips a bit of a block while the server runs, and flips it back
# claim: flip bits, overwrite sectors
# expect: EIO on exactly that block as long as it lasts
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
read -r file at < <(lab frame 7)
serve
lab check
flip "$file" $((at + 2000))
lab check 7
flip "$file" $((at + 2000))
lab check
flip "$file" $((at + 2000))
stop
opens 7
