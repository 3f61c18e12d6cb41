#!/bin/bash
# cut-unflushed-tail.sh
# attack: zeroes half of what was written after the last flush, in another boot
# claim: cut the tail of the log, or delete files
# expect: opens with a torn tail: a prefix of the unflushed writes (one informational line)
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take tail
read -r file _ < <(log_end)
read -r at _ < <(lab records $(log_end) $MIB | tail -n 10 | head -n 1)
zeroes $((MIB - at % MIB)) | put "$file" $at
run_server "$(guest check prefix 700 20)" || fault "$(cat "$work/out" "$work/server.log")"
echo "$name: opens; $(cat "$work/out")"
