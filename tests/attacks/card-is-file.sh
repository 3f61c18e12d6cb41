#!/bin/bash
# card-is-file.sh
# attack: puts a file in the place of the data directory
# claim: links, pipes, directories instead of files
# expect: `card-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
rm -r card
noise 5000 >card
refused card-missing
