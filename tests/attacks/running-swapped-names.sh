#!/bin/bash
# running-swapped-names.sh
# attack: exchanges the names of two chunk files while the server runs
# claim: move, swap or copy blocks, records, segments, files
# expect: the open files are served; after a restart `data-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
serve
mv card/0000.lbs card/x
mv card/0001.lbs card/0000.lbs
mv card/x card/0001.lbs
lab check
stop
refused data-missing
