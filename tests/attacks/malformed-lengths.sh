#!/bin/bash
# malformed-lengths.sh
# attack: writes record prefixes with every extreme length behind the end of the log
# claim: malformed records against the code that rolls forward
# expect: opens, nothing is lost; memory and time bounded
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
read -r last last_length < <(lab records $(log_end) $MIB | tail -n 1)
read -r file _ < <(log_end)
cp "$file" "$work/pristine"
end=$((last + last_length))
# record_bytes and description bytes
for lengths in ff,ff,ff,ff,ff,ff 00,00,00,00,00,00 ff,ff,ff,7f,30,00 00,00,00,80,30,04 \
	58,10,00,00,30,00 18,00,00,00,00,00 ff,ff,0f,00,30,04; do
	cp "$work/pristine" "$file"
	{ printf 'LBSr'; printf "\\x${lengths//,/\\x}"; zeroes 6; noise 8000; } >"$work/record"
	put "$file" $end <"$work/record"
	put "$file" $(((end + 4095) / 4096 * 4096)) <"$work/record"
	serve --read-only
	lab check
	stop
done
opens
