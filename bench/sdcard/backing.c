/*
 * backing.c - see backing.h. The side file belongs to the machine that wrote
 * it: its numbers are in that machine's order. Must never leave half a side
 * file.
 */
#include "bench/sdcard/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int
backing_open(const char *path, uint64_t *size, uint64_t if_new)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), err;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		goto failed;
	if (!*size)
		*size = st.st_size ? (uint64_t)st.st_size : if_new;
	if ((uint64_t)st.st_size < *size && ftruncate(fd, (off_t)*size))
		goto failed;
	return fd;
failed:
	err = -errno;
	close(fd);
	return err;
}

static int
file_read(void *ctx, void *buf, uint32_t len, uint64_t offset)
{
	uint8_t *at = buf;

	while (len) {
		ssize_t n = pread(*(int *)ctx, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
		offset += (uint64_t)n;
		len -= (uint32_t)n;
	}
	return 0;
}

static int
file_write(void *ctx, const void *buf, uint32_t len, uint64_t offset)
{
	const uint8_t *at = buf;

	while (len) {
		ssize_t n = pwrite(*(int *)ctx, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
		offset += (uint64_t)n;
		len -= (uint32_t)n;
	}
	return 0;
}

static int
file_erase(void *ctx, uint64_t offset, uint64_t len)
{
	static const uint8_t zeroes[64 << 10];
	int err = 0;

	if (fallocate(*(int *)ctx, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)offset, (off_t)len) == 0)
		return 0;
	for (; len && !err; offset += sizeof zeroes) {
		uint32_t n =
			len < sizeof zeroes ? (uint32_t)len : sizeof zeroes;

		err = file_write(ctx, zeroes, n, offset);
		len -= n;
	}
	return err;
}

struct device_medium
backing_medium(int *fd)
{
	return (struct device_medium){ .read = file_read,
				       .write = file_write,
				       .erase = file_erase,
				       .ctx = fd };
}

/* ---- the side file ---------------------------------------------------------
 */

struct head {
	char magic[8];
	char preset[32];
	uint64_t size, counts_bytes;
};

static void
head_of(struct device *d, struct head *h)
{
	struct sdcard *c = device_card(d);

	memset(h, 0, sizeof *h);
	memcpy(h->magic, "LBScard1", sizeof h->magic);
	strncpy(h->preset, sdcard_params_of(c)->name, sizeof h->preset - 1);
	h->size = sdcard_size(c);
	h->counts_bytes = sizeof(struct sdcard_counts);
}

static int
from_file(void *ctx, void *data, size_t len)
{
	return fread(data, 1, len, ctx) == len ? 0 : -EINVAL;
}

static int
to_file(void *ctx, void *data, size_t len)
{
	return fwrite(data, 1, len, ctx) == len ? 0 : -EIO;
}

int
backing_load(const char *path, struct device *d)
{
	FILE *f = fopen(path, "re");
	struct sdcard_port port = { .move = from_file, .ctx = f, .load = 1 };
	struct head wanted, found;
	int err;

	if (!f)
		return errno == ENOENT ? 1 : -errno;
	head_of(d, &wanted);
	err = from_file(f, &found, sizeof found);
	if (!err && memcmp(&wanted, &found, sizeof found) != 0)
		err = -EINVAL;
	if (!err)
		err = device_state(d, &port);
	if (!err && fgetc(f) != EOF)
		err = -EINVAL;
	fclose(f);
	return err;
}

int
backing_save(const char *path, struct device *d)
{
	struct sdcard_port port = { .move = to_file };
	struct head head;
	char *aside = NULL;
	FILE *f = NULL;
	int err = 0;

	if (asprintf(&aside, "%s.new", path) < 0)
		return -ENOMEM;
	f = fopen(aside, "we");
	if (!f) {
		err = -errno;
		goto out;
	}
	head_of(d, &head);
	port.ctx = f;
	err = to_file(f, &head, sizeof head);
	if (!err)
		err = device_state(d, &port);
	if (!err && (fflush(f) || fsync(fileno(f))))
		err = -errno;
	if (fclose(f) && !err)
		err = -errno;
	if (!err && rename(aside, path))
		err = -errno;
	if (err)
		unlink(aside);
out:
	free(aside);
	return err;
}
