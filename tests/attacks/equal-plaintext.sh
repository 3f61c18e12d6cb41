#!/bin/bash
# equal-plaintext.sh
# attack: reads the card after each of many sessions that write the same
# claim: read it all, as often as they like
# expect: no two places, and no place at two times, show the same ciphertext; no plaintext
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
for life in 1 2 3; do
	run_server "$(guest same)" || fault "$(cat "$work/server.log")"
	cp -a card "$work/seen-$life"
done
lab repeats "$work"/seen-*
echo "$name: nothing repeats"
