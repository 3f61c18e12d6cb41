/*
 * medium_sim.c - struct medium over simdisk's card. See medium_sim.h.
 */
#include "tests/lab/medium_sim.h"
#include "tests/lab/simimage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 256

struct open_file {
	int open, writable;
	struct sim_fd fd;
};

struct medium_sim {
	struct medium base;
	struct simdisk *disk;
	/* By number, the card file last: opening one disturbs no other. */
	struct open_file files[FILES_MAX + 1];
	int locked;		/* level held on the card file */
};

static struct medium_sim *sim_of(struct medium *m)
{
	return (struct medium_sim *)m;
}

/* The place of a file; NULL beyond the table. */
static struct open_file *slot(struct medium_sim *s, uint32_t file)
{
	if (file == MEDIUM_CARD_FILE)
		return &s->files[FILES_MAX];
	return file < FILES_MAX ? &s->files[file] : NULL;
}

/* The file if it is open. */
static struct open_file *lookup(struct medium_sim *s, uint32_t file)
{
	struct open_file *o = slot(s, file);

	return o != NULL && o->open ? o : NULL;
}

static int sim_open(struct medium *m, uint32_t file, int flags)
{
	struct medium_sim *s = sim_of(m);
	char name[MEDIUM_NAME_BYTES];
	struct open_file *o = slot(s, file);
	int rc;

	if (o == NULL)
		return -EINVAL;
	if (o->open)
		return 0;
	medium_file_name(file, name);
	rc = simdisk_open(s->disk, SIM_CARD, name,
			  (flags & MEDIUM_OPEN_CREATE) != 0, &o->fd);
	if (rc < 0)
		return rc;
	o->writable = (flags & MEDIUM_OPEN_RDONLY) == 0;
	o->open = 1;
	return 0;
}

static int sim_size(struct medium *m, uint32_t file, uint64_t *size_bytes)
{
	struct open_file *o = lookup(sim_of(m), file);

	return o == NULL ? -EBADF
			 : simdisk_size(sim_of(m)->disk, o->fd, size_bytes);
}

static ssize_t sim_pread(struct medium *m, uint32_t file, void *buf, size_t len,
			 uint64_t offset)
{
	struct open_file *o = lookup(sim_of(m), file);

	return o == NULL ? 0 : simdisk_read(sim_of(m)->disk, o->fd, buf, len,
					    offset);
}

/* One call is one write, hence one tick, however many vectors it has. */
static int sim_pwritev(struct medium *m, uint32_t file, const struct iovec *iov,
		       int iov_count, uint64_t offset)
{
	struct open_file *o = lookup(sim_of(m), file);
	size_t len = 0, at = 0;
	uint8_t *buf;
	int i, rc;

	if (o == NULL || !o->writable)
		return -EBADF;
	for (i = 0; i < iov_count; i++)
		len += iov[i].iov_len;
	buf = sim_alloc(len);
	for (i = 0; i < iov_count; at += iov[i++].iov_len)
		memcpy(buf + at, iov[i].iov_base, iov[i].iov_len);
	rc = simdisk_write(sim_of(m)->disk, o->fd, buf, len, offset);
	free(buf);
	return rc;
}

static int sim_sync(struct medium *m, uint32_t file)
{
	struct open_file *o = lookup(sim_of(m), file);

	return o == NULL ? -EBADF : simdisk_sync(sim_of(m)->disk, o->fd);
}

static int sim_sync_dir(struct medium *m)
{
	return simdisk_sync_dir(sim_of(m)->disk, SIM_CARD);
}

static int sim_lock(struct medium *m)
{
	struct medium_sim *s = sim_of(m);
	struct open_file *o = lookup(s, MEDIUM_CARD_FILE);
	int rc;

	if (o == NULL)
		return -EBADF;
	rc = simdisk_lock(s->disk, o->fd, s->locked, 4);
	if (rc == 0)
		s->locked = 4;
	return rc;
}

static void unlock(struct medium_sim *s)
{
	struct open_file *o = lookup(s, MEDIUM_CARD_FILE);

	if (o != NULL && s->locked)
		simdisk_lock(s->disk, o->fd, s->locked, 0);
	s->locked = 0;
}

static int sim_remove(struct medium *m, uint32_t file)
{
	struct medium_sim *s = sim_of(m);
	char name[MEDIUM_NAME_BYTES];
	struct open_file *o = lookup(s, file);

	if (file == MEDIUM_CARD_FILE)
		unlock(s);
	if (o != NULL)
		o->open = 0;
	medium_file_name(file, name);
	return simdisk_unlink(s->disk, SIM_CARD, name);
}

static void sim_close(struct medium *m)
{
	if (m == NULL)
		return;
	unlock(sim_of(m));
	free(m);
}

static const struct medium_ops sim_ops = {
	.open = sim_open,
	.size = sim_size,
	.pread = sim_pread,
	.pwritev = sim_pwritev,
	.sync = sim_sync,
	.sync_dir = sim_sync_dir,
	.lock = sim_lock,
	.remove = sim_remove,
	.close = sim_close,
};

struct medium *medium_sim_new(struct simdisk *d)
{
	struct medium_sim *s = sim_alloc(sizeof(*s));

	s->base.ops = &sim_ops;
	s->disk = d;
	return &s->base;
}
