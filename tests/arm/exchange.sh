#!/bin/bash
# exchange ARCH - one store, two machines: what x86-64 made, ARCH (under qemu-user)
# opens, rolls forward, checks, writes and leaves killed; and back; the golden
# stores as well. Every byte of the disks is compared.
set -euo pipefail

arch=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/lbs-arm.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

# on MACHINE PROGRAM ARGS...
on() {
	local machine=$1 program=$2
	shift 2
	case $machine-$program in
	here-lbs*) "$root/$program" "$@" ;;
	here-*) "$root/build/tests/$program" "$@" ;;
	*-lbs*) "$root/tools/cross" "$arch" run "$root/build-$arch/$program" "$@" ;;
	*) "$root/tools/cross" "$arch" run "$root/build-$arch/tests/$program" "$@" ;;
	esac
}
fault() {
	echo "FAULT: $*"
	exit 1
}
# disk MACHINE STORE-DIR: the checksum of its disk; of the large ones without holes.
disk() {
	on "$1" arm/vdisk $what "$2/corp.lbs" "$2/card" | sha256sum | cut -d ' ' -f 1
}
checked() { # MACHINE STORE-DIR
	on "$1" lbsck --scrub --data "$2/card" "$2/corp.lbs" >ck 2>&1 ||
		fault "lbsck on $1: $(cat ck)"
}
other() { [ "$1" = here ] && echo there || echo here; }
checks=0
what=read

# Both read the same of a store that is not changed by it.
agree() { # STORE-DIR WHAT [WANTED]
	local a b
	a=$(disk here "$1") b=$(disk there "$1")
	[ "$a" = "$b" ] || fault "$2: x86-64 and $arch read differently"
	[ -z "${3:-}" ] || [ "$a" = "$3" ] || fault "$2: not what was written"
	checked here "$1"
	checked there "$1"
	checks=$((checks + 1))
}

# Made by one, with every kind of record, ended cleanly and killed.
for maker in here there; do
	on $maker golden/make "$work/$maker"
	for store in closed killed; do
		wanted=$(sha256sum "$maker/$store.disk" | cut -d ' ' -f 1)
		agree "$maker/$store" "$store, made $maker" "$wanted"
	done
done
for version in "$root"/tests/golden/v*; do
	mkdir golden
	tar -xJf "$version/stores.tar.xz" -C golden
	for store in closed killed; do
		wanted=$(sed -n "s/ .*$store.disk//p" "$version/SHA256SUMS")
		agree golden/$store "$(basename "$version") $store" "$wanted"
	done
	rm -r golden
done

# A store of the real geometry, larger than 32 bits count, lives on both in turn; it
# dies at every third turn.
what=data
machine=there
mkdir life
on $machine lbs create -q --size 9G --capacity 200M --segment-size 1M --data "$work/life/card" life/corp.lbs >/dev/null 2>&1
# The twin: never leaves x86-64, gets the same writes.
mkdir twin
on here lbs create -q --size 9G --capacity 200M --segment-size 1M --data "$work/twin/card" "$work/twin/corp.lbs" >/dev/null 2>&1
for seed in 1 2 3 4 5 6; do
	how=$([ $((seed % 3)) -eq 0 ] && echo kill || echo write)
	on $machine arm/vdisk $how life/corp.lbs life/card $seed
	on here arm/vdisk write twin/corp.lbs twin/card $seed
	agree life "$how $seed on $machine" "$(disk here twin)"
	machine=$(other $machine)
done
for machine in here there; do
	for command in info list stat; do
		on $machine lbs $command --json life/corp.lbs >$command.$machine 2>/dev/null ||
			fault "lbs $command on $machine"
	done
done
# Of the store; what "card" says is about the machine it is looked at on.
for machine in here there; do
	sed '/"card": {/,$d' info.$machine | tr -d ',}' | sed '/^$/d' >store.$machine
done
cmp store.here store.there
cmp list.here list.there
echo "$checks stores agree, 0 failed"
