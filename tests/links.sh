#!/bin/bash
# links DOCUMENT... - what the documents point to is there: the file, and the heading in
# it. Says nothing of other sites. Prints what leads nowhere; then the status is 1.
set -uo pipefail

# The names of a document's headings, as a link has them.
headings() {
	sed -n 's/^#\+ //p' "$1" | tr 'A-Z ' 'a-z-' | sed 's/[^a-z0-9_-]//g'
	grep -oE '<a id="[^"]+"' "$1" | cut -d '"' -f 2
}

bad=0 links=0
for document; do
	while read -r link; do
		file=${link%%#*}
		target=$(dirname "$document")/$file
		[ -n "$file" ] || target=$document
		links=$((links + 1))
		if [ ! -e "$target" ]; then
			echo "FAULT: $document points to $link, and there is no such file"
			bad=$((bad + 1))
		elif [[ $link == *#* ]] && ! grep -qxF -- "${link#*#}" <<<"$(headings "$target")"; then
			echo "FAULT: $document points to $link, and there is no such heading"
			bad=$((bad + 1))
		fi
	done < <(grep -oE '\]\([^)[:space:]]+\)' "$document" | sed 's/^](//; s/)$//' | grep -v '^https\?:')
done
echo "$links links, $bad lead nowhere"
[ $bad -eq 0 ] && [ $links -gt 0 ]
