#!/bin/bash
# install_test - what make install installs works from where it is, for our programs and
# for others', and make uninstall leaves nothing. Must never touch anything outside
# of a directory of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# What is looked for below: nobody else may write what is installed.
umask 022

build=${BUILD:-build}
work=$(mktemp -d "$PWD/$build/install.XXXXXX")
# A socket's path has 107 bytes, ours may have more.
short=$(mktemp -d "${TMPDIR:-/tmp}/lbs-install.XXXXXX")
tree=$work/tree prefix=/opt/lbs
at=$tree$prefix
server=""
leave() {
	[ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
	rm -rf "$work" "$short"
}
trap leave EXIT

fail() { echo "FAULT: $*" >&2; exit 1; }
make_it() { make -s "$1" DESTDIR="$tree" PREFIX=$prefix BUILD="$build"; }

# Other make variables would go into the tree below, too.
unset MAKEFLAGS MAKELEVEL MFLAGS PREFIX LIBDIR DESTDIR
make_it install
(cd "$tree" && find . -type f -o -type l | sort) >"$work/installed"
echo "installed: $(wc -l <"$work/installed") files"
for file in bin/lbs bin/lbs-nbd sbin/lbsck include/lbs.h lib/liblbs.a lib/liblbs.so lib/liblbs.so.0 \
	lib/pkgconfig/lbs.pc share/doc/lbs/README.md; do
	[ -e "$at/$file" ] || fail "$file is not installed"
done
[ -z "$(find "$tree" -type l ! -exec test -e {} \; -print)" ] || fail "links that lead nowhere"
[ -z "$(find "$tree" -perm /022 ! -type l)" ] || fail "files that others may write"
# What the installed documents point to is installed beside them.
find "$at/share/doc/lbs" -name '*.md' -exec tests/links.sh {} +

# ---- the library: only its own names, and programs of others -------------------
exports() { nm "$@" | awk '{ print $3 }' | sed 's/@.*//' | grep -v '^LBS_0$' | sort; }
declared=$(sed '/^static inline/,/^}/d' liblbs/include/lbs.h | grep -oE '\blbs_[a-z_]+\(' | tr -d '(' | grep -v '_fn$' | sort -u)
[ "$(exports -D --defined-only "$at/lib/liblbs.so.0")" = "$declared" ] ||
	fail "liblbs.so exports other names than lbs.h declares:" \
		"$(diff <(exports -D --defined-only "$at/lib/liblbs.so.0") <(echo "$declared") || true)"
[ "$(exports -g --defined-only "$at/lib/liblbs.a" | grep .)" = "$declared" ] ||
	fail "liblbs.a defines other global names than lbs.h declares"

pc() { PKG_CONFIG_PATH=$at/lib/pkgconfig pkg-config --define-variable=prefix="$at" "$@" lbs; }
[ "$(pc --modversion)" = "$(sed -n 's/^VERSION *:= *//p' Makefile)" ] || fail "lbs.pc has another version"
grep -q "^#define LBS_VERSION \"$(pc --modversion)\"" "$at/include/lbs.h" || fail "lbs.h has another version"
warn="-Wall -Wextra -Werror"
for example in examples/*.c; do
	name=$(basename "$example" .c)
	gcc -std=gnu11 $warn "$example" $(pc --cflags --libs) -o "$work/$name"
	gcc -std=gnu11 $warn "$example" $(pc --cflags) "$at/lib/liblbs.a" \
		$(pc --static --libs | sed 's/-llbs//') -o "$work/$name-static"
done
if command -v g++ >/dev/null; then
	printf '#include <lbs.h>\nint main() { return lbs_version() == nullptr; }\n' >"$work/x.cc"
	g++ -std=c++11 -pedantic $warn "$work/x.cc" $(pc --cflags --libs) -o "$work/x"
	LD_LIBRARY_PATH=$at/lib "$work/x"
fi
[ -z "$(ldd "$work/minimal-static" | grep liblbs)" ] || fail "the static program needs liblbs.so"
export LD_LIBRARY_PATH=$at/lib

# minimal counts its runs, shared or static.
for n in 1 2 3 4; do
	[ "$("$work/minimal$([ $((n % 2)) = 1 ] || echo -static)" "$work/m.lbs" "$work/m")" = $n ] ||
		fail "minimal lost count at $n"
done
# vmm-backend is killed at any moment of its loop and finds its last commit whole.
rounds=6 last=-1
for i in $(seq $rounds); do
	: >"$work/out"
	"$work/vmm-backend" "$work/v.lbs" "$work/v" 600 >"$work/out" 2>&1 &
	server=$!
	# Whoever is killed while it makes the store leaves none: not before its loop.
	until grep -q "is whole$" "$work/out"; do
		kill -0 $server 2>/dev/null || { cat "$work/out"; fail "vmm-backend ended by itself"; }
		sleep 0.02
	done
	sleep "0.$((RANDOM % 6))"
	kill -9 $server 2>/dev/null || { cat "$work/out"; fail "vmm-backend ended by itself"; }
	wait $server 2>/dev/null || true
	server=""
	now=$(sed -n 's/^commit \([0-9]*\) is whole$/\1/p' "$work/out")
	[ "$now" -ge "$last" ] || fail "commit $last was there, now it is $now"
	last=$now
done
"$work/vmm-backend-static" "$work/v.lbs" "$work/v" 1 >"$work/out" || { cat "$work/out"; fail "vmm-backend"; }
cat "$work/out"
unset LD_LIBRARY_PATH

# ---- our programs, from where they are -----------------------------------------
"$at/bin/lbs" create -q --size 64M --data "$work/card" "$short/s.lbs" >/dev/null
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$at/bin/lbs-nbd" -f "$short/s.lbs" 2>"$work/log" &
server=$!
for _ in $(seq 300); do
	size=$(nbdinfo --size "nbd+unix:///?socket=$short/s.lbs.sock" 2>/dev/null) && break
	sleep 0.1
done
[ "${size:-}" = $((64 << 20)) ] || { cat "$work/log"; fail "the installed lbs-nbd does not serve"; }
# Its plugin is the installed one.
child=$(pgrep -P $server nbdkit | head -n 1)
tr '\0' '\n' <"/proc/$child/cmdline" | grep -q '^store=' || fail "nbdkit's command line"
plugin=$(tr '\0' '\n' <"/proc/$child/cmdline" | grep 'nbdkit-lbs-plugin.so')
[ "$(realpath "$plugin")" = "$(realpath "$(find "$tree" -name nbdkit-lbs-plugin.so)")" ] ||
	fail "lbs-nbd took $plugin"
kill $server
wait $server || fail "lbs-nbd ended with $?"
server=""
"$at/sbin/lbsck" --scrub "$short/s.lbs" >/dev/null

# ---- the units, as systemd reads them; what it would let them do, from 0 to 10 ----
if command -v systemd-analyze >/dev/null; then
	mkdir "$work/units"
	for unit in "$at"/lib/systemd/system/*@.*; do
		name=$(basename "$unit" | sed 's/@/@corp/')
		sed "s|=$prefix/|=$at/|" "$unit" >"$work/units/$name"
	done
	(cd "$work/units" && systemd-analyze verify --man=no ./*) || fail "systemd does not take the units"
	(cd "$work/units" && systemd-analyze security --offline=yes --threshold=20 ./lbs-nbd@corp.service) \
		>"$work/exposure" || fail "lbs-nbd@.service is exposed: $(tail -n 1 "$work/exposure")"
	tail -n 1 "$work/exposure"
fi
# What the units pass exists.
for option in $(grep -hoE '^#?LBS_OPTIONS=.*' systemd/*.env | grep -oE -- '--[a-z-]+'); do
	./lbs-nbd --help | grep -q -e " $option " || fail "the environment file names $option"
done

# ---- and away again --------------------------------------------------------------
make_it uninstall
left=$(find "$tree" -mindepth 1 2>/dev/null | head)
[ -z "$left" ] || fail "make uninstall leaves $left"
# What is not ours stays.
make_it install
echo theirs >"$at/lib/theirs"
make_it uninstall
[ "$(find "$tree" -type f)" = "$at/lib/theirs" ] || fail "make uninstall took or left too much"
echo "uninstalled: nothing is left"
