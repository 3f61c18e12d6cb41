#!/bin/bash
# appended-foreign-record.sh
# attack: copies another store's records behind the end of the log
# claim: append old or foreign records
# expect: opens, nothing is lost
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
read -r last last_length < <(lab records $(log_end) $MIB | tail -n 1)
read -r file _ < <(log_end)
bytes "$work/foreign/card/0000.lbs" 4096 100000 | put "$file" $(((last + last_length + 4095) / 4096 * 4096))
opens
