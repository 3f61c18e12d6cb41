# lib.sh - what attack scripts share: stores to attack, the verdicts, a server.
# A script says in its header what the attacker does ("attack"), which row of
# SECURITY.md it tries ("claim", the row's first cell) and what must follow
# ("expect"). Must never end a process that the script did not start.
#
# LBS_BUILD_ROOT says where the programs are, LBS_ATTACK_STORES where stores to
# attack were made before (tests/attacks/stores; else they are made).
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "${LBS_BUILD_ROOT:-$here/../..}" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lbs-attack.XXXXXX")
server=""
helpers=()		# processes that a script lets run beside
name=$(basename "$0" .sh)
MIB=1048576

# Nothing here may take much memory, whatever the card says.
ulimit -S -v 2000000
PEAK_KIB=120000

leave() {
	local status=$?
	[ ${#helpers[@]} -eq 0 ] || kill -9 "${helpers[@]}" 2>/dev/null || true
	[ -z "$server" ] || kill_server
	[ $status -eq 0 ] || [ ! -s "$work/server.log" ] || tail -n 20 "$work/server.log"
	rm -rf "$work"
	[ $status -eq 0 ] || echo "$name: FAULT"
}
trap leave EXIT

fault() {
	echo "FAULT: $*"
	exit 1
}

lab() {
	/usr/bin/python3 "$here/lab.py" "$@"
}

# ---- stores --------------------------------------------------------------------

GEOMETRY=(--size 4M --capacity 24M --segment-size 1M --chunk-size 2M --preallocate)
# LBS_ATTACK_COMPRESS=lz4|zstd: the same on stores with compression.
[ -z "${LBS_ATTACK_COMPRESS:-}" ] || GEOMETRY+=(--compress "$LBS_ATTACK_COMPRESS")

# take STORE [same-boot]: a copy of it to attack, in the working directory. It has
# corp.lbs, card/ and truth; and of the same store's past old-card/ and old.lbs,
# of the session that ended it mid-card/. Another boot unless told otherwise.
take() {
	if [ -z "${LBS_ATTACK_STORES:-}" ]; then
		"$here/stores" "$work/stores" >/dev/null
		LBS_ATTACK_STORES=$work/stores
	fi
	mkdir "$work/it"
	cd "$work/it"
	local from=$LBS_ATTACK_STORES/$1
	export LBS_ATTACK_TAKEN=$from
	cp -a "$from"/card "$from"/corp.lbs* "$from"/truth .
	# Never written to, so links will do.
	cp -al "$from"/old* .
	[ ! -e "$from/mid-card" ] || cp -al "$from"/{mid,flushed}-card .
	cp -al "$LBS_ATTACK_STORES/foreign" "$work/foreign"
	export truth=$work/it/truth
	[ "${2:-}" = same-boot ] || rm -f corp.lbs.run
}

# ---- changing bytes ---------------------------------------------------------------

# flip FILE OFFSET: one bit.
flip() {
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf "\\x$(printf %x $((byte ^ 64)))" | put "$1" "$2"
}

# put FILE OFFSET: standard input over it.
put() {
	dd of="$1" bs=64K oflag=seek_bytes seek="$2" conv=notrunc status=none
}

# bytes FILE OFFSET COUNT
bytes() {
	dd if="$1" bs=64K iflag=skip_bytes,count_bytes skip="$2" count="$3" status=none
}

noise() {
	head -c "$1" /dev/urandom
}

zeroes() {
	head -c "$1" /dev/zero
}

# The file and the offset of the segment in which the log of a killed store ends:
# the one that differs from the card as it was when the last session began.
log_end() {
	local file at
	for file in card/0*.lbs; do
		for ((at = 0; at < 2 * MIB; at += MIB)); do
			cmp -s <(bytes "$file" $at 4096) <(bytes "mid-$file" $at 4096) || {
				echo "$file $at"
				return
			}
		done
	done
	fault "where does the log end?"
}

# nth N: the record (offset length) of that number of the log's last segment.
nth() {
	local at
	at=$(log_end)
	lab records $at $MIB | sed -n "$1p"
}

state_of_files() {
	find . -path ./corp.lbs.run -prune -o -type f -size +0 -exec cksum {} + | sort
}

# ---- verdicts ---------------------------------------------------------------------

# run_server OPTIONS... COMMAND: serves the store while the command runs.
run_server() {
	local command=${*: -1} status=0
	timeout -k 5 60 "$bin/lbs-nbd" -q "${@:1:$#-1}" --data card --run "$command" corp.lbs \
		>"$work/out" 2>"$work/server.log" || status=$?
	! grep -q 'started again' "$work/server.log" || fault "nbdkit died: $(cat "$work/server.log")"
	return $status
}

guest() {
	printf '/usr/bin/python3 %q' "$here/lab.py"
	printf ' %q' "$@"
}

# refused WORD [FINDING]: opened for reading, for writing and checked: that verdict
# (lbsck may have a finding of its own), and nothing was changed.
refused() {
	local before option status
	before=$(state_of_files)
	for option in --read-only --quiet; do
		status=0
		run_server $option true || status=$?
		[ $status -eq 1 ] || fault "opening ($option) ended with $status, not 1"
		grep -qF "[$1]" "$work/server.log" || fault "opening ($option) did not say $1"
	done
	status=0
	checked || status=$?
	[ $status -eq 4 ] || [ $status -eq 8 ] || fault "lbsck ended with $status"
	grep -qF "\"code\": \"${2:-$1}\"" "$work/ck" || fault "lbsck did not say ${2:-$1}: $(cat "$work/ck")"
	[ "$before" = "$(state_of_files)" ] || fault "a refused store was changed"
	echo "$name: refused as $1"
}

# checked: lbsck --scrub; its status, with its report in $work/ck.
checked() {
	local status=0
	timeout -k 5 60 "$bin/lbsck" -q --scrub --json --data card corp.lbs >"$work/ck" 2>"$work/ck.err" ||
		status=$?
	[ $status -lt 124 ] || fault "lbsck ended with $status: $(cat "$work/ck.err")"
	return $status
}

# opens EXPECTED...: opened for reading, then for writing, the disk is as lab.py's
# "check EXPECTED..." says; then it lives on: what failed is healed by being
# written, and all of it is there after another opening.
opens() {
	run_server --read-only "$(guest check "$@")" || fault "opened for reading: $(cat "$work/out" "$work/server.log")"
	local status=0
	checked || status=$?
	[ $status -eq 0 ] || [ $status -eq 4 ] || fault "lbsck ended with $status"
	run_server "$(guest check "$@")" || fault "opened for writing: $(cat "$work/out" "$work/server.log")"
	local told
	told=$(cat "$work/out")
	[ "${told%% *}" = 0 ] || grep -q '\[damaged\]' "$work/server.log" || fault "the log does not name the damage"
	run_server "$(guest write 77 0 1024) && $(guest flush)" ||
		fault "it cannot be written: $(cat "$work/server.log")"
	run_server "$(guest check)" || fault "written anew, it reads: $(cat "$work/out")"
	echo "$name: opens; $told"
}

# either WORD...: refused with one of these, or opens with some EIO; never wrong.
either() {
	local word
	if run_server --read-only "$(guest check some)"; then
		opens some
		return
	fi
	! grep -q FAULT "$work/out" || fault "$(cat "$work/out")"
	for word; do
		if grep -qF "[$word]" "$work/server.log"; then
			refused "$word"
			return
		fi
	done
	fault "no verdict of these: $*: $(cat "$work/server.log")"
}

# ---- a running server ------------------------------------------------------------------

export uri="nbd+unix:///?socket=$work/sock"

# serve [OPTIONS...]: returns when clients can connect.
serve() {
	"$bin/lbs-nbd" -f --socket "$work/sock" --data card "$@" corp.lbs 2>"$work/server.log" &
	server=$!
	local try
	for try in $(seq 200); do
		! /usr/bin/python3 -c 'import nbd, os; nbd.NBD().connect_uri(os.environ["uri"])' 2>/dev/null || return 0
		kill -0 $server 2>/dev/null || break
		sleep 0.05
	done
	fault "the server does not come up (try $try)"
}

# The server itself, below lbs-nbd.
nbdkit() {
	cat "/proc/$server/task/$server/children"
}

# SIGKILL for both; returns when nbdkit is gone. lbs-nbd must not start it anew
# meanwhile; killed alone, it would let nbdkit end cleanly.
kill_server() {
	local below
	kill -STOP "$server" 2>/dev/null || true
	below=$(nbdkit 2>/dev/null) || true
	[ -z "$below" ] || kill -9 $below 2>/dev/null || true
	kill -9 "$server" 2>/dev/null || true
	wait "$server" 2>/dev/null || true
	server=""
	rm -f "$work/sock"
	for _ in $(seq 1000); do
		# A zombie that nobody waits for is gone, too, with its last thread.
		[ -n "$below" ] && grep -qs '^State:.[^ZX]' /proc/${below% }/task/*/status || return 0
		sleep 0.01
	done
	fault "nbdkit outlived lbs-nbd"
}

# stop [STATUS]: SIGTERM. The server never died on the way, and took no more
# memory than it should.
stop() {
	local status=0 pid=$server peak
	peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$(nbdkit | tr -d ' ')/status")
	kill "$server"
	for _ in $(seq 300); do
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	! kill -0 "$server" 2>/dev/null || fault "the server does not end"
	wait "$pid" || status=$?
	server=""
	rm -f "$work/sock"
	! grep -q 'started again' "$work/server.log" || fault "nbdkit died: $(cat "$work/server.log")"
	[ "$status" -eq "${1:-0}" ] || fault "the server ended with $status"
	[ "$peak" -le $PEAK_KIB ] || fault "the server took $peak KiB"
}

# with_faults OPTIONS...: serve, with a card that does what "faults WORD" says.
with_faults() {
	"${CC:-cc}" -shared -fPIC -D_GNU_SOURCE -o "$work/card.so" "$here/card.c" -ldl
	export CARD_FAULTS=$work/faults
	faults none
	LD_PRELOAD=$work/card.so serve "$@"
}

faults() {
	echo "$1" >"$CARD_FAULTS.new"
	mv "$CARD_FAULTS.new" "$CARD_FAULTS"
}

# fails ERRNO VERB...: the guest's request gives this error.
fails() {
	! lab "${@:2}" 2>"$work/said" || fault "${*:2} succeeded"
	grep -q "$1" "$work/said" || fault "${*:2} gave something else than $1: $(tail -n 1 "$work/said")"
}
