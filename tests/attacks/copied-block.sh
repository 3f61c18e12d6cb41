#!/bin/bash
# copied-block.sh
# attack: puts a copy of a block's frame in the place of its neighbour
# claim: move, swap or copy blocks, records, segments, files
# expect: opens; EIO on exactly the neighbour
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
read -r file a < <(lab frame 20)
read -r other b < <(lab frame 21)
n=$(lab shortest 20 21)
bytes "$file" $a $n | put "$other" $b
opens 21
