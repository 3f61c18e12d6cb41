#!/bin/bash
# swapped-blocks.sh
# attack: exchanges the frames of two blocks
# claim: move, swap or copy blocks, records, segments, files
# expect: opens; EIO on exactly these two
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
read -r file a < <(lab frame 10)
read -r other b < <(lab frame 350)
n=$(lab shortest 10 350)
bytes "$file" $a $n >"$work/a"
bytes "$other" $b $n >"$work/b"
put "$file" $a <"$work/b"
put "$other" $b <"$work/a"
opens 10 350
