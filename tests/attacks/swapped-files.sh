#!/bin/bash
# swapped-files.sh
# attack: exchanges the names of two chunk files
# claim: move, swap or copy blocks, records, segments, files
# expect: `data-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
mv card/0000.lbs card/x
mv card/0001.lbs card/0000.lbs
mv card/x card/0001.lbs
refused data-missing
