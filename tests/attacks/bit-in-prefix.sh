#!/bin/bash
# bit-in-prefix.sh
# attack: flips a bit of a record's length in the middle of the flushed log
# claim: flip bits, overwrite sectors
# expect: `damaged`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
read -r file _ < <(log_end)
read -r at _ < <(nth 20)
flip "$file" $((at + 5))
refused damaged
