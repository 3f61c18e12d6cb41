#!/bin/bash
# process-death.sh
# attack: kills the server between write and flush
# claim: cut the tail of the log, or delete files
# expect: opens; nothing acknowledged is lost (one informational line)
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take tail same-boot
opens
