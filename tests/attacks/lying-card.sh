#!/bin/bash
# lying-card.sh
# attack: confirms flushes and keeps only every second page of what was flushed last; in another boot
# claim: a card that lies about flushes
# expect: `damaged`: later records are there
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take killed
read -r file at < <(log_end)
read -r from _ < <(nth 40)
for ((page = (from + 4095) / 4096 * 4096; page < at + MIB; page += 8192)); do
	bytes "mid-$file" $page 4096 | put "$file" $page
done
refused damaged
