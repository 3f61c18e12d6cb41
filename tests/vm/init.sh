#!/bin/busybox sh
# init - the guest: loads its modules, takes the script that the host gives it
# (QEMU's fw_cfg), runs it, and stops the machine. What the script says on
# descriptor 3 goes to the host over the second serial port; fails closed: a
# script that ends in any other way says so.
export PATH=/lbs:/sbin:/bin
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
busybox mount -t tmpfs tmp /tmp
ln -s /proc/self/fd /dev/fd
for module in /modules/*; do insmod "$module" || echo "insmod $module failed"; done
job=/sys/firmware/qemu_fw_cfg/by_name/opt/job/raw
stty -F /dev/ttyS1 raw -echo
exec 3<>/dev/ttyS1
echo "UP $(cut -d' ' -f1 /proc/uptime)" >&3
cat $job >/job
# The disks are found while this runs.
waited=0
for disk in $(sed -n 's/.*wait=\([^ ]*\).*/\1/p' /proc/cmdline | tr , ' '); do
	until [ -e "/dev/$disk" ] || [ $waited -gt 4000 ]; do
		usleep 50000
		waited=$((waited + 1))
	done
done
sh /job </dev/null >/dev/ttyS0 2>&1
status=$?
# The script may have made the machine ready to go on as another system.
[ $status -ne 0 ] || [ ! -e /become ] || exec sh /become
echo "ENDED $status" >&3
sync
poweroff -f
