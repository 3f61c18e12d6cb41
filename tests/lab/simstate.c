/*
 * simstate.c - the simulated disk as a whole: its life, clock, locks, faults to
 * come and counters.
 * Must never change the content of a file: simdisk.c, simpower.c and
 * simtamper.c do.
 */
#include "tests/lab/simdisk_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct simdisk *simdisk_new(void)
{
	struct simdisk *d = sim_alloc(sizeof(*d));

	pthread_mutex_init(&d->lock, NULL);
	return d;
}

void simdisk_free(struct simdisk *d)
{
	uint32_t i;
	size_t k;

	if (d == NULL)
		return;
	for (i = 0; i < d->file_count; i++) {
		simimage_free(&d->files[i].now);
		simimage_free(&d->files[i].durable);
	}
	for (k = 0; k < d->pending_count; k++)
		simbytes_put(d->pending[k].data);
	free(d->files);
	free(d->pending);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

struct simdisk *simdisk_clone(struct simdisk *src)
{
	struct simdisk *d = simdisk_new();
	uint32_t i;
	size_t k;

	pthread_mutex_lock(&src->lock);
	d->ticks = src->ticks;
	d->clock_us = src->clock_us;
	d->boot[SIM_CARD] = src->boot[SIM_CARD] + 1;
	d->boot[SIM_FLASH] = src->boot[SIM_FLASH] + 1;
	d->off = src->off;
	memcpy(d->gone, src->gone, sizeof(d->gone));
	memcpy(d->capacity, src->capacity, sizeof(d->capacity));
	memcpy(d->lying, src->lying, sizeof(d->lying));
	memcpy(d->cache_us, src->cache_us, sizeof(d->cache_us));
	memcpy(d->count, src->count, sizeof(d->count));
	d->torn_pages = src->torn_pages;
	d->stray_bytes = src->stray_bytes;
	d->lost = src->lost;
	memcpy(d->hits, src->hits, sizeof(d->hits));
	memcpy(d->refused, src->refused, sizeof(d->refused));
	d->file_count = src->file_count;
	d->files = sim_alloc(src->file_count * sizeof(*d->files));
	for (i = 0; i < src->file_count; i++) {
		d->files[i] = src->files[i];
		d->files[i].shared = d->files[i].reserved = 0;
		d->files[i].exclusive = 0;
		simimage_clone(&d->files[i].now, &src->files[i].now);
		simimage_clone(&d->files[i].durable, &src->files[i].durable);
	}
	d->pending_count = d->pending_room = src->pending_count;
	d->pending = sim_alloc(src->pending_count * sizeof(*d->pending));
	for (k = 0; k < src->pending_count; k++) {
		d->pending[k] = src->pending[k];
		if (d->pending[k].data != NULL)
			atomic_fetch_add(&d->pending[k].data->refs, 1);
	}
	pthread_mutex_unlock(&src->lock);
	return d;
}

struct simfile *simfile_find(struct simdisk *d, enum sim_side side,
			     const char *name)
{
	uint32_t i;

	for (i = 0; i < d->file_count; i++)
		if (d->files[i].linked && d->files[i].side == side &&
		    strcmp(d->files[i].name, name) == 0)
			return &d->files[i];
	return NULL;
}

struct simfile *simfile_get(struct simdisk *d, struct sim_fd fd)
{
	struct simfile *f;

	if (d->off || fd.index >= d->file_count)
		return NULL;
	f = &d->files[fd.index];
	return fd.boot == d->boot[f->side] ? f : NULL;
}

/* Levels as SQLite's: 1 shared, 2 reserved, 3 pending, 4 exclusive. */
int simdisk_lock(struct simdisk *d, struct sim_fd fd, int held, int want)
{
	struct simfile *f;
	int rc = -EIO;

	pthread_mutex_lock(&d->lock);
	f = simfile_get(d, fd);
	if (f == NULL) {
		rc = want < held ? 0 : -EIO;
		goto out;
	}
	rc = -EBUSY;
	if (want > held) {
		if (held == 0 && f->exclusive)
			goto out;
		if (held < 2 && want >= 2 && f->reserved)
			goto out;
		if (want == 4 && f->shared > (held >= 1))
			goto out;
	}
	rc = 0;
	f->shared += (want >= 1) - (held >= 1);
	f->reserved += (want >= 2) - (held >= 2);
	f->exclusive += (want >= 4) - (held >= 4);
out:
	pthread_mutex_unlock(&d->lock);
	return rc;
}

int simdisk_reserved(struct simdisk *d, struct sim_fd fd)
{
	struct simfile *f;
	int reserved;

	pthread_mutex_lock(&d->lock);
	f = simfile_get(d, fd);
	reserved = f != NULL && f->reserved > 0;
	pthread_mutex_unlock(&d->lock);
	return reserved;
}

uint64_t simdisk_ticks(struct simdisk *d)
{
	uint64_t ticks;

	pthread_mutex_lock(&d->lock);
	ticks = d->ticks;
	pthread_mutex_unlock(&d->lock);
	return ticks;
}

void simdisk_arm(struct simdisk *d, uint64_t cut_at_tick)
{
	pthread_mutex_lock(&d->lock);
	d->cut_at = cut_at_tick;
	pthread_mutex_unlock(&d->lock);
}

void simdisk_power_off(struct simdisk *d)
{
	pthread_mutex_lock(&d->lock);
	d->off = 1;
	pthread_mutex_unlock(&d->lock);
}

void simdisk_watch(struct simdisk *d, void (*fn)(void *ctx), void *ctx)
{
	pthread_mutex_lock(&d->lock);
	d->watch = fn;
	d->watch_ctx = ctx;
	pthread_mutex_unlock(&d->lock);
}

int simdisk_is_off(struct simdisk *d)
{
	int off;

	pthread_mutex_lock(&d->lock);
	off = d->off;
	pthread_mutex_unlock(&d->lock);
	return off;
}

void simdisk_count(struct simdisk *d, enum sim_side side, const char *name,
		   struct sim_count *count)
{
	uint32_t i;

	pthread_mutex_lock(&d->lock);
	memset(count, 0, sizeof(*count));
	if (name == NULL)
		*count = d->count[side];
	for (i = 0; name != NULL && i < d->file_count; i++) {
		if (d->files[i].side != side ||
		    strcmp(d->files[i].name, name) != 0)
			continue;
		count->bytes += d->files[i].count.bytes;
		count->writes += d->files[i].count.writes;
		count->syncs += d->files[i].count.syncs;
	}
	pthread_mutex_unlock(&d->lock);
}

uint64_t simfile_used(const struct simdisk *d, enum sim_side side)
{
	uint64_t used = 0;
	uint32_t i;

	for (i = 0; i < d->file_count; i++)
		if (d->files[i].side == side && d->files[i].linked)
			used += d->files[i].now.len_bytes;
	return used;
}

uint64_t simdisk_used(struct simdisk *d, enum sim_side side)
{
	uint64_t used;

	pthread_mutex_lock(&d->lock);
	used = simfile_used(d, side);
	pthread_mutex_unlock(&d->lock);
	return used;
}

uint64_t simdisk_torn_pages(struct simdisk *d)
{
	uint64_t n;

	pthread_mutex_lock(&d->lock);
	n = d->torn_pages;
	pthread_mutex_unlock(&d->lock);
	return n;
}

size_t simdisk_pending(struct simdisk *d, enum sim_side side)
{
	size_t n = 0, i;

	pthread_mutex_lock(&d->lock);
	for (i = 0; i < d->pending_count; i++)
		n += d->files[d->pending[i].file].side == side;
	pthread_mutex_unlock(&d->lock);
	return n;
}

void simdisk_fault(struct simdisk *d, enum sim_side side, enum sim_op op,
		   unsigned after, unsigned times, int err, unsigned flags)
{
	struct simfault *f;

	pthread_mutex_lock(&d->lock);
	if (d->fault_count == SIM_FAULTS)
		abort();
	f = &d->faults[d->fault_count++];
	memset(f, 0, sizeof(*f));
	f->side = side;
	f->op = op;
	f->after = after;
	f->times = times;
	f->err = err;
	f->flags = flags;
	pthread_mutex_unlock(&d->lock);
}

void simdisk_clear_faults(struct simdisk *d)
{
	pthread_mutex_lock(&d->lock);
	d->fault_count = 0;
	pthread_mutex_unlock(&d->lock);
}

uint64_t simdisk_hits(struct simdisk *d, enum sim_side side, enum sim_op op,
		      unsigned flags)
{
	uint64_t n;

	pthread_mutex_lock(&d->lock);
	n = d->hits[side][op][flags];
	pthread_mutex_unlock(&d->lock);
	return n;
}

uint64_t simdisk_fault_hits(struct simdisk *d)
{
	uint64_t n;

	pthread_mutex_lock(&d->lock);
	n = d->fault_hits;
	pthread_mutex_unlock(&d->lock);
	return n;
}

uint64_t simdisk_stray_bytes(struct simdisk *d)
{
	uint64_t n;

	pthread_mutex_lock(&d->lock);
	n = d->stray_bytes;
	pthread_mutex_unlock(&d->lock);
	return n;
}

uint64_t simdisk_lost(struct simdisk *d)
{
	uint64_t n;

	pthread_mutex_lock(&d->lock);
	n = d->lost;
	pthread_mutex_unlock(&d->lock);
	return n;
}

uint64_t simdisk_room(struct simdisk *d, enum sim_side side)
{
	uint64_t used, room = UINT64_MAX;

	pthread_mutex_lock(&d->lock);
	used = simfile_used(d, side);
	if (d->capacity[side] != 0)
		room = d->capacity[side] > used ? d->capacity[side] - used : 0;
	pthread_mutex_unlock(&d->lock);
	return room;
}

uint64_t simdisk_refused(struct simdisk *d, enum sim_side side)
{
	uint64_t n;

	pthread_mutex_lock(&d->lock);
	n = d->refused[side];
	pthread_mutex_unlock(&d->lock);
	return n;
}

int simdisk_is_gone(struct simdisk *d, enum sim_side side)
{
	int gone;

	pthread_mutex_lock(&d->lock);
	gone = d->gone[side];
	pthread_mutex_unlock(&d->lock);
	return gone;
}

void simdisk_insert(struct simdisk *d, enum sim_side side)
{
	pthread_mutex_lock(&d->lock);
	d->gone[side] = 0;
	pthread_mutex_unlock(&d->lock);
}

void simpending_age(struct simdisk *d, uint64_t us)
{
	uint8_t *gone;
	size_t i;

	d->clock_us += us;
	if (d->cache_us[SIM_CARD] == 0 && d->cache_us[SIM_FLASH] == 0)
		return;
	gone = sim_alloc(d->pending_count);
	for (i = 0; i < d->pending_count; i++) {
		struct simpending *p = &d->pending[i];

		if (p->until_us == 0 || p->until_us > d->clock_us)
			continue;
		simpending_apply(d, p);
		gone[i] = 1;
	}
	simpending_remove(d, gone);
	free(gone);
}

void simdisk_idle(struct simdisk *d, uint64_t us)
{
	pthread_mutex_lock(&d->lock);
	simpending_age(d, us);
	pthread_mutex_unlock(&d->lock);
}

void simdisk_cache(struct simdisk *d, enum sim_side side, uint64_t us)
{
	size_t i;

	pthread_mutex_lock(&d->lock);
	/* What comes later must not become durable earlier. */
	for (i = 0; i < d->pending_count; i++) {
		struct simpending *p = &d->pending[i];

		if (d->files[p->file].side == side && p->until_us != 0 &&
		    p->until_us != FOR_EVER && p->until_us > d->clock_us + us)
			p->until_us = d->clock_us + us;
	}
	/* The last of what was held goes through while there is a cache. */
	simpending_age(d, 0);
	d->cache_us[side] = us;
	pthread_mutex_unlock(&d->lock);
}

void simdisk_capacity(struct simdisk *d, enum sim_side side, uint64_t bytes)
{
	pthread_mutex_lock(&d->lock);
	d->capacity[side] = bytes;
	pthread_mutex_unlock(&d->lock);
}

void simdisk_lie(struct simdisk *d, enum sim_side side, int lying)
{
	pthread_mutex_lock(&d->lock);
	d->lying[side] = lying;
	pthread_mutex_unlock(&d->lock);
}
