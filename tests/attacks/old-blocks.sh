#!/bin/bash
# old-blocks.sh
# attack: puts back what lay in the place of some live blocks in an earlier use of the segment
# claim: put back an old record, segment or file
# expect: opens; EIO on exactly the blocks under it
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
read -r file at < <(lab frame 50)
cmp -s <(bytes "$file" $at 65536) <(bytes "old-$file" $at 65536) && fault "nothing was there"
bytes "old-$file" $at 65536 | put "$file" $at
opens $(lab blocks "$file" $at 65536)
