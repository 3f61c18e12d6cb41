#!/bin/bash
# running-reads-fail.sh
# attack: makes every read of the card fail, and stop failing
# claim: pull the card, fill it, make it fail
# expect: EIO on every block with data as long as it lasts, all right afterwards
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
with_faults
faults read
lab check $(lab blocks card/0000.lbs 0 $((2 * MIB))) $(lab blocks card/0001.lbs 0 $((2 * MIB)))
faults none
lab check
stop
opens
