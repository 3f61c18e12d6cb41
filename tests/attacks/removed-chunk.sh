#!/bin/bash
# removed-chunk.sh
# attack: removes a chunk file
# claim: cut the tail of the log, or delete files
# expect: `card-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
rm card/0001.lbs
refused card-missing
