#!/bin/bash
# old-metadata.sh
# attack: not an attack: an old copy of corp.lbs is restored beside the newer card
# claim: Keys, as they are now
# expect: `stale-metadata`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
rm -f corp.lbs-wal
cp old.lbs corp.lbs
refused stale-metadata
