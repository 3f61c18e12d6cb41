#!/bin/bash
# units.sh - what systemd and the kernel do with a store, tried in the guest step by
# step: our units, nbd-client, loop devices, mount(8). A step is a function; the first
# command of it that fails ends it, and is said. Must never say that a step is done of
# which not every command was run.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
exec 3<>/dev/ttyS1 </dev/null >/dev/ttyS0 2>&1
stty -F /dev/ttyS1 raw -echo
work=/var/lib/steps
why=$work/why
mkdir -p $work
cd $work || exit 1

store=/var/lib/lbs/corp.lbs
bytes=$((128 << 20))
private="nbd+unix:///disk?socket=$store.sock"
shared="nbd+unix:///disk?socket=/run/lbs/corp.sock"
nbd=lbs-nbd@corp.service
socket=lbs-nbd@corp.socket
fuse=lbs-fuse@corp.service

say() { echo "$*" >&3; }

step() {
	local status begun=$SECONDS
	echo "---- $1"
	echo "nothing failed" >$why
	(
		set -eE -o pipefail
		trap 'echo "line $LINENO: $BASH_COMMAND" >$why' ERR
		"$1"
	)
	status=$?
	if [ $status -eq 0 ]; then
		say "DONE $1 $((SECONDS - begun))"
	else
		say "FAILED $1 ($status) $(head -n 1 $why)"
		journalctl -b -n 30 --no-pager -o cat -u 'lbs-*'
	fi
}

# What must fail.
refused() {
	local status=0
	"$@" || status=$?
	[ $status -ne 0 ]
}

state() { systemctl show -P ActiveState "$1"; }
process() { systemctl show -P MainPID $nbd; }

# Nothing for lbsck to say, nothing left to roll forward, and nothing in the store's
# directory that the service could not open.
clean() {
	lbsck -n $store
	lbs stat $store | awk '/last record/ { last = $3 } /checkpoint record/ { kept = $3 }
		END { exit last == "" || last != kept }'
	[ -z "$(find /var/lib/lbs ! -user lbs)" ]
}

# ---- packages, store --------------------------------------------------------------
installed() {
	mount -o ro /dev/vdc /mnt
	if ls /mnt/*.deb; then
		dpkg -i /mnt/*.deb
		[ -z "$(dpkg --audit)" ]
	else
		cp -a /mnt/usr /
		systemd-sysusers lbs.conf
		systemd-tmpfiles --create lbs.conf
	fi
	umount /mnt
	systemctl daemon-reload
	[ "$(stat -c %U:%G:%a /var/lib/lbs)" = lbs:lbs:700 ]
}

verified() {
	local unit
	systemd-analyze verify --man=no $nbd $socket $fuse 2>&1 | tee verify
	[ ! -s verify ]
	for unit in $nbd $fuse; do
		say "EXPOSURE $unit $(systemd-analyze security --no-pager $unit | tail -n 1 | grep -o '[0-9]*\.[0-9]')"
	done
}

# As the README has it.
created() {
	echo '/dev/vdb /media/card vfat uid=lbs,gid=lbs,umask=077,noatime,nofail 0 0' >>/etc/fstab
	mkdir -p /media/card /etc/lbs
	systemctl daemon-reload
	mount /media/card
	lbs create --size 128M --capacity 256M --data /media/card/corp $store
	chown -R lbs: /var/lib/lbs
	useradd -G lbs member
}

# ---- the service ------------------------------------------------------------------
# Who started it may connect at once.
service() {
	systemctl start $nbd
	[ "$(nbdinfo --size "$private")" = $bytes ]
	[ "$(stat -c %U /proc/"$(process)")" = lbs ]
	head -c 24M /dev/urandom >image
	truncate -s $bytes image
	nbdcopy image "$private"
	nbdcopy "$private" back
	cmp image back
	rm back
	refused systemctl start $fuse
	journalctl -b -u $fuse -o cat --no-pager | grep -q 'corp.lbs: .*in use'
	systemctl reset-failed $fuse
}

stopped() {
	systemctl stop $nbd
	[ "$(systemctl show -P Result $nbd)" = success ]
	[ ! -e $store.sock ]
	clean
}

# ---- the socket -------------------------------------------------------------------
activated() {
	systemctl start $socket
	[ "$(state $nbd)" = inactive ]
	[ "$(stat -c %U:%G:%a /run/lbs/corp.sock)" = lbs:lbs:660 ]
	refused runuser -u nobody -- nbdinfo --size "$shared"
	[ "$(state $nbd)" = inactive ]
	[ "$(runuser -u member -- nbdinfo --size "$shared")" = $bytes ]
	[ "$(state $nbd)" = active ]
	nbdcopy "$shared" back
	cmp image back
	rm back
	systemctl stop $nbd
	clean
	[ "$(nbdinfo --size "$shared")" = $bytes ]
	[ "$(state $nbd)" = active ]
}

# Copies pieces to the disk, each until it is durable, and counts.
write_pieces() {
	local n=0
	while [ ! -e enough ]; do
		head -c 1M /dev/urandom >piece
		until nbdcopy --flush piece "$shared"; do
			echo again >>again
			sleep 0.1
		done
		n=$((n + 1))
		echo $n >written
	done
}

wait_for_pieces() {
	local until=$(($(cat written) + $1)) waited=0
	while [ "$(cat written)" -lt $until ]; do
		sleep 0.1
		waited=$((waited + 1))
		[ $waited -lt 2000 ]
	done
}

restarted_under_load() {
	rm -f enough again
	echo 0 >written
	write_pieces &
	wait_for_pieces 2
	systemctl restart $nbd
	wait_for_pieces 2
	kill -9 "$(process)"
	wait_for_pieces 2
	[ "$(systemctl show -P NRestarts $nbd)" = 1 ]
	kill -9 "$(cat /proc/"$(process)"/task/*/children)"	# nbdkit
	wait_for_pieces 2
	systemctl restart $nbd
	wait_for_pieces 1
	touch enough
	wait
	nbdcopy "$shared" back
	cmp -n 1048576 piece back
	rm back
	say "PIECES $(cat written), $(grep -c . again || true) begun again"
	systemctl stop $nbd
	clean
}

