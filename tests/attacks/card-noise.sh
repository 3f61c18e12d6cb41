#!/bin/bash
# card-noise.sh
# attack: writes noise over all of the card
# claim: flip bits, overwrite sectors
# expect: `data-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
for file in card/*.lbs; do
	noise $(stat -c %s "$file") | put "$file" 0
done
refused data-missing
