#!/bin/bash
# old-card.sh
# attack: puts back a copy of the whole card from two sessions ago; the store was closed
# claim: put back an older copy of the whole card
# expect: `stale-card`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
rm -r card
cp -a old-card card
refused stale-card
