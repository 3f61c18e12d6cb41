#!/bin/bash
# card-of-last-checkpoint.sh
# attack: with --freshness checkpoint, puts back the card of the last checkpoint
# claim: Freshness, exactly
# expect: opens at the checkpoint, as SECURITY.md says; with --freshness flush it would be refused
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# A sync in the background, every five seconds, moves the anchor, too: then once
# more.
try=0
for freshness in checkpoint checkpoint checkpoint checkpoint flush; do
	[ $freshness = flush ] || [ $try != opened ] || continue
	rm -rf "$work/$freshness"
	mkdir "$work/$freshness"
	cd "$work/$freshness"
	"$bin/lbs" create -q "${GEOMETRY[@]}" --freshness $freshness --data card corp.lbs >/dev/null
	export truth=$PWD/truth
	truncate -s 4M truth
	run_server "$(guest write 1 0 100) && $(guest flush)"
	serve
	lab write 2 100 1
	lab flush
	cp truth truth-then
	cp -a card flushed-card
	lab write 2 200 2
	lab flush
	kill_server
	rm -r card corp.lbs.run
	mv flushed-card card
	if [ $freshness = flush ]; then
		refused data-missing
	else
		export truth=$PWD/truth-then
		! run_server "$(guest check)" || try=opened
		! grep -q FAULT "$work/out" || fault "$(cat "$work/out")"
	fi
done
[ $try = opened ] || fault "$(cat "$work/server.log")"
