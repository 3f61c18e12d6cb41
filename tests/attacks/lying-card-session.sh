#!/bin/bash
# lying-card-session.sh
# attack: confirms flushes and keeps nothing of a session; in another boot
# claim: a card that lies about flushes
# expect: `stale-card`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
rm -r card
cp -a mid-card card
refused stale-card
