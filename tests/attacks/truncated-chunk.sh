#!/bin/bash
# truncated-chunk.sh
# attack: cuts a chunk file short
# claim: cut the tail of the log, or delete files
# expect: `data-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
truncate -s 1000000 card/0000.lbs
refused data-missing
