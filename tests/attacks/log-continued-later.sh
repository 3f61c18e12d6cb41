#!/bin/bash
# log-continued-later.sh
# attack: puts back a longer log of the same segment that another life had written
# claim: append old or foreign records
# expect: opens, nothing of the other life is there: its key is another
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
cp -a . "$work/other-life"
run_server "$(guest write 5 0 60) && $(guest flush)"
cd "$work/other-life"
export truth=$PWD/truth
serve
lab write 6 0 100
lab flush
kill_server
cd "$work/it"
export truth=$PWD/truth
for ((i = 0; i < 6; i++)); do
	# Only where this life has written nothing.
	file=card/000$((i / 2)).lbs at=$((i % 2 * MIB))
	cmp -s <(bytes old-$file $at 4096) <(bytes "$work/other-life/$file" $at 4096) && continue
	[ -z "$(lab blocks $file $at $MIB)" ] || continue
	bytes "$work/other-life/$file" $at $MIB | put $file $at
done
either stale-metadata
