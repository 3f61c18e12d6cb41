#!/bin/bash
# card-file-is-pipe.sh
# attack: puts a pipe in the place of the card file
# claim: links, pipes, directories instead of files
# expect: `io`, at once; what the link names is neither read nor written
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
rm card/card.lbs
mkfifo card/card.lbs
refused io
