#!/bin/bash
# planted-link-create.sh
# attack: plants links to a user's file where a new store would put its files
# claim: links, pipes, directories instead of files
# expect: create fails or leaves the link alone; the file is as it was
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$work"
echo "a user's own" >precious
for planted in card.lbs 0000.lbs .nomedia; do
	rm -rf card corp.lbs*
	mkdir card
	ln -s ../precious card/$planted
	status=0
	timeout 20 "$bin/lbs" create -q "${GEOMETRY[@]}" --data card corp.lbs >out 2>&1 || status=$?
	[ $status -le 1 ] || fault "create ended with $status: $(cat out)"
	[ $planted = .nomedia ] || [ $status -eq 1 ] || fault "create took the link $planted"
	[ "$(cat precious)" = "a user's own" ] || fault "$planted was followed"
	[ -L card/$planted ] || fault "the link $planted was replaced"
	[ $status -eq 0 ] || [ ! -e corp.lbs ] || fault "a failed create leaves a store"
done
echo "$name: no link was followed"
