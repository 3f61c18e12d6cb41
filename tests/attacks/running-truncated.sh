#!/bin/bash
# running-truncated.sh
# attack: cuts a chunk file short while the server runs
# claim: cut the tail of the log, or delete files
# expect: EIO on exactly the blocks behind the cut; then `data-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
lost=$(lab blocks card/0000.lbs 600000 $((2 * MIB)))
serve
truncate -s 600000 card/0000.lbs
lab check $lost
stop
refused data-missing
