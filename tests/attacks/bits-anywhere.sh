#!/bin/bash
# bits-anywhere.sh
# attack: flips 30 bits at random places of a card with a log to roll forward
# claim: flip bits, overwrite sectors
# expect: opens with EIO on some blocks or `damaged`, `data-missing`; never wrong data (SEED=N repeats one)
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for try in 1 2 3 4; do
	RANDOM=${SEED:=$RANDOM$RANDOM}
	echo "SEED=$SEED"
	SEED=""
	rm -rf "$work/it" "$work/foreign"
	if [ $((try % 2)) = 0 ]; then take closed; else take killed; fi
	for _ in $(seq 30); do
		flip card/000$((RANDOM % 3)).lbs $((RANDOM * 32768 % (2 * MIB) + RANDOM))
	done
	either damaged data-missing stale-card
done
