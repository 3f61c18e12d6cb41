#!/bin/bash
# abi_test - the library's binary interface against the one that tests/abi keeps.
#
#   tests/abi_test.sh            fails where a program that was linked with the kept
#                                interface would break, or where the kept one is old
#   tests/abi_test.sh --write    keeps the present one (make abi)
#
# Until the first release anything may change, and "make abi" keeps it. Then what is
# added (a call, a field at the end of a structure with struct_size) has to be kept by
# "make abi" in the same commit, and what breaks needs another soname.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

lib=$(echo "${BUILD:-build}"/lib/liblbs.so.0.*)
kept=tests/abi/liblbs-$(uname -m).abi
values=tests/abi/values
# Constants are compiled into programs, and no call's type names them: their values.
list_values() {
	local names
	names=$(${CC:-cc} -fpreprocessed -dD -E -P liblbs/include/lbs.h | # without comments
		 grep -oE '\bLBS_[A-Z0-9_]+\b' |
		grep -vE '^LBS_(H|VERSION|STAT_COUNT)$' | sort -u)
	{
		printf '#include <lbs.h>\n#include <stdio.h>\nint main(void) {\n'
		printf 'printf("%%s %%d\\n", "%s", (int)%s);\n' $(for n in $names; do echo $n $n; done)
		printf 'return 0; }\n'
	} >"$1.c"
	${CC:-cc} -Iliblbs/include -o "$1.run" "$1.c"
	"$1.run" >"$1"
	rm "$1.run" "$1.c"
}
if ! command -v abidiff >/dev/null; then
	echo "abidiff is not installed"
	exit 77
fi
describe() {
	abidw --no-corpus-path --no-comp-dir-path --short-locs --no-show-locs --no-parameter-names \
		--headers-dir liblbs/include --drop-private-types --drop-undefined-syms --out-file "$1" "$lib"
}
if [ "${1:-}" = --write ]; then
	mkdir -p "$(dirname "$kept")"
	describe "$kept"
	list_values "$values"
	exit 0
fi
list_values "${BUILD:-build}/abi-values"
if ! changed=$(diff "$values" "${BUILD:-build}/abi-values"); then
	echo "$changed" | grep '^[<>]'
	if echo "$changed" | grep -q '^<'; then
		echo "FAULT: constants have changed or are gone; programs were compiled with them"
	else
		echo "FAULT: constants were added: 'make abi' keeps them"
	fi
	exit 1
fi
if [ ! -e "$kept" ]; then
	echo "no interface is kept for $(uname -m)"
	exit 77
fi
# Both described alike: what lbs.h does not show is no part of it.
now=${BUILD:-build}/liblbs.abi
describe "$now"
status=0
abidiff "$kept" "$now" || status=$?
# abidiff: 1 and 2 it failed, 4 something changed, 8 something broke.
if [ $((status & 3)) -ne 0 ]; then
	echo "abidiff failed"
elif [ $((status & 8)) -ne 0 ]; then
	echo "FAULT: programs that are linked with liblbs.so.0 would break"
elif [ "$status" -ne 0 ]; then
	echo "FAULT: the interface has changed: see above; if nothing breaks, 'make abi' keeps it"
fi
exit $status
