#!/bin/bash
# card-file-is-link.sh
# attack: moves the card file away and leaves a link to it
# claim: links, pipes, directories instead of files
# expect: `io`, at once; what the link names is neither read nor written
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
mv card/card.lbs "$work/aside"
ln -s "$work/aside" card/card.lbs
refused io
