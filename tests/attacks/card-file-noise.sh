#!/bin/bash
# card-file-noise.sh
# attack: writes noise over the card file
# claim: flip bits, overwrite sectors
# expect: opens, nothing is lost: the log alone decides
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
noise 8192 | put card/card.lbs 0
opens
