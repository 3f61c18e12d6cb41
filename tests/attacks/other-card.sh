#!/bin/bash
# other-card.sh
# attack: puts in the card of another store
# claim: put in another store's card
# expect: `other-card`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
rm -r card
cp -a "$work/foreign/card" card
refused other-card
