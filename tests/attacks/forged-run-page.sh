#!/bin/bash
# forged-run-page.sh
# attack: not the card's: the hint in corp.lbs.run is noise, cut short, or of another store
# claim: `corp.lbs.run`, the lock file beside it
# expect: opens, nothing is lost: it says nothing then
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take tail same-boot
noise 4096 | put corp.lbs.run 4096
opens
for size in 0 5000; do
	truncate -s $size corp.lbs.run
	run_server --read-only "$(guest check)" || fault "$(cat "$work/out" "$work/server.log")"
	run_server "$(guest check)" || fault "$(cat "$work/out" "$work/server.log")"
done
cp "$work/foreign/corp.lbs.run" corp.lbs.run
opens
