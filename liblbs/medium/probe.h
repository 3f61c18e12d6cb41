/*
 * probe.h - what the kernel says of the card under a directory: file system, size,
 * allocation unit, where the partition begins, where files lie. Advice only: must
 * never be needed for anything, and never fails; what is not told stays zero.
 */
#ifndef LBS_MEDIUM_PROBE_H
#define LBS_MEDIUM_PROBE_H

#include <stdint.h>

enum card_fs {
	CARD_FS_OTHER,	 /* ext4, f2fs, xfs and the like: nothing to say */
	CARD_FS_VFAT,
	CARD_FS_EXFAT,
	CARD_FS_NTFS,
	CARD_FS_BTRFS,	 /* copies on write, so filling ahead is no use */
	CARD_FS_MEMORY,	 /* tmpfs, ramfs */
	CARD_FS_NETWORK, /* NFS, SMB, 9P, Ceph */
	CARD_FS_FUSE,	 /* some program's */
};

struct card_facts {
	enum card_fs fs;
	int has_partition;	  /* it lies on a block device that is known */
	uint64_t card_bytes;	  /* the whole device; 0 = not told */
	uint64_t unit_bytes;	  /* the card's allocation unit; 0 = not told */
	uint64_t partition_bytes; /* where the partition begins */
	uint64_t cluster_bytes;	  /* what the file system gives at a time */
	int aligned;		  /* medium_align worked: chunk files will begin on
				   * units */
	int chunk_known;	  /* there is a chunk file; it begins at */
	uint64_t chunk_bytes;	  /* this byte of the card */
};

/* Looks at the directory dir; sysfs is "/sys" but in tests. */
void medium_probe(const char *dir, const char *sysfs, struct card_facts *facts);

/* The kind of a file system, by statfs's magic number, and its name. */
enum card_fs medium_fs_kind(uint64_t magic);
const char *medium_fs_name(enum card_fs fs);

/* Where byte offset of the open file fd, which must be written and synced, lies on
 * the file system's device. Returns 0 or a negative errno: FIEMAP is for everyone,
 * but FAT knows only FIBMAP, which is for root. */
int medium_place(int fd, uint64_t offset, uint64_t *place_bytes);

/* FAT and exFAT take the next free place for what is written next. Fills up the
 * card's current unit in dir, all but before_bytes of one more file that is still
 * to come, so that the file after that begins on a unit. Returns 1 when the kernel
 * confirms it, else 0; in either case medium_align_end takes the padding away. */
int medium_align(const char *dir, const struct card_facts *facts,
		 uint64_t unit_bytes, uint64_t before_bytes);
void medium_align_end(const char *dir);

#endif
