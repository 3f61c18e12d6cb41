#!/bin/bash
# running-writes-fail.sh
# attack: makes a write to the card fail, once
# claim: pull the card, fill it, make it fail
# expect: EIO, and no write until the store is opened anew; what was acknowledged before is there
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
with_faults
lab write 5 700 10
faults write
cp truth before
fails 'Input/output' write 6 720 1
faults none
cp before truth
fails 'Input/output' write 6 720 1
cp before truth
lab check
stop 1
opens
