#!/bin/bash
# guest_test - a guest under QEMU whose server is killed again and again: it
# must see every block it wrote, during and afterwards. The guest is guest.S: no
# kernel, no image, some seconds under plain emulation.
# LBS_BUILD_ROOT says where ./lbs and ./lbs-nbd are (the checkout by default).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "${LBS_BUILD_ROOT:-$here/../..}" && pwd)
blocks=640
kills=4

if ! command -v qemu-system-x86_64 >/dev/null || ! as --32 -o /dev/null /dev/null 2>/dev/null; then
	echo "no qemu-system-x86_64, or no assembler for x86"
	exit 77
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/lbs-guest.XXXXXX")
server=""
qemu=""
leave() {
	local pid
	for pid in $server $qemu; do kill -9 "$pid" 2>/dev/null || true; done
	rm -rf "$work"
}
trap leave EXIT
cd "$work"

as --32 --defsym COUNT=$blocks -o guest.o "$here/guest.S"
ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o guest.bin guest.o
truncate -s 1M boot.img
dd if=guest.bin of=boot.img conv=notrunc status=none

uri="nbd+unix:///disk?socket=$work/s"
serve() {
	"$bin/lbs-nbd" -f --socket "$work/s" corp.lbs 2>>server.log &
	server=$!
	for _ in $(seq 600); do
		nbdinfo --size "$uri" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	cat server.log
	return 1
}

"$bin/lbs" create -q --size 64M --capacity 256M --data card corp.lbs >/dev/null
serve
qemu-img convert -n -f raw -O raw boot.img "$uri"
qemu-system-x86_64 -nodefaults -display none -m 64 -debugcon file:said \
	-device isa-debug-exit,iobase=0xf4,iosize=1 \
	-blockdev "driver=nbd,node-name=d0,server.type=unix,server.path=$work/s,export=disk,discard=unmap,detect-zeroes=unmap,reconnect-delay=120" \
	-device virtio-blk-pci,drive=d0,serial=corp,physical_block_size=4096,discard_granularity=4096 &
qemu=$!

dots() { if [ -e said ]; then tr -cd . <said | wc -c; else echo 0; fi; }
killed=0
for ((n = 1; n <= kills; n++)); do
	# A little further each time, so that the kills fall among the writes.
	for _ in $(seq 600); do
		[ "$(dots)" -ge $((n * 8)) ] && break
		kill -0 $qemu 2>/dev/null || break
		sleep 0.05
	done
	kill -0 $qemu 2>/dev/null || break
	kill -9 "$server"
	wait "$server" 2>/dev/null || true
	server=
	killed=$((killed + 1))
	sleep 0.5
	serve
done
status=0
wait $qemu || status=$?
qemu=
echo "guest said: $(cat said); status $status; $killed kills"
[ $status -eq 33 ] || { tail -n 20 server.log; exit 1; }
[ $killed -gt 0 ] || { echo "the guest was too fast to be disturbed"; exit 1; }

# And once more from outside, after a clean end.
kill -TERM "$server"
wait "$server" || { echo "the server did not end cleanly"; exit 1; }
server=
serve
nbdcopy "$uri" out.img
python3 - $blocks <<'PY'
import struct, sys
data = open("out.img", "rb").read()
for n in range(int(sys.argv[1])):
    block = data[(2048 + 8 * n) * 512:][:4096]
    if block != struct.pack("<I", n) * 1024:
        sys.exit("block %d is not what the guest wrote" % n)
PY
echo "all $blocks blocks are there"
