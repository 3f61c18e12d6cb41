#!/bin/bash
# running-old-blocks.sh
# attack: puts old bytes over live blocks while the server runs
# claim: put back an old record, segment or file
# expect: EIO on exactly the blocks under them, then and after a restart
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
read -r file at < <(lab frame 50)
lost=$(lab blocks "$file" $at 65536)
serve
bytes "old-$file" $at 65536 | put "$file" $at
lab check $lost
stop
opens $lost
