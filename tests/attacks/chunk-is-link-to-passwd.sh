#!/bin/bash
# chunk-is-link-to-passwd.sh
# attack: puts a link to /etc/passwd in the place of a chunk file
# claim: links, pipes, directories instead of files
# expect: `io`, at once; what the link names is neither read nor written
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
ln -sf /etc/passwd card/0000.lbs
refused io
