#!/bin/bash
# old-card-cleaned.sh
# attack: puts back the card as it was before a session that only cleaned: the log is the same
# claim: put back an older copy of the whole card
# expect: `stale-card`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
# Segments that are partly dead.
run_server "$(guest discard 20 150) && $(guest discard 200 150) && $(guest flush)" ||
	fault "$(cat "$work/out" "$work/server.log")"
cp -a card before
"$bin/lbs" clean --json --data card corp.lbs >"$work/said"
grep -q '"bytes_moved": [1-9]' "$work/said" || fault "nothing was moved: $(cat "$work/said")"
rm -r card
mv before card
refused stale-card
