#!/bin/bash
# zeroed-card.sh
# attack: zeroes all segments and leaves the card file
# claim: cut the tail of the log, or delete files
# expect: `data-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
for file in card/0*.lbs; do
	zeroes 2097152 | put "$file" 0
done
refused data-missing
