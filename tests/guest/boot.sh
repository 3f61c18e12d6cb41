# boot.sh - what the initramfs of the Debian guest does (tests/vm/init.sh runs it):
# looks at the root file system as the last end left it, mounts it, and becomes
# Debian, with systemd or with the job's script alone (the kernel's how= and job=).
# Must mend nothing but what the journal mends.

say() { echo "$*" >&3; }

e2fsck -p /dev/vda
say "REPLAY $?"
e2fsck -fn /dev/vda
say "FSCK $?"
mount -t ext4 -o noatime /dev/vda /root || { say "FAILED mount"; exit 1; }
mount -t tmpfs -o mode=755 run /root/run || exit 1
mkdir /root/run/guest
cp /"$(sed -n 's/.*job=\([^ ]*\).*/\1/p' /proc/cmdline)".sh /root/run/guest/job.sh
init=/run/guest/job.sh
if grep -q how=systemd /proc/cmdline; then
	init=/sbin/init
	units=/root/run/systemd/system
	mkdir -p $units/multi-user.target.wants
	printf '%s\n' '[Unit]' 'After=local-fs.target systemd-tmpfiles-setup.service' \
		'[Service]' 'ExecStart=/run/guest/job.sh' >$units/work.service
	ln -s ../work.service $units/multi-user.target.wants/work.service
fi
umount /tmp
cat >/become <<END
for dir in dev sys proc; do mount --move /\$dir /root/\$dir; done
exec switch_root /root $init
END
