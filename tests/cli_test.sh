#!/bin/bash
# cli_test - the command line by itself: bad input gives the right exit status
# and the stable word, and changes nothing. Needs no server.
# LBS_BUILD_ROOT says where ./lbs is (the checkout by default).
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "${LBS_BUILD_ROOT:-$here/..}" && pwd)
lbs=$bin/lbs
work=$(mktemp -d "${TMPDIR:-/tmp}/lbs-cli.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work" || exit 1

checks=0
bad=0
fault() {
	echo "FAULT: $*"
	sed 's/^/    /' err out 2>/dev/null | head -n 20
	bad=$((bad + 1))
}

# expect STATUS WORD COMMAND...: the status, and [WORD] on stderr ("-": no
# error at all, so nothing on stderr).
expect() {
	local status=$1 word=$2 got=0
	shift 2
	checks=$((checks + 1))
	"$@" >out 2>err </dev/null || got=$?
	if [ "$got" -ne "$status" ]; then
		fault "$* gave status $got, not $status"
	elif [ "$word" = - ] && [ -s err ]; then
		fault "$* complained"
	elif [ "$word" != - ] && ! grep -qF "[$word]" err; then
		fault "$* did not say [$word]"
	fi
}
holds() { # holds DESCRIPTION COMMAND...
	local what=$1
	shift
	checks=$((checks + 1))
	"$@" >held 2>&1 || fault "$what"
}
json() { # json PYTHON-EXPRESSION: over d, the document in ./out
	checks=$((checks + 1))
	python3 -c 'import json,sys
d = json.load(open("out"))
sys.exit(0 if d["schema"] == 1 and ('"$1"') else 1)' 2>>err ||
		fault "JSON: $1"
}

# What a store consists of, in one checksum; locks and logs of SQLite aside.
print_of() {
	find "$@" -type f ! -name '*.run' ! -name '*-wal' ! -name '*-shm' -print0 |
		sort -z | xargs -0 -r b2sum | b2sum
}
# unchanged COMMAND...: an expect line that must leave store and card alone.
unchanged() {
	local before after
	before=$(print_of flash card)
	"$@"
	after=$(print_of flash card)
	checks=$((checks + 1))
	[ "$before" = "$after" ] || fault "$* changed the store"
}
fresh() { # a small store in flash/a.lbs, card/a
	rm -rf flash card
	mkdir -p flash card
	expect 0 - "$lbs" create -q --size 8M --segment-size 1M --chunk-size 4M \
		--data card/a "$@" flash/a.lbs
}
copy() { rm -rf flash card; cp -a good/flash good/card .; }

# --- what works ---------------------------------------------------------------
fresh
holds "create says the truth about a lost phone" grep -q "recovery key" out
holds "create -q says nothing else" test "$(wc -l <out)" -eq 1
expect 0 - "$lbs" create --size 1M --data card/described flash/described.lbs
holds "create describes what it made" grep -q "^  cipher" out
holds "metadata is private" test "$(stat -c %a flash/a.lbs)" = 600
holds "the card is marked .nomedia" test -e card/a/.nomedia
expect 0 - "$lbs" info flash/a.lbs
holds "info names the cipher" grep -q chacha20poly1305 out
expect 0 - "$lbs" info --json flash/a.lbs
json 'd["segment_size_bytes"] == 1 << 20 and d["chunk_size_bytes"] == 4 << 20'
json 'd["freshness"] == "flush" and len(d["id"]) == 32 and d["vdisks"] == 1'
unchanged expect 0 - "$lbs" list flash/a.lbs
holds "list names the vdisk" grep -Eq '^disk +8 MiB$' out
unchanged expect 0 - "$lbs" list --json flash/a.lbs
json 'd["vdisks"] == [{"name": "disk", "size_bytes": 8 << 20}]'
unchanged expect 0 - "$lbs" stat flash/a.lbs
unchanged expect 0 - "$lbs" stat --json flash/a.lbs
json 'd["served"] is False and d["counters"]["read_only"] == 1'
json 'd["counters"]["segments_total"] >= 8 and d["failure"] == ""'
expect 0 - "$lbs" create -q --json --size 1M --cipher chacha20poly1305 \
	--freshness checkpoint --compress none --block-size 4096 \
	--segment-size auto --data "card/with space" "flash/with space.lbs"
json 'd["freshness"] == "checkpoint" and d["size_bytes"] == 1 << 20'
json 'd["compress"] == "none" and d["features_must"] == 0'
for compress in lz4 zstd; do
	expect 0 - "$lbs" create -q --size 1M --compress $compress --data card/$compress \
		flash/$compress.lbs
	expect 0 - "$lbs" info flash/$compress.lbs
	holds "info tells the compression" grep -Eq "^  compress +$compress\$" out
	expect 0 - "$lbs" info --json flash/$compress.lbs
	json "d['compress'] == '$compress' and d['features_must'] in (16, 32)"
	expect 0 - "$bin/lbsck" flash/$compress.lbs
done
ln -s "with space.lbs" flash/link.lbs
expect 0 - "$lbs" info flash/link.lbs
expect 0 - "$lbs" list flash/link.lbs
mkdir -p elsewhere
holds "the card is found from another directory" \
	bash -c "cd elsewhere && '$lbs' list ../flash/a.lbs"
fresh --preallocate
mkdir -p good && cp -a flash card good/

# --- help and usage -----------------------------------------------------------
expect 0 - "$lbs" --help
expect 0 - "$lbs" --version
for command in create info stat list import export vdisk snapshot clone clean \
	resize backup key rebuild destroy; do
	expect 0 - "$lbs" $command --help
	holds "$command --help says how" grep -q "^Usage: lbs $command" out
	expect 0 - "$lbs" $command --version
	holds "$command --version says which" grep -q "^lbs [0-9]" out
	expect 0 - "$lbs" help $command
	holds "help $command says the same" grep -q "^Usage: lbs $command" out
done
expect 2 invalid "$lbs" help frobnicate
expect 2 invalid "$lbs"
expect 2 invalid "$lbs" frobnicate
expect 2 invalid "$lbs" info
expect 2 invalid "$lbs" info one two
expect 2 invalid "$lbs" info --frobnicate flash/a.lbs
expect 2 invalid "$lbs" create --size
expect 2 invalid "$lbs" list ''
expect 2 invalid "$lbs" list --data '' flash/a.lbs
expect 16 invalid "$bin/lbsck" ''
expect 2 invalid "$bin/lbs-fuse" flash/a.lbs ''
expect 2 invalid "$lbs" info --json --frobnicate flash/a.lbs
json 'd["error"]["code"] == "invalid"'
expect 1 io bash -c "'$lbs' info flash/a.lbs >/dev/full"
expect 8 io bash -c "'$bin/lbsck' --help >/dev/full"
expect 1 io bash -c "'$lbs' create --size 1M --data card/full flash/full.lbs >/dev/full"
holds "and there is a store all the same" grep -q "made all the same" err
expect 0 - "$lbs" list flash/full.lbs
# No file of the store gets the number of a descriptor that was closed, and with
# it what is said there.
for closed in "<&-" ">&-" "2>&-" "<&- >&- 2>&-"; do
	bash -c "'$lbs' create --size 1M --data card/c flash/c.lbs $closed" >out 2>err
	bash -c "'$lbs' clean flash/c.lbs $closed" >out 2>err
	bash -c "'$bin/lbs-nbd' --verbose --run true flash/c.lbs $closed" >out 2>err
	expect 0 - "$bin/lbsck" --scrub flash/c.lbs
	holds "nothing was said into the card with $closed" \
		bash -c '! grep -qaE "(lbs|lbs-nbd|lbs clean|lbs create|nbdkit): " card/c/* flash/c.lbs.run'
	rm -r card/c flash/c.lbs*
done

# --- names that are not UTF-8, which JSON has to be --------------------------------
latin=$(printf 'caf\351')
expect 0 - "$lbs" create -q --json --size 8M --segment-size 1M --data "card/$latin" "flash/$latin.lbs"
json 'd["store"] == "flash/caf?.lbs" and d["data_dir"].endswith("card/caf?")'
for command in info list stat clean; do
	expect 0 - "$lbs" $command --json "flash/$latin.lbs"
	json 'd["store"] == "flash/caf?.lbs"'
done
expect 0 - "$bin/lbsck" --json "flash/$latin.lbs"
json 'd["store"] == "flash/caf?.lbs" and d["verdict"] == "clean"'
expect 1 exists "$lbs" create --json --size 1M --data "card/$latin" flash/n.lbs
json 'd["error"]["code"] == "exists"'
expect 1 not-found "$lbs" import --json "$latin.raw" flash/a.lbs
json 'd["error"]["code"] == "not-found" and "caf?.raw" in d["error"]["message"]'
expect 2 invalid "$lbs" info --json "-$latin" flash/a.lbs
json 'd["error"]["code"] == "invalid"'
# A message is cut where it is too long, in the middle of a character if need be.
expect 2 invalid "$lbs" info --json "x$(printf 'ü%.0s' {1..800})" "x$(printf 'ü%.0s' {1..800})"
json 'd["error"]["code"] == "invalid"'
rm -r "card/$latin" "flash/$latin".lbs*

# --- what this build does not have --------------------------------------------
copy
for command in vdisk snapshot clone resize backup key rebuild destroy; do
	unchanged expect 1 unsupported "$lbs" $command flash/a.lbs
done
expect 1 unsupported "$lbs" destroy --json flash/a.lbs
json 'd["error"]["code"] == "unsupported"'
for option in "--passphrase-file f" "--passphrase-command c" --passphrase \
	"--key-file f"; do
	for command in "create --size 1M --data card/n" info stat list import export; do
		# shellcheck disable=SC2086
		unchanged expect 1 unsupported "$lbs" $command $option flash/n.lbs
	done
done

# --- import and export: arguments (what they do is tests/e2e/import.py) ----------
for command in import export; do
	unchanged expect 2 invalid "$lbs" $command
	unchanged expect 2 invalid "$lbs" $command flash/a.lbs
	unchanged expect 2 invalid "$lbs" $command one two three
	unchanged expect 2 invalid "$lbs" $command --vdisk
	unchanged expect 2 invalid "$lbs" $command --data '' x y
	for format in '' RAW 'a,b' ../x 0123456789abcdefg; do
		unchanged expect 2 invalid "$lbs" $command "--format=$format" flash/a.lbs flash/a.lbs
	done
done
unchanged expect 1 bad-image "$lbs" import ./flash/a.lbs flash/a.lbs
expect 2 invalid "$lbs" import '' flash/a.lbs
expect 2 invalid "$lbs" export flash/a.lbs ''
expect 2 invalid "$lbs" export --follow-backing flash/a.lbs x.raw
unchanged expect 1 not-found "$lbs" import none.raw flash/a.lbs
unchanged expect 1 not-found "$lbs" export none.lbs x.raw
unchanged expect 1 exists "$lbs" export flash/a.lbs flash/a.lbs
head -c 1M /dev/urandom >i.raw
PATH_OF_NONE=$(dirname "$(command -v bash)")/nothing
checks=$((checks + 1))
got=0
PATH=$PATH_OF_NONE "$lbs" import i.raw flash/a.lbs >out 2>err </dev/null || got=$?
if [ $got -ne 1 ] || ! grep -q 'qemu-utils.*\[not-found\]' err; then
	fault "without qemu-img: status $got"
fi

# --- create: arguments --------------------------------------------------------
no_create() { # STATUS WORD OPTIONS...: and nothing is made
	local status=$1 word=$2
	shift 2
	unchanged expect "$status" "$word" "$lbs" create -q "$@" flash/n.lbs
	holds "nothing is left of create $*" \
		bash -c '! ls -d flash/n.lbs* card/n* 2>/dev/null | grep .'
}
for size in 0 1 511 513 -1 -5G 1.5G 10MB x '' ' 1M' 1M5 0x1000 1e6 1Z \
	99999999999999999999 16E 8E 18014398509481984K 7E 17T; do
	no_create 2 invalid "--size=$size" --data card/n
done
for segment in 0 1 -1M 3M 512K 128M auto2; do
	no_create 2 invalid --size 64M --data card/n "--segment-size=$segment"
done
for chunk in 0 -1 4G 1T 1000000 x; do
	no_create 2 invalid --size 64M --data card/n "--chunk-size=$chunk"
done
no_create 2 invalid --size 64M --data card/n --segment-size 4M --chunk-size 6M
no_create 2 invalid --size 64M --data card/n --segment-size 64M --chunk-size 16M
for capacity in 0 -1 1 1000 8E x; do
	no_create 2 invalid --size 64M --data card/n "--capacity=$capacity"
done
no_create 2 invalid --size 64M --data card/n --segment-size 4M --capacity 2M
for block in 0 1 -4096 4095 5000 1G; do
	no_create 2 invalid --size 64M --data card/n "--block-size=$block"
done
for block in 512 8192 65536; do
	no_create 1 unsupported --size 64M --data card/n "--block-size=$block"
done
no_create 2 invalid --size 64M --data card/n --cipher rot13
no_create 2 invalid --size 64M --data card/n --freshness never
no_create 2 invalid --size 64M --data card/n --compress gzip
no_create 2 invalid --size 64M --data card/n --compress ''
no_create 1 not-found --size 64M --data card/n --from image.qcow2
no_create 1 not-found --data card/n --from image.qcow2
no_create 2 invalid --size 64M --data card/n --format raw
no_create 2 invalid --size 64M --data card/n --follow-backing
no_create 2 invalid --size 64M
no_create 2 invalid --data card/n
no_create 2 invalid --size 64M --data ''

# --- create: places -----------------------------------------------------------
unchanged expect 1 exists "$lbs" create -q --size 64M --data card/b flash/a.lbs
holds "no directory was made" test ! -e card/b
unchanged expect 1 exists "$lbs" create -q --size 64M --data card/a flash/n.lbs
# Chunk files whose card file is gone are not written over.
mkdir card/lost
echo mine >card/lost/0000.lbs
unchanged expect 1 exists "$lbs" create -q --size 64M --data card/lost flash/n.lbs
rm -r card/lost
holds "no metadata was made" test ! -e flash/n.lbs
expect 0 - "$lbs" list flash/a.lbs
mkdir card/photos && echo cheese >card/photos/1.jpg
expect 0 - "$lbs" create -q --size 1M --data card/photos flash/p.lbs
holds "what lies in the directory stays" grep -q cheese card/photos/1.jpg
mkdir card/keep && echo cheese >card/keep/1.jpg
unchanged expect 1 exists "$lbs" create -q --size 1M --data card/keep flash/a.lbs
holds "a failed create keeps a directory that was there" test -e card/keep/1.jpg
echo text >card/file
for dir in card/file card/none/deep /proc/nothing /dev/null; do
	got=0
	"$lbs" create -q --size 1M --data "$dir" flash/n.lbs >out 2>err || got=$?
	holds "create --data $dir fails with 1" test $got -eq 1
	holds "create --data $dir leaves nothing" test ! -e flash/n.lbs
done
expect 1 io "$lbs" create --size 1M --data card/none/deep flash/n.lbs
holds "and says that the card may not be mounted" grep -q "mount the card" err
for store in none/n.lbs /proc/n.lbs card; do
	got=0
	"$lbs" create -q --size 1M --data card/n "$store" >out 2>err || got=$?
	holds "create $store fails with 1" test $got -eq 1
	holds "create $store leaves nothing" test ! -e card/n
done
long=$(printf 'x%.0s' {1..300})
got=0
"$lbs" create -q --size 1M --data card/n "flash/$long" >out 2>err || got=$?
holds "a name that is too long fails with 1" test $got -eq 1
holds "and leaves nothing" test ! -e card/n
# A directory that may not be written, for whom permissions count.
mkdir ro && chmod 777 . flash card && chmod 555 ro
as_nobody=(env)
[ "$(id -u)" -ne 0 ] || as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
if "${as_nobody[@]}" test -x "$lbs"; then
	expect 1 read-only "${as_nobody[@]}" "$lbs" create -q --size 1M --data ro/n flash/n.lbs
	holds "a read-only card leaves no metadata" test ! -e flash/n.lbs
	expect 1 read-only "${as_nobody[@]}" "$lbs" create -q --size 1M --data card/n ro/n.lbs
	holds "read-only internal flash leaves no directory" test ! -e card/n
	# Files of another owner: what to look at is said, and no flash has failed.
	[ "$(id -u)" -ne 0 ] || chown -R 65534 flash card
	: >flash/a.lbs.run
	for file in flash/a.lbs flash/a.lbs.run card/a; do
		for mode in 000 400; do
			[ "$file $mode" != "card/a 400" ] || continue
			chmod $mode $file
			checks=$((checks + 1))
			got=0
			"${as_nobody[@]}" "$lbs" clean flash/a.lbs >out 2>err || got=$?
			if [ $got -ne 1 ] || ! grep -q "check who owns" err; then
				fault "clean with $file of mode $mode: status $got"
			fi
			chmod 700 $file
		done
	done
	rm flash/a.lbs.run
	[ "$(id -u)" -ne 0 ] || chown -R 0 flash card
fi

# --- create: fails or is stopped half way ---------------------------------------
copy
no_create_limited() {
	(trap '' XFSZ; ulimit -f "$1"; shift; exec "$@")
}
expect 1 no-space no_create_limited 4096 "$lbs" create -q --size 64M --preallocate \
	--data card/n flash/n.lbs
holds "a full card leaves nothing behind" \
	bash -c '! ls -d flash/n.lbs* card/n* 2>/dev/null | grep .'
# The limit is an I/O error to SQLite; a really full disk is a test of its own.
expect 1 io no_create_limited 8 "$lbs" create -q --size 64M --data card/n flash/n.lbs
holds "failing internal flash leaves nothing behind" \
	bash -c '! ls -d flash/n.lbs* card/n* 2>/dev/null | grep .'
# File systems that are really full, where mounting is allowed.
if unshare -m true 2>/dev/null; then
	mkdir small
	on_small() { # SIZE COMMAND...
		unshare -m bash -c 'mount -t tmpfs -o "size=$0" none small && "$@"; s=$?
			ls -A small >left; exit $s' "$@"
	}
	expect 1 metadata-full on_small 1M "$lbs" create -q --size 64M --data card/n small/n.lbs
	holds "full internal flash leaves nothing behind" bash -c '[ ! -s left ] && [ ! -e card/n ]'
	expect 1 no-space on_small 4M "$lbs" create -q --size 64M --data small/n flash/n.lbs
	holds "a full card leaves nothing behind" bash -c '[ ! -s left ] && ! ls flash/n.lbs* 2>/dev/null'
	expect 1 no-space on_small 40M "$lbs" create -q --preallocate --size 64M --data small/n flash/n.lbs
	holds "and nothing when all was asked for" bash -c '[ ! -s left ] && ! ls flash/n.lbs* 2>/dev/null'
fi
for signal in INT TERM HUP; do
	"$lbs" create -q --size 4G --preallocate --data card/n flash/n.lbs >out 2>err &
	pid=$!
	# It is at work, and has long to go.
	while [ ! -e card/n/0000.lbs ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
	kill -$signal $pid
	got=0
	wait $pid || got=$?
	holds "create stopped by SIG$signal says so" grep -qF '[cancelled]' err
	holds "and its status is 1, not $got" test $got -eq 1
	holds "and it leaves nothing behind" \
		bash -c '! ls -d flash/n.lbs* card/n* 2>/dev/null | grep .'
done

# nohup: what is to outlive the terminal does, and can be stopped all the same.
(trap '' HUP; exec "$lbs" create -q --size 4G --chunk-size 64M --preallocate \
	--data card/n flash/n.lbs) >out 2>err &
pid=$!
while [ ! -e card/n/0000.lbs ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -HUP $pid
files=$(find card/n -type f 2>/dev/null | wc -l)
while [ "$(find card/n -type f 2>/dev/null | wc -l)" -le $((files + 1)) ] &&
	kill -0 $pid 2>/dev/null; do sleep 0.02; done
holds "create goes on after a SIGHUP that nohup ignores" kill -TERM $pid
got=0
wait $pid || got=$?
holds "and SIGTERM stops it: $got" test $got -eq 1 -a ! -e card/n

# --- stores that are none, or not ours ------------------------------------------
each() { # STATUS WORD: all commands that look at a store
	for command in info stat list; do
		unchanged expect "$1" "$2" "$lbs" $command flash/a.lbs
	done
	unchanged expect "$1" "$2" "$lbs" stat --json flash/a.lbs
	json "d['error']['code'] == '$2'"
}
copy; rm flash/a.lbs; each 1 not-found
holds "looking makes no file" test ! -e flash/a.lbs
copy; echo "just text" >flash/a.lbs; each 1 not-a-store
copy; : >flash/a.lbs; each 1 not-a-store
copy; head -c 100000 /dev/urandom >flash/a.lbs; each 1 not-a-store
copy; rm flash/a.lbs; sqlite3 flash/a.lbs 'CREATE TABLE t(x)'; each 1 not-a-store
copy; rm flash/a.lbs; mkdir flash/a.lbs
for command in info stat list; do expect 1 not-a-store "$lbs" $command flash/a.lbs; done
expect 8 not-a-store "$bin/lbsck" -y flash/a.lbs
copy; rm flash/a.lbs; mkfifo flash/a.lbs
for command in info stat list; do expect 1 not-a-store timeout 60 "$lbs" $command flash/a.lbs; done
expect 8 not-a-store timeout 60 "$bin/lbsck" -y flash/a.lbs
change() { sqlite3 flash/a.lbs "$1" >/dev/null; }
copy; change 'UPDATE store SET format_version=2'; each 1 newer-format
copy; change 'UPDATE store SET features_must=1<<40'; each 1 newer-format
copy; change 'UPDATE store SET features_may=1<<40'
expect 0 - "$lbs" info flash/a.lbs
expect 0 - "$lbs" list flash/a.lbs
copy; change 'UPDATE store SET block_size=0'; each 1 corrupt-metadata
copy; change 'UPDATE store SET segment_size=3'; each 1 corrupt-metadata
copy; change "UPDATE store SET data_key=x'00'"; each 1 corrupt-metadata
copy; change 'UPDATE store SET data_dir=NULL' 2>/dev/null
copy; change 'DELETE FROM store'; each 1 corrupt-metadata
copy; change 'DROP TABLE store'; each 1 corrupt-metadata
size=$(stat -c %s good/flash/a.lbs)
for keep in 512 4096 $((size / 2)) $((size - 4096)); do
	copy; truncate -s "$keep" flash/a.lbs
	for command in stat list; do
		checks=$((checks + 1))
		before=$(print_of flash card)
		got=0
		"$lbs" $command flash/a.lbs >out 2>err </dev/null || got=$?
		if [ $got -ne 1 ] || ! grep -Eq '\[(corrupt-metadata|not-a-store)\]' err; then
			fault "$command of a store cut to $keep of $size bytes: status $got"
		fi
		[ "$before" = "$(print_of flash card)" ] || fault "and changed it"
	done
done
# Any page overwritten: an error in words or a sound answer, never a crash.
for ((page = 0; page < size / 4096; page++)); do
	copy
	dd if=/dev/urandom of=flash/a.lbs bs=4096 seek=$page count=1 conv=notrunc status=none
	for command in info stat list; do
		checks=$((checks + 1))
		got=0
		"$lbs" $command flash/a.lbs >out 2>err </dev/null || got=$?
		[ $got -le 1 ] || fault "$command with page $page overwritten: status $got"
		[ $got -eq 0 ] || grep -q '\[[a-z-]*\]$' err || fault "page $page: no word"
	done
done

# --- cards -------------------------------------------------------------------
look() { # STATUS WORD [OPTIONS]: commands that need the card
	local status=$1 word=$2
	shift 2
	unchanged expect "$status" "$word" "$lbs" list "$@" flash/a.lbs
	unchanged expect "$status" "$word" "$lbs" stat "$@" flash/a.lbs
}
copy; mv card/a card/moved; look 1 card-missing
expect 0 - "$lbs" info flash/a.lbs
look 0 - --data card/moved
look 1 card-missing --data card/nowhere
copy; rm -r card/a; mkdir card/a; look 1 card-missing
copy; rm card/a/card.lbs; look 1 card-missing
copy; "$lbs" create -q --size 64M --data card/b flash/b.lbs >out
look 1 other-card --data card/b
look 0 -
copy; rm -r card/a; echo file >card/a; look 1 card-missing
copy; rm card/a/card.lbs; mkfifo card/a/card.lbs
expect 1 io timeout 60 "$lbs" list flash/a.lbs
copy; rm card/a/card.lbs; ln -s /etc/passwd card/a/card.lbs
expect 1 io timeout 60 "$lbs" list flash/a.lbs
copy; rm card/a/0001.lbs; look 1 card-missing
copy; truncate -s 1000000 card/a/0001.lbs; look 1 data-missing
copy; look 0 -

# --- held by another -----------------------------------------------------------
copy
"$lbs" list flash/a.lbs >out 2>err
if command -v flock >/dev/null; then
	: >>flash/a.lbs.run
	expect 1 busy flock -x flash/a.lbs.run "$lbs" list flash/a.lbs
	expect 1 busy flock -x card/a/card.lbs "$lbs" stat flash/a.lbs
	expect 0 - flock -x flash/a.lbs.run "$lbs" info flash/a.lbs
	# Whoever says that it is finishing is waited for.
	printf 'lbs-fuse (pid 1), which is finishing\n' >flash/a.lbs.run
	flock -x flash/a.lbs.run sh -c 'echo >locked; sleep 3' &
	while [ ! -e locked ]; do sleep 0.02; done
	expect 0 - "$lbs" list flash/a.lbs
	holds "it has finished by then" flock -n -x flash/a.lbs.run true
	wait $!
	: >flash/a.lbs.run
fi
look 0 -

echo "$checks checks, $bad faults"
[ $bad -eq 0 ]
