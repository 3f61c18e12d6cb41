#!/bin/bash
# names-and-numbers.sh
# attack: searches the card for names, sizes and data of the guest
# claim: What is visible
# expect: none is there in the clear
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take closed
lab clear card
echo "$name: nothing is in the clear"
