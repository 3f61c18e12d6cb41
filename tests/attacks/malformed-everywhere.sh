#!/bin/bash
# malformed-everywhere.sh
# attack: fills the rest of the log's segment with record prefixes at each multiple of 8
# claim: malformed records against the code that rolls forward
# expect: opens, nothing is lost; memory and time bounded
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
read -r last last_length < <(lab records $(log_end) $MIB | tail -n 1)
read -r file _ < <(log_end)
end=$(((last + last_length + 4095) / 4096 * 4096))
printf 'LBSr\x60\x10\x00\x00\x30\x00\x00\x00\x00\x00\x00\x00LBSr\x60\x10\x00\x00' |
	/usr/bin/python3 -c "import sys; sys.stdout.buffer.write((sys.stdin.buffer.read() * $MIB)[:$MIB - $end % $MIB])" |
	put "$file" $end
serve --read-only
lab check
stop
opens
