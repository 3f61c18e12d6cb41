#!/bin/bash
# metadata-without-wal.sh
# attack: not an attack: corp.lbs is restored without its log
# claim: Keys, as they are now
# expect: `stale-metadata`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
rm corp.lbs-wal
refused stale-metadata
