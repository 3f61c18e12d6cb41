#!/bin/bash
# old-chunk-file.sh
# attack: puts back an old copy of one chunk file
# claim: put back an old record, segment or file
# expect: opens with EIO on blocks that changed, or `stale-card`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
cp old-card/0000.lbs card/0000.lbs
either stale-card
