#!/bin/bash
# layers_test - who may include whom, as DESIGN.md draws it; and that the public
# header compiles alone, as C and as C++.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

bad=0
fault() {
	echo "FAULT: $*"
	bad=$((bad + 1))
}

# may ROOM PATTERN: includes with quotes in ROOM match PATTERN, all of them.
may() {
	local found
	[ -d "$1" ] || return 0
	found=$(grep -rnE '^#include "' "$1" --include='*.[ch]' |
		grep -vE "#include \"($2)")
	[ -z "$found" ] || fault "$1 includes what it must not:"$'\n'"$found"
}
# only HEADER PATTERN: files that include <HEADER> match PATTERN, tests aside.
only() {
	local found
	found=$(grep -rlE "^#include <$1>" --include='*.[ch]' \
		crypto zip liblbs recovery frontends tools bench 2>/dev/null |
		grep -vE "^($2)")
	[ -z "$found" ] || fault "<$1> is included by $found"
}

may crypto 'crypto/'
may zip 'zip/'
may liblbs/format 'liblbs/format/|lbs\.h"'
may liblbs/medium 'liblbs/medium/|liblbs/error\.h|lbs\.h"'
may liblbs/meta 'liblbs/(meta|format)/|liblbs/error\.h|crypto/|lbs\.h"'
may liblbs/map 'liblbs/(map|meta|format)/|liblbs/error\.h|lbs\.h"'
may liblbs/log 'liblbs/(log|map|meta|medium|format)/|liblbs/error\.h|crypto/|zip/|lbs\.h"'
may liblbs 'liblbs/|crypto/|zip/|lbs\.h"'
may recovery 'recovery/|liblbs/|crypto/|lbs\.h"'
may frontends/common 'frontends/common/|lbs\.h"'
may frontends/nbd 'frontends/(nbd|common)/|lbs\.h"'
may frontends/fuse 'frontends/(fuse|common)/|lbs\.h"'
may bench/sdcard 'bench/sdcard/'
may tools 'tools/|recovery/|frontends/nbd/link\.h|frontends/fuse/serve\.h|lbs\.h"'

only sodium.h 'crypto/|bench/speed\.c'
only 'openssl/.*' 'crypto/bulk\.c'
only sqlite3.h 'liblbs/meta/'
only '(lz4|zstd)\.h' 'zip/zip\.c'
only nbdkit-plugin.h 'frontends/nbd/|bench/sdcard/plugin.c'
only 'fuse.*' 'frontends/fuse/|bench/passthrough.c'

header=liblbs/include/lbs.h
for line in "gcc -std=c99 -pedantic" "gcc -std=c11" "g++ -x c++ -std=c++11"; do
	set -- $line
	command -v "$1" >/dev/null || continue
	"$@" -Wall -Wextra -Werror -fsyntax-only "$header" || fault "$line does not take $header"
done

# Each file says at its top what it is; nothing is left to be done later.
while IFS= read -r file; do
	head -n 1 "$file" | grep -q '^/\*' || fault "$file does not open with a comment"
done < <(find crypto zip liblbs recovery frontends tools tests bench -name '*.[ch]')
found=$(grep -rnE '\b(TODO|FIXME|XXX)\b' --include='*.[ch]' crypto zip liblbs recovery frontends tools tests bench)
[ -z "$found" ] || fault "left to do: $found"

echo "$bad faults"
[ $bad -eq 0 ]
