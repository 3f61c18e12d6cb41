#!/bin/bash
# forked-metadata.sh
# attack: reads two cards that went on from one copy of card and metadata
# claim: Keys, as they are now
# expect: the same data in the same places gives other ciphertext: no nonce is used twice
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
cp -a card "$work/base"
cp -a . "$work/fork"
for twin in "$work/it" "$work/fork"; do
	cd "$twin"
	run_server "$(guest same)" || fault "$(cat "$work/server.log")"
done
mv "$work/it/card" "$work/seen-1"
mv card "$work/seen-2"
lab forks "$work/base" "$work/seen-1" "$work/seen-2"
echo "$name: nothing is the same"
