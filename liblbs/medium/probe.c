/*
 * probe.c - see probe.h: statfs, /sys/dev/block, FIEMAP and FIBMAP. Must never
 * believe a number that makes no sense.
 */
#include "liblbs/medium/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SECTOR	 512u
#define UNIT_MIN (512u << 10)
#define UNIT_MAX (64u << 20) /* the SD specification's largest */

enum card_fs
medium_fs_kind(uint64_t magic)
{
	static const struct {
		uint32_t magic;
		enum card_fs fs;
	} known[] = {
		{ MSDOS_SUPER_MAGIC, CARD_FS_VFAT },
		{ 0x2011BAB0, CARD_FS_EXFAT },
		{ 0x5346544E, CARD_FS_NTFS },	/* "NTFS": the old driver */
		{ 0x7366746E, CARD_FS_NTFS },	/* "ntfs": ntfs3 */
		{ BTRFS_SUPER_MAGIC, CARD_FS_BTRFS },
		{ TMPFS_MAGIC, CARD_FS_MEMORY },
		{ RAMFS_MAGIC, CARD_FS_MEMORY },
		{ NFS_SUPER_MAGIC, CARD_FS_NETWORK },
		{ SMB_SUPER_MAGIC, CARD_FS_NETWORK },
		{ 0xFF534D42, CARD_FS_NETWORK }, /* cifs */
		{ 0xFE534D42, CARD_FS_NETWORK }, /* smb2 */
		{ 0x01021997, CARD_FS_NETWORK }, /* 9p */
		{ 0x00C36400, CARD_FS_NETWORK }, /* ceph */
		{ 0x65735546, CARD_FS_FUSE },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].magic == (uint32_t)magic)
			return known[i].fs;
	return CARD_FS_OTHER;
}

const char *
medium_fs_name(enum card_fs fs)
{
	switch (fs) {
	case CARD_FS_VFAT:
		return "vfat";
	case CARD_FS_EXFAT:
		return "exfat";
	case CARD_FS_NTFS:
		return "ntfs";
	case CARD_FS_BTRFS:
		return "btrfs";
	case CARD_FS_MEMORY:
		return "memory";
	case CARD_FS_NETWORK:
		return "network";
	case CARD_FS_FUSE:
		return "fuse";
	case CARD_FS_OTHER:
		break;
	}
	return "other";
}

/* The number in a file of sysfs; 0 if there is none. */
static uint64_t
read_number(const char *dir, const char *name)
{
	char path[4096], text[32] = "";
	uint64_t number = 0;
	FILE *f;

	if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
		return 0;
	f = fopen(path, "re");
	if (f && fgets(text, sizeof text, f))
		number = strtoull(text, NULL, 10);
	if (f)
		fclose(f);
	return number;
}

/* Whether an SD card's status names no allocation unit (AU_SIZE, bits 431 to 428 of
 * 512, in hexadecimal): the kernel's number is then its own guess. An eMMC has no such
 * status. */
static int
unit_is_guessed(const char *dir)
{
	char path[4096], status[32] = "";
	FILE *f;

	if (snprintf(path, sizeof path, "%s/device/ssr", dir) >=
	    (int)sizeof path)
		return 0;
	f = fopen(path, "re");
	if (f && !fgets(status, sizeof status, f))
		status[0] = '\0';
	if (f)
		fclose(f);
	return strlen(status) > 20 && status[20] == '0';
}

static int
is_there(const char *dir, const char *name)
{
	char path[4096];

	return snprintf(path, sizeof path, "%s/%s", dir, name) <
		       (int)sizeof path &&
	       access(path, F_OK) == 0;
}

/* In /sys, a partition's directory lies in its disk's. */
static void
probe_device(dev_t dev, const char *sysfs, struct card_facts *facts)
{
	char link[4096], dir[4096], *slash;
	uint64_t unit;

	snprintf(link, sizeof link, "%s/dev/block/%u:%u", sysfs, major(dev),
		 minor(dev));
	if (strlen(link) >= sizeof link - 1 || !realpath(link, dir))
		return;
	facts->has_partition = 1;
	if (is_there(dir, "partition")) {
		facts->partition_bytes = read_number(dir, "start") * SECTOR;
		slash = strrchr(dir, '/');
		if (slash)
			*slash = '\0';
	}
	facts->card_bytes = read_number(dir, "size") * SECTOR;
	/* Only the MMC and SD driver has it; a card reader hides it. */
	unit = read_number(dir, "device/preferred_erase_size");
	if (unit >= UNIT_MIN && unit <= UNIT_MAX && (unit & (unit - 1)) == 0 &&
	    !unit_is_guessed(dir))
		facts->unit_bytes = unit;
}

void
medium_probe(const char *dir, const char *sysfs, struct card_facts *facts)
{
	struct statfs fs;
	struct stat st;

	*facts = (struct card_facts){ .fs = CARD_FS_OTHER };
	if (statfs(dir, &fs) == 0) {
		facts->fs = medium_fs_kind((uint64_t)fs.f_type);
		facts->cluster_bytes = (uint64_t)fs.f_bsize;
	}
	if (stat(dir, &st) == 0)
		probe_device(st.st_dev, sysfs, facts);
}

int
medium_place(int fd, uint64_t offset, uint64_t *place_bytes)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
	} ask;
	const uint32_t useless = FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC |
				 FIEMAP_EXTENT_ENCODED | FIEMAP_EXTENT_NOT_ALIGNED;
	struct fiemap_extent *extent = ask.map.fm_extents;
	int block_bytes, block;

	memset(&ask, 0, sizeof ask);
	ask.map.fm_start = offset;
	ask.map.fm_length = 1;
	ask.map.fm_extent_count = 1;
	if (ioctl(fd, FS_IOC_FIEMAP, &ask.map) == 0) {
		if (ask.map.fm_mapped_extents != 1 ||
		    extent->fe_flags & useless || extent->fe_logical > offset)
			return -ENODATA;
		*place_bytes = extent->fe_physical + (offset - extent->fe_logical);
		return 0;
	}
	if (ioctl(fd, FIGETBSZ, &block_bytes) || block_bytes <= 0)
		return -errno;
	block = (int)(offset / (uint64_t)block_bytes);
	if (ioctl(fd, FIBMAP, &block))
		return -errno;
	if (block <= 0)
		return -ENODATA;
	*place_bytes = (uint64_t)block * (uint64_t)block_bytes +
		       offset % (uint64_t)block_bytes;
	return 0;
}
