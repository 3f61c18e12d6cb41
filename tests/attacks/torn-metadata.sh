#!/bin/bash
# torn-metadata.sh
# attack: not an attack: internal flash fails in the middle of corp.lbs
# claim: internal flash: `corp.lbs` and its log `corp.lbs-wal`
# expect: `corrupt-metadata`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
noise 8192 | put corp.lbs 5000
refused corrupt-metadata
