#!/bin/bash
# running-removed.sh
# attack: removes all chunk files while the server runs
# claim: cut the tail of the log, or delete files
# expect: the open files are served; after a restart `card-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
serve
rm card/0*.lbs
lab check
lab write 5 700 10
lab flush
lab check
stop
refused card-missing
