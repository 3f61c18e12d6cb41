#!/bin/bash
# running-zeroed-log.sh
# attack: zeroes the segment that is being written, while the server writes
# claim: cut the tail of the log, or delete files
# expect: EIO on blocks that were in it, never wrong data; after the server's death `damaged`: later records are there
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
cp -a card mid-card
serve
lab write 5 700 50
lab flush
read -r file at < <(log_end)
zeroes $MIB | put "$file" $at
lab check $(seq 700 749)
lab write 5 760 10
lab check $(seq 700 749)
lab flush
kill_server
refused damaged
