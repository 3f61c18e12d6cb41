#!/bin/bash
# client-lies.sh
# attack: sends requests that are ill-formed, far too long, beyond the end, and hangs up in the middle
# claim: NBD clients
# expect: an error to that client or its connection's end; others are served, the data is right
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$work"
/usr/bin/python3 "$here/../fuzz/nbd_fuzz.py" --seconds 5 --seed ${SEED:-1}
