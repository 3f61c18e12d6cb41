#!/bin/bash
# huge-chunk.sh
# attack: makes a chunk file 8 GiB of hole
# claim: malformed records against the code that rolls forward
# expect: opens, nothing is lost; what is not segments is not looked at
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
truncate -s 8G card/0000.lbs
serve --read-only
lab check
stop
opens
