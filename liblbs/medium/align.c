/*
 * align.c - makes the first chunk file begin on one of the card's allocation units,
 * by writing padding before it (probe.h). Must leave nothing behind, and change
 * nothing but the place of what is written next.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "liblbs/medium/probe.h"

static int
padding_name(const char *dir, char path[4096])
{
	return snprintf(path, 4096, "%s/align.tmp", dir) < 4096;
}

static int
write_zeroes(int fd, uint64_t offset, uint64_t len)
{
	static const char zeroes[64 << 10];

	while (len) {
		size_t n = len < sizeof zeroes ? (size_t)len : sizeof zeroes;
		ssize_t done = pwrite(fd, zeroes, n, (off_t)offset);

		if (done <= 0)
			return 0;
		offset += (uint64_t)done;
		len -= (uint64_t)done;
	}
	return fdatasync(fd) == 0;
}

static uint64_t
up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

int
medium_align(const char *dir, const struct card_facts *facts,
	     uint64_t unit_bytes, uint64_t before_bytes)
{
	uint64_t cluster = facts->cluster_bytes, before, first, last, len;
	char path[4096];
	int fd, ok;

	if ((facts->fs != CARD_FS_VFAT && facts->fs != CARD_FS_EXFAT) ||
	    !facts->has_partition || !cluster || !padding_name(dir, path))
		return 0;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return 0;
	ok = write_zeroes(fd, 0, cluster) && medium_place(fd, 0, &first) == 0;
	if (ok) {
		before = up(before_bytes, cluster);
		first += facts->partition_bytes;
		len = up(first + cluster + before, unit_bytes) - before - first;
		/* Where clusters and units do not share a grid, nothing helps. */
		ok = len % cluster == 0 && write_zeroes(fd, 0, len) &&
		     medium_place(fd, len - 1, &last) == 0 &&
		     last + facts->partition_bytes == first + len - 1;
	}
	close(fd);
	return ok;
}

void
medium_align_end(const char *dir)
{
	char path[4096];

	if (padding_name(dir, path))
		unlink(path);
}
