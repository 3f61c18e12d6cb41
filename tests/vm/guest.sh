# guest.sh - what the guest can be told to do; sourced by the script that the host
# gives it, which sets CARD FLASH FS OPTIONS BLOCKS and what else a step names. Each
# step says a line on descriptor 3. Must never say that something held which it did
# not look at. Programs by their path: busybox prefers its own of the same name.

store=/flash/corp.lbs
socket=/run/lbs.sock

# QEMU's SD card asks for every sector by itself, and the kernel waits 10 s for a request:
# of 512 KiB that is 10 ms a sector, which a loaded machine may need.
queue=/sys/block/mmcblk0/queue/max_sectors_kb
[ ! -e $queue ] || echo 64 >$queue

say() { echo "$*" >&3; }

# A step that the rest builds on.
must() {
	"$@" || { say "FAILED $?: $*"; exit 1; }
}

# Waits for the host.
heard() {
	read -r word <&3
	[ "$word" = "$1" ]
}

make_disks() {
	case $FS in
	vfat) must /sbin/mkfs.vfat -F 32 -s 64 -n CARD "$CARD" ;;
	exfat) must /sbin/mkfs.exfat -L CARD "$CARD" ;;
	esac
	must /sbin/mke2fs -q -t ext4 "$FLASH"
	sync
}

mount_disks() {
	must /sbin/mount -t ext4 -o noatime "$FLASH" /flash
	must /sbin/mount -t "$FS" -o "$OPTIONS" "$CARD" /card
}

unmount_disks() {
	must /sbin/umount /card /flash
}

create() {
	make_disks
	mount_disks
	must lbs create -q "$@" --data /card/lbs $store
}

# Repairs what a power cut leaves of the card's file system, then looks again: says
# "FSCK first second", the second must be 0.
check_card() {
	/sbin/fsck."$FS" -a "$CARD" >/tmp/fsck 2>&1
	first=$?
	/sbin/fsck."$FS" -n "$CARD" >/tmp/fsck2 2>&1
	second=$?
	say "FSCK $first $second"
	[ $second -eq 0 ] || cat /tmp/fsck /tmp/fsck2
}

serve() {
	lbs-nbd --socket $socket --pidfile /run/lbs.pid $store 3>&- 2>/run/lbs.log
	status=$?
	cat /run/lbs.log
	[ $status -eq 0 ] || say "REFUSED $(tail -n 1 /run/lbs.log)"
	return $status
}

stop_serving() {
	pid=$(cat /run/lbs.pid)
	kill -TERM "$pid"
	while [ -e "/proc/$pid" ]; do usleep 20000; done
}

# After a cut: mends the card, opens the store, looks whether the load's MARKS hold
# ("KEPT", "WRONG"), then whether lbsck finds fault. Ends where the store is refused.
look() {
	check_card
	mount_disks
	serve || exit 0
	[ -z "$MARKS" ] || load check $socket "$SEED" "$BLOCKS" $MARKS >&3
	stop_serving
	lbsck -n $store >/tmp/lbsck 2>&1
	status=$?
	say "LBSCK $status"
	[ $status -eq 0 ] || cat /tmp/lbsck
}

# Works until the power goes.
work() {
	serve || exit 0
	say READY
	heard go || exit 1
	load run $socket "$SEED" "$ROUND" "$BLOCKS" 0 >&3
}

# Works for the host's traces: three phases on a store that is filled, each begun and
# ended on the host's word.
steady() {
	serve || exit 1
	load run $socket "$SEED" 1 "$BLOCKS" 50 >&3
	for phase in large small cleaning; do
		say READY
		heard go || exit 1
		case $phase in
		large) load stream $socket 0 128 >&3 ;;
		*) load run $socket "$SEED" 2 "$BLOCKS" 400 >&3 ;;
		esac
		lbs stat $store >/tmp/stat
		say "STOP $phase $(sed -n 's/^ *cleaned blocks *//p' /tmp/stat)"
		heard go || exit 1
	done
	stop_serving
	load place /card/lbs/0000.lbs >&3
	lbs info $store >/tmp/info
	say "CARD $(sed -n "s/^ *card's fs *//p" /tmp/info)"
}