# ---- the kernel's block devices -----------------------------------------------------
# A file system on a device: made, filled, synced, trimmed, and looked at.
fill_mounted() {
	local n
	for n in 1 2 3 4 5; do
		head -c 3M /dev/urandom >"$1/$2-$n"
	done
	(cd "$1" && sha256sum "$2"-* >"$work/$2.sums")
	sync
	head -c 20M /dev/urandom >"$1/rubbish"
	sync
	rm "$1/rubbish"
	fstrim -v "$1"
}

look_at_mounted() { (cd "$1" && sha256sum --quiet -c "$work/$2.sums"); }

counted() { lbs stat $store | sed -n "s/^ *$1 *\([0-9]*\).*/\1/p"; }

nbd_device() {
	nbd-client -unix /run/lbs/corp.sock -N disk -b 4096 /dev/nbd0
	[ "$(blockdev --getsize64 /dev/nbd0)" = $bytes ]
	grep . /sys/block/nbd0/queue/{write_cache,fua,discard_max_bytes,logical_block_size}
	[ "$(cat /sys/block/nbd0/queue/write_cache)" = "write back" ]
	[ "$(cat /sys/block/nbd0/queue/fua)" = 1 ]
	mkfs.ext4 -q /dev/nbd0
	mount /dev/nbd0 /mnt
	fill_mounted /mnt nbd
	umount /mnt
	e2fsck -fn /dev/nbd0
	[ "$(counted 'flush ops')" -gt 0 ]
	[ "$(counted 'discard ops')" -gt 0 ]
	nbd-client -d /dev/nbd0
	systemctl stop $nbd
	clean
}

# The kernel's client does not come back to a server that was started again; what was
# acknowledged is there for the next one.
nbd_server_gone() {
	nbd-client -unix /run/lbs/corp.sock -N disk -b 4096 -timeout 5 /dev/nbd0
	head -c 4M /dev/urandom >piece
	dd if=piece of=/dev/nbd0 bs=1M seek=100 oflag=direct conv=fsync
	kill -9 "$(process)"
	refused dd if=piece of=/dev/nbd0 bs=1M seek=110 oflag=direct
	nbd-client -d /dev/nbd0
	nbd-client -unix /run/lbs/corp.sock -N disk -b 4096 /dev/nbd0
	dd if=/dev/nbd0 of=back bs=1M skip=100 count=4 iflag=direct
	cmp piece back
	rm back
	nbd-client -d /dev/nbd0
	systemctl stop $nbd
	clean
}

# ---- the file, and devices over it --------------------------------------------------
fuse_file() {
	systemctl stop $socket $nbd
	systemctl start $fuse
	[ "$(stat -c %s:%a /run/lbs/corp/disk)" = $bytes:600 ]
	refused runuser -u member -- cat /run/lbs/corp/disk
}

