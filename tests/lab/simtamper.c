/*
 * simtamper.c - what an attacker with the card in hand does: copies, older
 * copies, flipped bytes, cut files. Also what a failed sync leaves in the cache.
 * Must never tick: tampering happens between two moments of the machine.
 */
#include "tests/lab/simdisk_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sim_copied {
	char name[SIM_NAME_BYTES];
	struct simimage image;
};

struct sim_copy {
	enum sim_side side;
	struct sim_copied *files;
	uint32_t count;
};

/* Finds a file and makes what it holds durable, so that tampering is not
 * undone by the next cut. */
static struct simfile *find_settled(struct simdisk *d, enum sim_side side,
				    const char *name)
{
	struct simfile *f = simfile_find(d, side, name);
	uint8_t *gone;
	size_t i;

	if (f == NULL)
		return NULL;
	gone = sim_alloc(d->pending_count);
	for (i = 0; i < d->pending_count; i++)
		gone[i] = d->pending[i].file == (uint32_t)(f - d->files);
	simpending_remove(d, gone);
	free(gone);
	f->linked_durable = 1;
	return f;
}

/* Makes what is read also what is on the disk. */
static void settle_now(struct simfile *f)
{
	simimage_free(&f->durable);
	simimage_clone(&f->durable, &f->now);
	f->durable_size = f->now.len_bytes;
}

static struct simfile *make_settled(struct simdisk *d, enum sim_side side,
				    const char *name)
{
	struct simfile *f = find_settled(d, side, name);

	if (f != NULL)
		return f;
	d->files = sim_realloc(d->files, (d->file_count + 1) * sizeof(*f));
	f = &d->files[d->file_count++];
	memset(f, 0, sizeof(*f));
	strncpy(f->name, name, SIM_NAME_BYTES - 1);
	f->side = side;
	f->linked = f->linked_durable = 1;
	return f;
}

static void drop(struct simfile *f)
{
	f->linked = f->linked_durable = 0;
	f->durable_size = 0;
	simimage_free(&f->durable);
	simimage_free(&f->now);
}

struct sim_copy *simdisk_copy(struct simdisk *d, enum sim_side side)
{
	struct sim_copy *copy = sim_alloc(sizeof(*copy));
	uint32_t i;

	pthread_mutex_lock(&d->lock);
	copy->side = side;
	copy->files = sim_alloc(d->file_count * sizeof(*copy->files));
	for (i = 0; i < d->file_count; i++) {
		struct simfile *f = &d->files[i];

		if (f->side != side || !f->linked)
			continue;
		strcpy(copy->files[copy->count].name, f->name);
		simimage_clone(&copy->files[copy->count++].image, &f->now);
	}
	pthread_mutex_unlock(&d->lock);
	return copy;
}

void simdisk_restore(struct simdisk *d, const struct sim_copy *copy)
{
	struct simfile *f;
	uint32_t i;

	pthread_mutex_lock(&d->lock);
	for (i = 0; i < d->file_count; i++) {
		if (d->files[i].side != copy->side || !d->files[i].linked)
			continue;
		drop(find_settled(d, copy->side, d->files[i].name));
	}
	for (i = 0; i < copy->count; i++) {
		f = make_settled(d, copy->side, copy->files[i].name);
		simimage_clone(&f->now, &copy->files[i].image);
		settle_now(f);
	}
	pthread_mutex_unlock(&d->lock);
}

void sim_copy_free(struct sim_copy *copy)
{
	uint32_t i;

	if (copy == NULL)
		return;
	for (i = 0; i < copy->count; i++)
		simimage_free(&copy->files[i].image);
	free(copy->files);
	free(copy);
}

int simdisk_peek(struct simdisk *d, enum sim_side side, const char *name,
		 void *buf, size_t len, uint64_t offset)
{
	struct simfile *f;
	int rc = -ENOENT;

	pthread_mutex_lock(&d->lock);
	f = simfile_find(d, side, name);
	if (f != NULL)
		rc = simimage_read(&f->now, buf, len, offset) == len ? 0
								     : -ERANGE;
	pthread_mutex_unlock(&d->lock);
	return rc;
}

