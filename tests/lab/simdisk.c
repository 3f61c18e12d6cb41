/*
 * simdisk.c - the operations of the simulated disk: what each does to what is
 * read, what is pending and what is durable.
 * Must never make anything durable except in simdisk_sync and
 * simdisk_sync_dir. The fault model is in simdisk.h.
 */
#include "tests/lab/simdisk_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What an operation takes, in microseconds; the card's are a middling card's. */
static const unsigned takes_us[SIM_SIDES][SIM_OPS] = {
	[SIM_CARD] = { [SIM_READ] = 300, [SIM_WRITE] = 1500, [SIM_SYNC] = 8000,
		       [SIM_SYNC_DIR] = 8000 },
	[SIM_FLASH] = { [SIM_READ] = 50, [SIM_WRITE] = 100, [SIM_SYNC] = 500,
			[SIM_SYNC_DIR] = 500 },
};

/* Looks for a fault that is due. 0, or -err, with *flags set. */
static int fault_due(struct simdisk *d, enum sim_side side, enum sim_op op,
		     unsigned *flags)
{
	int err = 0, struck = 0, i;

	*flags = 0;
	for (i = 0; i < d->fault_count; i++) {
		struct simfault *f = &d->faults[i];

		if (f->side != side || f->op != op || f->spent || struck)
			continue;
		if (f->after > 0) {
			f->after--;
			continue;
		}
		struck = 1;
		err = -f->err;
		*flags = f->flags;
		d->fault_hits++;
		d->hits[side][op][f->flags % SIM_FAULT_FLAGS]++;
		if (f->times > 0 && --f->times == 0)
			f->spent = 1;
	}
	return err;
}

/* One tick; fails when power is off or a fault is due. */
static int begin(struct simdisk *d, enum sim_side side, enum sim_op op,
		 unsigned *flags)
{
	*flags = 0;
	if (d->off || d->gone[side])
		return -EIO;
	simpending_age(d, takes_us[side][op]);
	if (op != SIM_READ && op != SIM_CREATE) {
		if (d->watch != NULL) {
			pthread_mutex_unlock(&d->lock);
			d->watch(d->watch_ctx);
			pthread_mutex_lock(&d->lock);
		}
		d->ticks++;
		if (d->cut_at != 0 && d->ticks >= d->cut_at) {
			d->off = 1;
			return -EIO;
		}
	}
	return fault_due(d, side, op, flags);
}

static void pend(struct simdisk *d, enum sim_change kind,
		 const struct simfile *f, uint64_t offset, const void *buf,
		 size_t len)
{
	struct simpending *p;

	if (d->pending_count == d->pending_room) {
		d->pending_room = d->pending_room * 2 + 16;
		d->pending = sim_realloc(d->pending, d->pending_room *
							     sizeof(*p));
	}
	p = &d->pending[d->pending_count++];
	memset(p, 0, sizeof(*p));
	p->kind = kind;
	p->file = (uint32_t)(f - d->files);
	p->offset = offset;
	p->len = len;
	if (len != 0) {
		p->data = sim_alloc(sizeof(*p->data) + len);
		atomic_init(&p->data->refs, 1);
		memcpy(p->data->bytes, buf, len);
	}
}

void simbytes_put(struct simbytes *data)
{
	if (data != NULL && atomic_fetch_sub(&data->refs, 1) == 1)
		free(data);
}

void simpending_apply(struct simdisk *d, const struct simpending *p)
{
	struct simfile *f = &d->files[p->file];

	switch (p->kind) {
	case CHANGE_LINK:
		f->linked_durable = 1;
		break;
	case CHANGE_UNLINK:
		f->linked_durable = 0;
		break;
	case CHANGE_SIZE:
		f->durable_size = p->offset;
		if (f->durable.len_bytes > p->offset)
			simimage_resize(&f->durable, p->offset);
		break;
	case CHANGE_DATA:
		simimage_write(&f->durable, p->data->bytes, p->len, p->offset);
		break;
	}
}

