#!/bin/bash
# chunk-is-socket.sh
# attack: puts a socket in the place of a chunk file
# claim: links, pipes, directories instead of files
# expect: `io`, at once; what the link names is neither read nor written
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
rm card/0000.lbs
/usr/bin/python3 -c "import socket; socket.socket(socket.AF_UNIX).bind(\"card/0000.lbs\")"
refused io
