/*
 * raw.c - files that are written in place, which lie on the card in one piece:
 * a raw file, and one of gocryptfs, of which each block of 4 KiB takes 4128
 * bytes. Their file system's own writes are not counted: they were written
 * whole before, and their size does not change.
 */
#include <stdlib.h>

#include "bench/oncard/target.h"

#define BLOCK		4096u
#define GOCRYPTFS_BLOCK (16u + BLOCK + 16u) /* nonce, data, tag */
#define GOCRYPTFS_HEAD	18u

struct raw {
	struct target base;
	uint64_t buffered_pages;
	int gocryptfs;
};

/* Where the file has [*offset, *offset + *len). */
static void
in_file(const struct raw *r, uint64_t *offset, uint64_t *len)
{
	if (r->gocryptfs) {
		*offset = GOCRYPTFS_HEAD + *offset / BLOCK * GOCRYPTFS_BLOCK;
		*len = *len / BLOCK * GOCRYPTFS_BLOCK;
	}
	*offset += r->base.host->base;
}

static void
raw_write(struct target *t, uint64_t offset, uint32_t bytes)
{
	struct raw *r = (struct raw *)t;
	uint64_t len = bytes;

	in_file(r, &offset, &len);
	if (!r->buffered_pages) {
		host_direct_write(t->host, offset, len);
		return;
	}
	host_write(t->host, offset, len);
	if (t->host->dirty_pages >= r->buffered_pages)
		t->flush(t);
}

static void
raw_read(struct target *t, uint64_t offset, uint32_t bytes)
{
	struct raw *r = (struct raw *)t;
	uint64_t len = bytes;

	in_file(r, &offset, &len);
	if (r->buffered_pages)
		host_read(t->host, offset, len);
	else
		host_direct_read(t->host, offset, len);
}

static void
raw_flush(struct target *t)
{
	host_sync(t->host, 0, sdcard_size(t->host->card[0]));
}

static void
raw_close(struct target *t)
{
	free(t);
}

struct target *
target_raw(struct host *h, uint64_t buffered_bytes, int gocryptfs)
{
	struct raw *r = calloc(1, sizeof *r);

	if (!r)
		abort();
	r->base = (struct target){ .write = raw_write,
				   .read = raw_read,
				   .flush = raw_flush,
				   .close = raw_close,
				   .host = h };
	r->buffered_pages = buffered_bytes / HOST_PAGE;
	r->gocryptfs = gocryptfs;
	return &r->base;
}
