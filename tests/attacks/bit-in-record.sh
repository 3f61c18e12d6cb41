#!/bin/bash
# bit-in-record.sh
# attack: flips a bit of a record in the middle of the flushed log
# claim: flip bits, overwrite sectors
# expect: `damaged`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
read -r file _ < <(log_end)
read -r at _ < <(nth 20)
flip "$file" $((at + 30))
refused damaged
