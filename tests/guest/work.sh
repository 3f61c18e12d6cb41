#!/bin/bash
# work.sh - what Debian does in the guest: says what an earlier life has left, and
# when told to, works, and says of each step when it is durable. Told and said over
# the second serial port; promises.py judges. Must never say that something is
# durable before the call that makes it so has returned.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive
exec 3<>/dev/ttyS1 </dev/null >/dev/ttyS0 2>&1
stty -F /dev/ttyS1 raw -echo
stop=/run/guest/stop
mkdir -p /var/lib/steps/files /var/lib/steps/moved /var/lib/steps/fill
cd /var/lib/steps || exit 1

say() { echo "$*" >&3; }
lines() { grep -c .; }
name_of() { basename "$1" | cut -d_ -f1; }
# Line by line also into a pipe.
database() { stdbuf -oL sqlite3 -bail -cmd 'pragma synchronous=full' "$@"; }

# ---- looking ----------------------------------------------------------------
look_at_databases() {
	local name
	for name in wal roll; do
		[ -e $name.db ] || continue
		say "INTEGRITY $name $(sqlite3 $name.db 'pragma integrity_check' | head -n 1)"
		say "ROWS $name $(sqlite3 -separator ' ' $name.db \
			'select count(*), coalesce(max(n), 0) from t')"
	done
}

# The names of files end in their checksums.
look_at_files() {
	local where
	rm -f */new
	for where in files moved fill; do
		(cd $where && find . -name '*.*' -type f -exec sha256sum {} +) | awk -v where=$where '
			{ split($2, name, "[./]+"); state = name[3] == $1 ? "good" : "bad"
			  found[state] = found[state] " " name[2] }
			END { print "FILES", where, "good" found["good"]
			      print "FILES", where, "bad" found["bad"] }' >&3
	done
}

# Where a package was being installed or removed, dpkg tells what to do; it is done.
# --configure looks only at what is to be installed: one whose removal had begun stays
# half configured until the removal ends.
look_at_packages() {
	local deb status
	status=$(dpkg --audit | lines)
	say "AUDIT $status"
	if [ "$status" -ne 0 ]; then
		for deb in /root/debs/*.deb; do
			case $(dpkg-query -W -f '${Status}' "$(name_of $deb)" 2>/dev/null) in
			*reinstreq* | *half-installed*) dpkg -i $deb ;;
			esac
		done
		dpkg --configure -a
		dpkg --purge --pending
	fi
	say "AUDITED $(dpkg --audit | lines)"
	for deb in /root/debs/*.deb; do
		status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$(name_of $deb)" 2>/dev/null)
		say "PACKAGE $(name_of $deb) ${status:-none} $(
			[ "$status" != "ii " ] || dpkg -V "$(name_of $deb)" 2>&1 | lines)"
	done
}

# ---- working ----------------------------------------------------------------
# One row a transaction; the next is not asked for before one is committed.
# A rollback journal is truncated, not unlinked: the end of that transaction is
# durable with synchronous=full; an unlinked one may be back (SQLite says so of EXTRA).
count_up() {
	local name=$1 n said
	database $name.db "pragma journal_mode=$2; create table if not exists t(n integer primary key, x blob)" &&
		n=$(database $name.db 'select coalesce(max(n), 0) from t') || {
			say "FAILED sqlite3 $name"
			return
		}
	coproc rows { database -cmd "pragma journal_mode=$2" $name.db 2>&1; }
	read -r said <&${rows[0]}
	[ "$said" = "$2" ] || { say "FAILED sqlite3 $name: $said"; return; }
	while [ ! -e $stop ]; do
		n=$((n + 1))
		echo "insert into t values($n, randomblob(700)); select 'SQL $name $n';" >&${rows[1]}
		read -r said <&${rows[0]}
		[ "$said" = "SQL $name $n" ] || { say "FAILED sqlite3 $name: $said"; return; }
		say "$said"
	done
	eval "exec ${rows[1]}>&-"
	wait
}

# A new file DIR/N.CHECKSUM of so many bytes, durable with its name.
make_file() {
	local sum
	head -c $3 /dev/urandom >$1/new && sync $1/new &&
		sum=$(sha256sum <$1/new) && mv $1/new "$1/$2.${sum%% *}" && sync $1
}

juggle_files() {
	local n old
	n=$(ls files moved | sed -n 's/\..*//p' | sort -n | tail -n 1)
	while [ ! -e $stop ]; do
		n=$((n + 1))
		make_file files $n $((n * 7919 % 200000 + 1)) || { say "FAILED file $n"; return; }
		say "FILE $n"
		old=$((n - 10))
		if [ $((old % 3)) -eq 0 ] && [ -e "$(echo files/$old.*)" ]; then
			say "MOVE $old"
			mv files/$old.* moved/ && sync files moved && say "MOVED $old"
		fi
		old=$((n - 30))
		if [ $old -gt 0 ]; then
			say "UNLINK $old"
			rm -f files/$old.* moved/$old.* && sync files moved && say "UNLINKED $old"
		fi
		[ $((n % 25)) -ne 0 ] || fstrim / || say "FAILED fstrim"
	done
}

install_packages() {
	local deb step
	while [ ! -e $stop ]; do
		for step in in out; do
			for deb in /root/debs/*.deb; do
				[ ! -e $stop ] || return
				say "DPKG $(name_of $deb) begun"
				case $step in
				in) dpkg -i $deb ;;
				out) dpkg -P "$(name_of $deb)" ;;
				esac || { say "FAILED dpkg $step $deb"; return; }
				say "DPKG $(name_of $deb) $step"
			done
		done
	done
}

# So many files of 1 MiB, that the disk may become full.
fill() {
	local n
	for ((n = 1; n <= $1; n++)); do
		make_file fill $n 1048576 || { say "FAILED fill $n"; return; }
		say "FILLED $n"
	done
	say "FULL"
}

finish() {
	touch $stop
	wait
	say "ERRORS $(dmesg | grep -c -E 'I/O error|EXT4-fs (error|warning)|Remounting')"
	say "STOPPED"
	if [ $$ -ne 1 ]; then
		systemctl --no-block poweroff
		exit
	fi
	cd / && mount -o remount,ro / && say "OFF"
	poweroff -ff
	sleep infinity
}

look_at_databases
look_at_files
look_at_packages
say "READY"
while read -r -u 3 word number; do
	case $word in
	go)
		count_up wal wal &
		count_up roll truncate &
		juggle_files &
		install_packages &
		;;
	fill) fill "$number" & ;;
	verify) say "VERIFIED $(dpkg -V | lines)" ;;
	stop) finish ;;
	esac
done
