#!/bin/bash
# old-record.sh
# attack: puts back the bytes that lay in the place of a flushed record
# claim: put back an old record, segment or file
# expect: `damaged`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
read -r file _ < <(log_end)
read -r at length < <(nth 20)
bytes "mid-$file" $at $length | put "$file" $at
refused damaged