int simdisk_poke(struct simdisk *d, enum sim_side side, const char *name,
		 const void *buf, size_t len, uint64_t offset)
{
	struct simfile *f;
	int rc = -ENOENT;

	pthread_mutex_lock(&d->lock);
	f = find_settled(d, side, name);
	if (f != NULL) {
		simimage_write(&f->now, buf, len, offset);
		settle_now(f);
		rc = 0;
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

int simdisk_rot(struct simdisk *d, enum sim_side side, const char *name,
		uint64_t offset, uint8_t mask)
{
	struct simfile *f;
	uint8_t byte;
	int rc = -ENOENT, cached = 0;
	size_t i;

	pthread_mutex_lock(&d->lock);
	f = simfile_find(d, side, name);
	if (f == NULL)
		goto out;
	rc = -ERANGE;
	if (simimage_read(&f->durable, &byte, 1, offset) != 1)
		goto out;
	byte ^= mask;
	simimage_write(&f->durable, &byte, 1, offset);
	for (i = 0; i < d->pending_count; i++) {
		struct simpending *p = &d->pending[i];

		cached |= p->kind == CHANGE_DATA && &d->files[p->file] == f &&
			  offset >= p->offset && offset < p->offset + p->len;
	}
	if (!cached && offset < f->now.len_bytes)
		simimage_write(&f->now, &byte, 1, offset);
	rc = 0;
out:
	pthread_mutex_unlock(&d->lock);
	return rc;
}

int simdisk_flip(struct simdisk *d, enum sim_side side, const char *name,
		 uint64_t offset, uint8_t mask)
{
	uint8_t byte;
	int rc = simdisk_peek(d, side, name, &byte, 1, offset);

	if (rc < 0)
		return rc;
	byte ^= mask;
	return simdisk_poke(d, side, name, &byte, 1, offset);
}

int simdisk_cut_file(struct simdisk *d, enum sim_side side, const char *name,
		     uint64_t size_bytes)
{
	struct simfile *f;
	int rc = -ENOENT;

	pthread_mutex_lock(&d->lock);
	f = find_settled(d, side, name);
	if (f != NULL) {
		simimage_resize(&f->now, size_bytes);
		settle_now(f);
		rc = 0;
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

int simdisk_copy_file(struct simdisk *d, enum sim_side side, const char *from,
		      const char *to)
{
	struct simfile *f, *g;
	struct simimage image;
	int rc = -ENOENT;

	pthread_mutex_lock(&d->lock);
	f = simfile_find(d, side, from);
	if (f != NULL) {
		simimage_clone(&image, &f->now);
		g = make_settled(d, side, to);
		simimage_free(&g->now);
		g->now = image;
		settle_now(g);
		rc = 0;
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

int simdisk_drop_file(struct simdisk *d, enum sim_side side, const char *name)
{
	struct simfile *f;
	int rc = -ENOENT;

	pthread_mutex_lock(&d->lock);
	f = find_settled(d, side, name);
	if (f != NULL) {
		drop(f);
		rc = 0;
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

void simdisk_evict(struct simdisk *d)
{
	struct simimage disk;
	uint32_t i;
	size_t k;

	pthread_mutex_lock(&d->lock);
	for (i = 0; i < d->file_count; i++) {
		struct simfile *f = &d->files[i];
		uint64_t size = f->now.len_bytes;

		/* Dirty pages stay: the disk, and over it what is pending. */
		simimage_clone(&disk, &f->durable);
		for (k = 0; k < d->pending_count; k++) {
			struct simpending *p = &d->pending[k];

			if (p->file != i)
				continue;
			if (p->kind == CHANGE_DATA)
				simimage_write(&disk, p->data->bytes, p->len,
					       p->offset);
			else if (p->kind == CHANGE_SIZE &&
				 p->offset < disk.len_bytes)
				simimage_resize(&disk, p->offset);
		}
		if (f->linked) {
			simimage_resize(&disk, size);
			simimage_free(&f->now);
			f->now = disk;
		} else {
			simimage_free(&disk);
		}
	}
	pthread_mutex_unlock(&d->lock);
}
