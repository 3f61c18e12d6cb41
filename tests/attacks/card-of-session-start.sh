#!/bin/bash
# card-of-session-start.sh
# attack: puts back the card as it was when the last session began
# claim: put back an older copy of the whole card
# expect: `stale-card`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
rm -r card
cp -a mid-card card
refused stale-card
