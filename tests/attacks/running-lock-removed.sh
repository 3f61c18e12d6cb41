#!/bin/bash
# running-lock-removed.sh
# attack: replaces the locked card file, so that a copy of the metadata opens the same card, too
# claim: Keys, as they are now
# expect: both get errors at worst, and no wrong data: their keys differ
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
mkdir "$work/twin"
cp -a corp.lbs truth "$work/twin"
cp card/card.lbs card/x
serve
lab write 5 700 20
lab flush
first=$server first_uri=$uri
mv card/x card/card.lbs
export uri="nbd+unix:///?socket=$work/twin/sock"
cd "$work/twin"
"$bin/lbs-nbd" -f --socket "$work/twin/sock" --data "$work/it/card" corp.lbs 2>"$work/twin.log" &
helpers+=($!)
for _ in $(seq 60); do
	[ ! -S sock ] || break
	sleep 0.05
done
if truth=$PWD/truth lab flush 2>/dev/null; then
	truth=$PWD/truth lab write 6 800 20 || true
	truth=$PWD/truth lab flush || true
	truth=$PWD/truth lab check some
else
	echo "the twin is refused: $(grep -o '\[.*\]' "$work/twin.log" | head -n 1)"
fi
kill -9 "${helpers[@]}" 2>/dev/null || true
wait "${helpers[@]}" 2>/dev/null || true
helpers=()
cd "$work/it"
export uri=$first_uri
server=$first
lab check some
lab write 5 750 20 || true
lab check some
kill_server
either stale-metadata stale-card data-missing damaged
