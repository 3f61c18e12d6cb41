#!/bin/bash
# card-of-last-flush-same-boot.sh
# attack: puts back the card of the last flush within one boot
# claim: `corp.lbs.run`, the lock file beside it
# expect: `data-missing`: the kernel had taken what was acknowledged
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take tail same-boot
rm -r card
cp -a flushed-card card
refused data-missing
