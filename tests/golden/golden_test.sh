#!/bin/bash
# golden_test.sh - the stores that earlier versions made (tests/golden/v*), opened by
# this one: every byte of the disk for reading and for writing, lbsck, a life
# afterwards; and what a later version might have made is refused, or kept.
. "$(dirname "${BASH_SOURCE[0]}")/../attacks/lib.sh"

# The same disk as when the store was made?
same_disk() {
	run_server "$@" 'nbdcopy "$uri" - | sha256sum' || fault "$(cat "$work/server.log")"
	[ "$(cut -d ' ' -f 1 "$work/out")" = "$wanted" ] || fault "$version $store: the disk differs ($*)"
}

golden() {
	rm -rf "$work/it"
	mkdir "$work/it"
	cd "$work/it"
	tar -xJf "$version/stores.tar.xz" --strip-components=1 "$store"
}

refused_as() {
	golden
	sqlite3 corp.lbs "UPDATE store SET $1"
	refused "$2" >/dev/null
	for command in info list; do
		! "$bin/lbs" $command corp.lbs >"$work/said" 2>&1 || fault "lbs $command opens a store with $1"
		grep -qF "[$2]" "$work/said" || fault "lbs $command says of $1: $(cat "$work/said")"
	done
}

checks=0
for version in "$here"/../golden/v*; do
	version=$(cd "$version" && pwd)
	for store in closed killed; do
		wanted=$(sed -n "s/ .*$store.disk//p" "$version/SHA256SUMS")
		golden
		before=$(state_of_files)
		same_disk --read-only
		checked || fault "$version $store: lbsck: $(cat "$work/ck" "$work/ck.err")"
		[ $store = closed ] || grep -q '"code": "roll-forward"' "$work/ck" || fault "$version $store: no log"
		[ "$before" = "$(state_of_files)" ] || fault "opened for reading, it was changed"
		same_disk --quiet
		same_disk --quiet
		checked || fault "$version $store, opened: lbsck: $(cat "$work/ck" "$work/ck.err")"
		# A life afterwards, from what is there.
		export truth=$work/it/truth
		run_server 'nbdcopy "$uri" truth'
		run_server "$(guest part 90 4093000 2000) && $(guest discard 300 4) && $(guest write 91 900 50)"
		opens >/dev/null
		checked || fault "$version $store, written to: lbsck: $(cat "$work/ck" "$work/ck.err")"

		refused_as features_must=1 newer-format
		refused_as "features_must=features_must|(1<<62)" newer-format
		refused_as format_version=format_version+1 newer-format
		golden
		sqlite3 corp.lbs "UPDATE store SET features_may=1<<40"
		same_disk --read-only
		same_disk --quiet
		[ "$(sqlite3 corp.lbs 'SELECT features_may FROM store')" = $((1 << 40)) ] ||
			fault "a feature that may be ignored was not kept"
		checks=$((checks + 1))
	done
done
[ $checks -gt 0 ] || fault "no golden store"
echo "$checks golden stores, 0 failed"
