#!/bin/bash
# chunk-is-directory.sh
# attack: puts a directory in the place of a chunk file
# claim: links, pipes, directories instead of files
# expect: `io`, at once; what the link names is neither read nor written
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
rm card/0000.lbs
mkdir card/0000.lbs
refused io
