#!/bin/bash
# malformed-index.sh
# attack: writes trailers with extreme lengths over the ends of all segments
# claim: malformed records against the code that rolls forward
# expect: opens or `data-missing`; never wrong data; memory and time bounded
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for length in ff,ff,ff,ff 00,00,00,00 58,00,00,00 c0,ff,0f,00; do
	rm -rf "$work/it" "$work/foreign"
	take killed
	for ((i = 0; i < 6; i++)); do
		{ printf 'LBSidx1\0'; printf "\\x${length//,/\\x}"; zeroes 4; noise 8; zeroes 8; } |
			put card/000$((i / 2)).lbs $((i % 2 * MIB + MIB - 32))
	done
	either data-missing damaged
done
