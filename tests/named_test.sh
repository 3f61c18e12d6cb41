#!/bin/bash
# named_test - the tests that the documents name are there: `restore:x` is test_x in
# tests/restore_test.c, as DESIGN.md says, and a test's file has the name it is given;
# and what all documents point to.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

documents="DESIGN.md FORMAT.md README.md SECURITY.md tests/README.md"
bad=0 named=0
fault() {
	echo "FAULT: $*"
	bad=$((bad + 1))
}

# named PREFIX FILE: what `PREFIX:x` says is run by FILE.
named() {
	local name
	for name in $(grep -ohE "\`$1:[a-z_]+" $documents | cut -d: -f2 | sort -u); do
		[ "$name" = x ] && continue
		named=$((named + 1))
		grep -q "cmocka_unit_test(test_$name)" "$2" ||
			fault "$1:$name is named, and not in $2"
	done
}

for suite in restore reuse recover fault beside full clean; do
	named $suite tests/${suite}_test.c
done
for suite in moves replay files posix; do
	named $suite tests/tamper_${suite}_test.c
done
for file in $(grep -ohE '\btests/[a-z0-9_/]+\.(c|py|sh)\b' $documents | sort -u); do
	named=$((named + 1))
	[ -e "$file" ] || fault "$file is named, and not there"
done

tests/links.sh ./*.md docs/*.md tests/*.md bench/*.md bench/sdcard/*.md || bad=$((bad + 1))

echo "$named names, $bad faults"
[ $bad -eq 0 ] && [ $named -gt 60 ]
