#!/bin/bash
# moved-card-slot.sh
# attack: exchanges the two slots of the card file
# claim: move, swap or copy blocks, records, segments, files
# expect: opens, nothing is lost
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
bytes card/card.lbs 0 4096 >"$work/slot"
bytes card/card.lbs 4096 4096 | put card/card.lbs 0
put card/card.lbs 4096 <"$work/slot"
opens