loop_device() {
	local loop
	loop=$(losetup --direct-io=on --sector-size 4096 -f --show /run/lbs/corp/disk)
	e2fsck -fn $loop
	mount $loop /mnt
	look_at_mounted /mnt nbd
	fill_mounted /mnt loop
	umount /mnt
	e2fsck -fn $loop
	losetup -d $loop
	systemctl stop $fuse
	[ ! -e /run/lbs/corp ]
	clean
}

fuse_killed() {
	systemctl start $fuse
	kill -9 "$(systemctl show -P MainPID $fuse)"
	until [ "$(state $fuse)" = failed ]; do sleep 0.1; done
	[ ! -e /run/lbs/corp ]
	systemctl start $fuse
	mount -o ro,noload,loop /run/lbs/corp/disk /mnt
	look_at_mounted /mnt loop
	umount /mnt
	systemctl stop $fuse
	clean
}

fstab() {
	echo "$store /srv/corp lbs noauto,nofail 0 0" >>/etc/fstab
	mkdir -p /srv/corp
	systemctl daemon-reload
	mount /srv/corp
	findmnt /srv/corp
	[ "$(stat -c %s /srv/corp/disk)" = $bytes ]
	umount /srv/corp
	until clean; do sleep 0.2; done
	systemctl start srv-corp.mount
	[ -e /srv/corp/disk ]
	systemctl stop srv-corp.mount
	until clean; do sleep 0.2; done
}

# ---- a card that is not there -------------------------------------------------------
# Said in words, once, and not tried for ever; with the card it goes on.
without_card() {
	umount /media/card
	refused systemctl start $nbd
	journalctl -b -u $nbd -o cat --no-pager | grep 'corp.lbs: .*\[card-missing\]'
	sleep 3
	[ "$(systemctl show -P NRestarts $nbd)" = 0 ]
	systemctl start $socket
	refused timeout 60 nbdinfo --size "$shared"
	[ "$(state $socket)" = active ]
	mount /media/card
	[ "$(nbdinfo --size "$shared")" = $bytes ]
}

# With the drop-in that the unit speaks of, the server ends before its card goes.
card_unmounted() {
	mkdir -p /etc/systemd/system/lbs-nbd@corp.service.d
	printf '%s\n' '[Unit]' 'RequiresMountsFor=/media/card' >/etc/systemd/system/lbs-nbd@corp.service.d/card.conf
	systemctl daemon-reload
	[ "$(state $nbd)" = active ]
	systemctl stop media-card.mount
	[ "$(state $nbd)" = inactive ]
	systemctl start $nbd
	mountpoint /media/card
	systemctl enable $nbd $socket
}

# ---- what is in the journal ----------------------------------------------------------
# Of the secret no form that programs print, and no complaint of what the unit forbids.
journal_clean() {
	local key form
	cp $store $store-wal . 2>/dev/null || cp $store .
	key=$(sqlite3 corp.lbs 'select hex(data_key) from store')
	[ ${#key} -eq 64 ]
	journalctl --no-pager -o export >journal
	for form in "$key" "$(sqlite3 corp.lbs 'select writefile("key", data_key) from store' >/dev/null; base64 <key)"; do
		[ "$(grep -aic "${form%=}" journal || true)" = 0 ]
	done
	journalctl --no-pager -o cat -u 'lbs-*' >journal
	[ "$(grep -c 'not permitted' journal || true)" = 0 ]
	journalctl -b --no-pager -o cat -u 'lbs-*' | tail -n 40
	rm corp.lbs* key journal
}

# ---- another boot ---------------------------------------------------------------------
at_boot() {
	systemctl is-system-running --wait || systemctl --failed --no-pager
	mountpoint /media/card
	[ "$(state $nbd)" = active ]
	[ "$(nbdinfo --size "$shared")" = $bytes ]
	[ "$(journalctl -b -u $nbd -o cat --no-pager | grep -c 'roll' || true)" = 0 ]
	nbd-client -unix /run/lbs/corp.sock -N disk /dev/nbd0
	mount -o ro /dev/nbd0 /mnt
	look_at_mounted /mnt nbd
	look_at_mounted /mnt loop
	umount /mnt
	nbd-client -d /dev/nbd0
	systemctl stop $socket $nbd
	clean
}

say READY
while read -r -u 3 word name; do
	case $word in
	step) step "$name" ;;
	off)
		say "OFF"
		systemctl --no-block poweroff
		exit ;;
	esac
done
