#!/bin/bash
# old-card-file.sh
# attack: puts back the old card file alone
# claim: put back an old record, segment or file
# expect: opens, nothing is lost: the log is whole
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
cp old-card/card.lbs card/card.lbs
opens
