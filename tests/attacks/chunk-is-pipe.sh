#!/bin/bash
# chunk-is-pipe.sh
# attack: puts a pipe in the place of a chunk file
# claim: links, pipes, directories instead of files
# expect: `io`, at once; what the link names is neither read nor written
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
rm card/0000.lbs
mkfifo card/0000.lbs
refused io
