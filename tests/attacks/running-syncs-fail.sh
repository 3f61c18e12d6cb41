#!/bin/bash
# running-syncs-fail.sh
# attack: makes a sync of the card fail, once
# claim: pull the card, fill it, make it fail
# expect: the flush gives EIO, and so do all after it; opened anew, all that was acknowledged is there
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
with_faults
lab write 5 700 10
faults sync
fails 'Input/output' flush
faults none
fails 'Input/output' flush
cp truth before
fails 'Input/output' write 6 720 1
cp before truth
lab check
stop 1
opens
