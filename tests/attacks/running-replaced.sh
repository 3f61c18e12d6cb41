#!/bin/bash
# running-replaced.sh
# attack: renames an old copy over a chunk file while the server runs
# claim: put back an old record, segment or file
# expect: the open file is served, all right; after a restart EIO on changed blocks or `stale-card`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
serve
cp old-card/0000.lbs card/x
mv card/x card/0000.lbs
lab check
lab write 5 700 10
lab flush
lab check
stop
either stale-card data-missing
