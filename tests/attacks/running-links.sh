#!/bin/bash
# running-links.sh
# attack: replaces the card's files by pipes and links while the server runs
# claim: links, pipes, directories instead of files
# expect: the open files are served; after a restart `io`
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
serve
ln -sf /etc/passwd card/0000.lbs
rm card/0001.lbs card/card.lbs
mkfifo card/0001.lbs card/card.lbs
lab check
lab write 5 700 10
lab flush
stop
refused io
