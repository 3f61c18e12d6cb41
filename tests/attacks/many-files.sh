#!/bin/bash
# many-files.sh
# attack: adds a thousand files with names like chunk files
# claim: malformed records against the code that rolls forward
# expect: opens, nothing is lost: the card is never listed
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
(cd card && for i in $(seq 1000 2000); do : >$i.lbs; done && noise 100000 >0099.lbs)
opens
