#!/bin/bash
# running-pulled.sh
# attack: removes the data directory while the server writes
# claim: pull the card, fill it, make it fail
# expect: reads go on, writes work or give EIO; then `card-missing`, and with the card back all that was flushed is there
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
serve
lab write 5 700 10
lab flush
mv card aside
lab check
lab write 6 710 10 2>"$work/said" || true
lab check some
kill_server
refused card-missing
mv aside card
run_server "$(guest check)" || fault "$(cat "$work/out" "$work/server.log")"
echo "$name: all is there"
