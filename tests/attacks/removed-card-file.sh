#!/bin/bash
# removed-card-file.sh
# attack: removes the card file
# claim: cut the tail of the log, or delete files
# expect: `card-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
rm card/card.lbs
refused card-missing card-file
