#!/bin/bash
# other-card-file.sh
# attack: puts another store's card file beside this one's chunk files
# claim: put in another store's card
# expect: `other-card`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
cp "$work/foreign/card/card.lbs" card/card.lbs
refused other-card
