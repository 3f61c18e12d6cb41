#!/bin/bash
# removed-card.sh
# attack: removes the data directory
# claim: cut the tail of the log, or delete files
# expect: `card-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
rm -r card
refused card-missing
