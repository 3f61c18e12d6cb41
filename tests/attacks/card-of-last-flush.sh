#!/bin/bash
# card-of-last-flush.sh
# attack: puts back the card of the last flush, in another boot
# claim: Freshness, exactly
# expect: opens: writes after the last flush are gone from the end, as by a power cut, and never more
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take tail
rm -r card
cp -a flushed-card card
run_server "$(guest check prefix 700 20)" || fault "$(cat "$work/out" "$work/server.log")"
echo "$name: opens; $(cat "$work/out")"
