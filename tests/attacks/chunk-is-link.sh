#!/bin/bash
# chunk-is-link.sh
# attack: moves a chunk file away and leaves a link to it
# claim: links, pipes, directories instead of files
# expect: `io`, at once; what the link names is neither read nor written
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
mv card/0000.lbs "$work/aside"
ln -s "$work/aside" card/0000.lbs
refused io
