#!/bin/bash
# other-chunk-files.sh
# attack: puts another store's chunk files under this one's card file
# claim: put in another store's card
# expect: `data-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
cp "$work"/foreign/card/0*.lbs card/
refused data-missing
