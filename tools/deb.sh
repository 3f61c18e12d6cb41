#!/bin/bash
# deb - builds the Debian packages from what is committed, asks lintian, and with
# --try installs them, runs the demo from /usr and purges them again.
# Must never leave a package installed that was not there before.
#
#   tools/deb.sh [--try] [DIRECTORY]     packages go to DIRECTORY (build/deb)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

try=""
[ "${1:-}" != --try ] || { try=yes; shift; }
out=$(realpath -m "${1:-build/deb}")
rm -rf "$out"
mkdir -p "$out/lbs"
git archive HEAD | tar -x -C "$out/lbs"
(cd "$out/lbs" && DEB_BUILD_OPTIONS="parallel=$(nproc) ${DEB_BUILD_OPTIONS:-}" dpkg-buildpackage -b -uc -us) \
	>"$out/build.log" 2>&1 || { tail -n 40 "$out/build.log"; exit 1; }
rm -r "$out/lbs"
lintian --fail-on error,warning "$out"/*.changes
# What the documents point to is in the package beside them.
dpkg-deb -x "$out"/lbs_*.deb "$out/tree"
find "$out/tree/usr/share/doc/lbs" -name '*.md' -exec tests/links.sh {} +
rm -r "$out/tree"
ls -l "$out"/*.deb
[ -n "$try" ] || exit 0

packages="lbs nbdkit-plugin-lbs liblbs0 liblbs-dev"
if dpkg-query -W -f '${db:Status-Abbrev}\n' $packages 2>/dev/null | grep -q '^i'; then
	echo "deb: the packages are installed already: remove them first" >&2
	exit 1
fi
had_user=$(getent passwd lbs || true)
purge() {
	local status=$?
	dpkg --purge liblbs-dev lbs nbdkit-plugin-lbs liblbs0 >/dev/null 2>&1 || status=1
	rmdir /var/lib/lbs 2>/dev/null || true
	# Debian's packages leave their users; a trial does not.
	[ -n "$had_user" ] || ! getent passwd lbs >/dev/null || userdel lbs || status=1
	exit $status
}
trap purge EXIT
dpkg -i $(ls "$out"/*.deb | grep -v dbgsym)
LBS_BUILD_ROOT=/usr/bin tools/demo.sh
nbdkit lbs --dump-plugin | grep -q '^lbs_version='
cc examples/minimal.c $(pkg-config --cflags --libs lbs) -o "$out/minimal"
[ "$("$out/minimal" "$out/m.lbs" "$out/m")" = 1 ]
