#!/bin/bash
# newer-format.sh
# attack: not an attack: a later version made the store, or uses a feature that must not be ignored
# claim: `newer-format`
# expect: `newer-format`, and a feature that may be ignored is kept
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
for change in "format_version=2" "format_version=4294967297" "features_must=1" "features_must=-9223372036854775808"; do
	cp corp.lbs "$work/kept"
	sqlite3 corp.lbs "UPDATE store SET $change"
	refused newer-format
	cp "$work/kept" corp.lbs
done
sqlite3 corp.lbs "UPDATE store SET features_may=5"
opens
[ "$(sqlite3 corp.lbs 'SELECT features_may FROM store')" = 5 ] || fault "the mask was not kept"
