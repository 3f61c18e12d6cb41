#!/bin/bash
# running-card-file.sh
# attack: writes noise over the card file while the server runs, then removes it
# claim: cut the tail of the log, or delete files
# expect: served; after a restart `card-missing`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
serve
noise 8192 | put card/card.lbs 0
lab write 5 700 10
lab flush
rm card/card.lbs
lab check
stop
refused card-missing card-file
