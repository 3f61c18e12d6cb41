#!/bin/bash
# running-old-record.sh
# attack: puts back the bytes under a record that was just flushed, while the server runs
# claim: put back an old record, segment or file
# expect: EIO on exactly its block; after the server's death `damaged`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
cp -a card mid-card
serve
lab write 5 700 10
lab flush
read -r file _ < <(log_end)
read -r at length < <(nth 4)
bytes "mid-$file" $at $length | put "$file" $at
lab check 703
kill_server
refused damaged