void simpending_remove(struct simdisk *d, const uint8_t *gone)
{
	size_t from, to = 0;

	for (from = 0; from < d->pending_count; from++) {
		if (gone[from])
			simbytes_put(d->pending[from].data);
		else
			d->pending[to++] = d->pending[from];
	}
	d->pending_count = to;
}

int simdisk_open(struct simdisk *d, enum sim_side side, const char *name,
		 int create, struct sim_fd *fd)
{
	struct simfile *f;
	unsigned flags;
	int rc = -EIO;

	pthread_mutex_lock(&d->lock);
	if (d->off)
		goto out;
	rc = -ENOENT;
	if (d->gone[side])
		goto out;
	f = simfile_find(d, side, name);
	if (f == NULL && !create)
		goto out;
	if (f == NULL) {
		rc = strlen(name) < SIM_NAME_BYTES ? 0 : -ENAMETOOLONG;
		if (rc == 0)
			rc = begin(d, side, SIM_CREATE, &flags);
		if (rc < 0)
			goto out;
		d->files = sim_realloc(d->files, (d->file_count + 1) *
							 sizeof(*f));
		f = &d->files[d->file_count++];
		memset(f, 0, sizeof(*f));
		strcpy(f->name, name);
		f->side = side;
		f->linked = 1;
		pend(d, CHANGE_LINK, f, 0, NULL, 0);
	}
	fd->index = (uint32_t)(f - d->files);
	fd->boot = d->boot[side];
	rc = 0;
out:
	pthread_mutex_unlock(&d->lock);
	return rc;
}

int simdisk_exists(struct simdisk *d, enum sim_side side, const char *name)
{
	int found;

	pthread_mutex_lock(&d->lock);
	found = !d->off && !d->gone[side] &&
		simfile_find(d, side, name) != NULL;
	pthread_mutex_unlock(&d->lock);
	return found;
}

int simdisk_size(struct simdisk *d, struct sim_fd fd, uint64_t *size_bytes)
{
	struct simfile *f;
	int rc = -EIO;

	pthread_mutex_lock(&d->lock);
	f = simfile_get(d, fd);
	if (f != NULL) {
		*size_bytes = f->now.len_bytes;
		rc = 0;
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

ssize_t simdisk_read(struct simdisk *d, struct sim_fd fd, void *buf, size_t len,
		     uint64_t offset)
{
	struct simfile *f;
	unsigned flags;
	ssize_t rc = -EIO;

	pthread_mutex_lock(&d->lock);
	f = simfile_get(d, fd);
	if (f == NULL)
		goto out;
	rc = begin(d, f->side, SIM_READ, &flags);
	if (rc == 0)
		rc = (ssize_t)simimage_read(&f->now, buf, len, offset);
out:
	pthread_mutex_unlock(&d->lock);
	return rc;
}

/* Whether a side may grow by so many bytes. */
static int room_for(struct simdisk *d, enum sim_side side, uint64_t more)
{
	if (d->capacity[side] == 0 || more == 0 ||
	    simfile_used(d, side) + more <= d->capacity[side])
		return 1;
	d->refused[side]++;
	return 0;
}

/* Whether the page around a place holds bytes on the disk and none pending. */
static int page_is_clean(const struct simdisk *d, const struct simfile *f,
			 uint64_t place)
{
	uint64_t from = place / SIM_PAGE * SIM_PAGE, to = from + SIM_PAGE;
	size_t i;

	if (f->now.len_bytes <= from)
		return 0;
	for (i = 0; i < d->pending_count; i++) {
		const struct simpending *p = &d->pending[i];

		if (p->kind == CHANGE_DATA && &d->files[p->file] == f &&
		    p->offset < to && p->offset + p->len > from)
			return 0;
	}
	return 1;
}

static void note_torn_pages(struct simdisk *d, const struct simfile *f,
			    uint64_t offset, uint64_t end)
{
	if (f->side != SIM_CARD)
		return;
	if (offset % SIM_PAGE != 0 && page_is_clean(d, f, offset))
		d->torn_pages++;
	else if (end % SIM_PAGE != 0 && page_is_clean(d, f, end))
		d->torn_pages++;
}

static void write_now(struct simdisk *d, struct simfile *f, const void *buf,
		      size_t len, uint64_t offset)
{
	if (len == 0)
		return;
	note_torn_pages(d, f, offset, offset + len);
	if (offset + len > f->now.len_bytes)
		pend(d, CHANGE_SIZE, f, offset + len, NULL, 0);
	pend(d, CHANGE_DATA, f, offset, buf, len);
	simimage_write(&f->now, buf, len, offset);
	f->count.bytes += len;
	d->count[f->side].bytes += len;
}

/* Whole pages further on or back, inside what the file has. */
static void write_astray(struct simdisk *d, struct simfile *f, const void *buf,
			 size_t len, uint64_t offset)
{
	uint64_t pages = f->now.len_bytes / SIM_PAGE, at;

	d->stray_bytes += len;
	if (pages < 2)
		return;
	at = sim_mix(d->ticks, offset) % pages * SIM_PAGE + offset % SIM_PAGE;
	if (at / SIM_PAGE == offset / SIM_PAGE)
		at = at >= SIM_PAGE ? at - SIM_PAGE : at + SIM_PAGE;
	if (len > f->now.len_bytes - at)
		len = (size_t)(f->now.len_bytes - at);
	write_now(d, f, buf, len, at);
}

int simdisk_write(struct simdisk *d, struct sim_fd fd, const void *buf,
		  size_t len, uint64_t offset)
{
	struct simfile *f;
	uint64_t end = offset + len, torn_pages;
	unsigned flags;
	int rc = -EIO;

	pthread_mutex_lock(&d->lock);
	torn_pages = d->torn_pages;
	f = simfile_get(d, fd);
	if (f == NULL)
		goto out;
	rc = begin(d, f->side, SIM_WRITE, &flags);
	if (rc == 0 && !room_for(d, f->side, end > f->now.len_bytes
						     ? end - f->now.len_bytes
						     : 0))
		rc = -ENOSPC;
	if (rc < 0 && (flags & SIM_FAULT_PARTIAL))
		write_now(d, f, buf, len / 2, offset);
	if (flags & SIM_FAULT_STRAY)
		write_astray(d, f, buf, len, offset);
	/* Where the bytes of a fault lie is not the store's doing. */
	if (flags != 0)
		d->torn_pages = torn_pages;
	if (rc < 0)
		goto out;
	if (!(flags & SIM_FAULT_STRAY))
		write_now(d, f, buf, len, offset);
	f->count.writes++;
	d->count[f->side].writes++;
out:
	pthread_mutex_unlock(&d->lock);
	return rc;
}

int simdisk_truncate(struct simdisk *d, struct sim_fd fd, uint64_t size_bytes)
{
	struct simfile *f;
	unsigned flags;
	int rc = -EIO;

	pthread_mutex_lock(&d->lock);
	f = simfile_get(d, fd);
	if (f == NULL)
		goto out;
	rc = begin(d, f->side, SIM_TRUNCATE, &flags);
	if (rc == 0 && size_bytes > f->now.len_bytes &&
	    !room_for(d, f->side, size_bytes - f->now.len_bytes))
		rc = -ENOSPC;
	if (rc == 0 && size_bytes != f->now.len_bytes) {
		pend(d, CHANGE_SIZE, f, size_bytes, NULL, 0);
		simimage_resize(&f->now, size_bytes);
	}
out:
	pthread_mutex_unlock(&d->lock);
	return rc;
}

/* Flash: the journal up to and including the file's own creation. */
static void sync_names(struct simdisk *d, uint8_t *gone, size_t upto)
{
	size_t i;

	for (i = 0; i < upto; i++) {
		struct simpending *p = &d->pending[i];

		if (d->files[p->file].side != SIM_FLASH || gone[i] ||
		    (p->kind != CHANGE_LINK && p->kind != CHANGE_UNLINK))
			continue;
		simpending_apply(d, p);
		gone[i] = 1;
	}
}

static void sync_file(struct simdisk *d, uint32_t file, int dropping)
{
	enum sim_side side = d->files[file].side;
	uint8_t *gone = sim_alloc(d->pending_count);
	size_t i;

	for (i = 0; i < d->pending_count; i++) {
		struct simpending *p = &d->pending[i];

		if (p->file != file || p->kind == CHANGE_UNLINK)
			continue;
		/* What an earlier sync confirmed is clean: not the kernel's. */
		if (dropping && p->until_us != 0)
			continue;
		if (p->kind == CHANGE_DATA && dropping) {
			gone[i] = 1;
		} else if (dropping) {
			continue;
		} else if (p->kind != CHANGE_LINK || side == SIM_FLASH) {
			if (p->kind == CHANGE_LINK)
				sync_names(d, gone, i);
			simpending_apply(d, p);
			gone[i] = 1;
		} else {
			p->ready = 1;
		}
	}
	simpending_remove(d, gone);
	free(gone);
}

/* Confirmed, and not durable. */
static void hold(const struct simdisk *d, enum sim_side side,
		 struct simpending *p)
{
	if (p->until_us != 0 && p->until_us != FOR_EVER)
		return;
	p->until_us = d->lying[side] ? FOR_EVER
				     : d->clock_us + d->cache_us[side];
}

/* A sync of the file succeeds, as far as the medium is honest. */
static void confirm(struct simdisk *d, uint32_t file)
{
	enum sim_side side = d->files[file].side;
	size_t i;

	if (!d->lying[side] && d->cache_us[side] == 0) {
		sync_file(d, file, 0);
		return;
	}
	for (i = 0; i < d->pending_count; i++) {
		struct simpending *p = &d->pending[i];

		if (p->file != file || p->kind == CHANGE_UNLINK)
			continue;
		if (p->kind != CHANGE_LINK || d->lying[side])
			hold(d, side, p);
		else
			p->ready = 1;
	}
}

int simdisk_sync(struct simdisk *d, struct sim_fd fd)
{
	struct simfile *f;
	unsigned flags;
	int rc = -EIO;

	pthread_mutex_lock(&d->lock);
	f = simfile_get(d, fd);
	if (f == NULL)
		goto out;
	rc = begin(d, f->side, SIM_SYNC, &flags);
	if (rc < 0 && (flags & SIM_FAULT_DROP))
		sync_file(d, fd.index, 1);
	if (rc < 0)
		goto out;
	f->count.syncs++;
	d->count[f->side].syncs++;
	confirm(d, fd.index);
out:
	pthread_mutex_unlock(&d->lock);
	return rc;
}

int simdisk_sync_dir(struct simdisk *d, enum sim_side side)
{
	uint8_t *gone = NULL;
	unsigned flags;
	size_t i;
	int rc;

	pthread_mutex_lock(&d->lock);
	rc = begin(d, side, SIM_SYNC_DIR, &flags);
	if (rc < 0)
		goto out;
	d->count[side].syncs++;
	if (d->lying[side])
		goto out;
	gone = sim_alloc(d->pending_count);
	if (side == SIM_FLASH)
		sync_names(d, gone, d->pending_count);
	for (i = 0; side == SIM_CARD && i < d->pending_count; i++) {
		struct simpending *p = &d->pending[i];

		if (d->files[p->file].side != side ||
		    (!p->ready && p->kind != CHANGE_UNLINK))
			continue;
		if (d->cache_us[side] != 0) {
			hold(d, side, p);
			continue;
		}
		simpending_apply(d, p);
		gone[i] = 1;
	}
	simpending_remove(d, gone);
out:
	free(gone);
	pthread_mutex_unlock(&d->lock);
	return rc;
}

int simdisk_unlink(struct simdisk *d, enum sim_side side, const char *name)
{
	struct simfile *f;
	unsigned flags;
	int rc = -EIO;

	pthread_mutex_lock(&d->lock);
	if (d->off)
		goto out;
	rc = -ENOENT;
	f = simfile_find(d, side, name);
	if (f == NULL)
		goto out;
	rc = begin(d, side, SIM_UNLINK, &flags);
	if (rc < 0)
		goto out;
	f->linked = 0;
	pend(d, CHANGE_UNLINK, f, 0, NULL, 0);
out:
	pthread_mutex_unlock(&d->lock);
	return rc;
}
