/*
 * simpower.c - what a power cut leaves of the pending changes.
 * Must never keep what the fault model in simdisk.h could not keep, and must
 * give the same result for the same history, variant and seed.
 */
#include "tests/lab/simdisk_int.h"

#include <stdlib.h>
#include <string.h>

/* What one side draws before its pending changes are looked at. */
struct draw {
	uint64_t seed;
	size_t count;		/* pending changes of the side */
	size_t keep;		/* PREFIX: so many survive */
	size_t keep_names;	/* SUBSET: links and unlinks before this one */
	unsigned keep_eighths;	/* SUBSET: pieces kept whole, of 8 */
	uint64_t piece;		/* SUBSET: sectors that share their fate */
	size_t last_data;	/* TEAR_LAST: position of the last write */
};

const char *sim_variant_name(enum sim_variant v)
{
	static const char *const names[SIM_VARIANTS] = {
		"drop", "prefix", "subset", "tear", "kill"
	};

	return v < SIM_VARIANTS ? names[v] : "?";
}

/* Zero, everything, or anything between. */
static size_t draw_prefix(uint64_t *rng, size_t count)
{
	switch (sim_random(rng) % 4) {
	case 0:
		return 0;
	case 1:
		return count;
	default:
		return (size_t)(sim_random(rng) % (count + 1));
	}
}

static void draw_side(const struct simdisk *d, enum sim_side side,
		      enum sim_variant v, uint64_t seed, struct draw *w)
{
	static const unsigned eighths[] = { 0, 1, 4, 4, 7, 8 };
	static const uint64_t pieces[] = { 1, 1, 8, 64 };
	uint64_t rng = sim_mix(seed, 100 + (uint64_t)side);
	size_t i;

	memset(w, 0, sizeof(*w));
	w->seed = rng;
	w->last_data = SIZE_MAX;
	for (i = 0; i < d->pending_count; i++) {
		if (d->files[d->pending[i].file].side != side)
			continue;
		if (d->pending[i].kind == CHANGE_DATA)
			w->last_data = w->count;
		w->count++;
	}
	w->keep = draw_prefix(&rng, w->count);
	/* Seeds 1 and 2 of "drop" let one side keep everything. */
	if (v == SIM_DROP_ALL)
		w->keep = (seed == 1 && side == SIM_FLASH) ||
			  (seed == 2 && side == SIM_CARD) ? w->count : 0;
	w->keep_names = draw_prefix(&rng, w->count);
	w->keep_eighths = eighths[sim_random(&rng) % 6];
	w->piece = pieces[sim_random(&rng) % 4];
}

/* The part of a write that lies in one sector of the file. */
static void apply_sector(struct simdisk *d, const struct simpending *p,
			 uint64_t sector)
{
	uint64_t from = sector * SIM_SECTOR, to = from + SIM_SECTOR;
	struct simfile *f = &d->files[p->file];

	if (from < p->offset)
		from = p->offset;
	if (to > p->offset + p->len)
		to = p->offset + p->len;
	simimage_write(&f->durable, p->data->bytes + (from - p->offset),
		       (size_t)(to - from), from);
}

/* SUBSET: a sector keeps its pending writes up to some moment. Neighbours share
 * the moment in pieces: sectors, pages, or what the kernel writes at once. */
static void apply_subset(struct simdisk *d, const struct simpending *p,
			 size_t at, const struct draw *w)
{
	uint64_t s, end, rng;
	size_t upto;

	if (p->kind == CHANGE_LINK || p->kind == CHANGE_UNLINK) {
		if (at < w->keep_names)
			simpending_apply(d, p);
		return;
	}
	if (p->kind == CHANGE_SIZE) {
		rng = sim_mix(w->seed, 1000 + p->file);
		if (at < draw_prefix(&rng, w->count))
			simpending_apply(d, p);
		return;
	}
	end = (p->offset + p->len + SIM_SECTOR - 1) / SIM_SECTOR;
	for (s = p->offset / SIM_SECTOR; s < end; s++) {
		rng = sim_mix(sim_mix(w->seed, p->file), s / w->piece);
		upto = w->count;
		if (sim_random(&rng) % 8 >= w->keep_eighths)
			upto = sim_random(&rng) % 2 == 0
				       ? 0
				       : (size_t)(sim_random(&rng) %
						  (w->count + 1));
		if (at < upto)
			apply_sector(d, p, s);
	}
}

/* TEAR_LAST: the first few sectors of the last write, not all of them. */
static void apply_torn(struct simdisk *d, const struct simpending *p,
		       const struct draw *w)
{
	uint64_t first = p->offset / SIM_SECTOR, s;
	uint64_t end = (p->offset + p->len + SIM_SECTOR - 1) / SIM_SECTOR;
	uint64_t rng = w->seed + 7, keep;

	keep = sim_random(&rng) % (end - first);
	for (s = first; s < first + keep; s++)
		apply_sector(d, p, s);
}

static void apply_one(struct simdisk *d, const struct simpending *p, size_t at,
		      enum sim_variant v, const struct draw *w)
{
	switch (v) {
	case SIM_DROP_ALL:
	case SIM_PREFIX:
		if (at < w->keep)
			simpending_apply(d, p);
		break;
	case SIM_SUBSET:
		apply_subset(d, p, at, w);
		break;
	case SIM_TEAR_LAST:
		if (at == w->last_data)
			apply_torn(d, p, w);
		else
			simpending_apply(d, p);
		break;
	default:
		simpending_apply(d, p);
		break;
	}
}

/* The file as the next boot finds it. */
static void settle(struct simfile *f, uint64_t seed)
{
	f->linked = f->linked_durable;
	if (!f->linked)
		f->durable_size = 0;
	if (f->durable.len_bytes < f->durable_size && f->side == SIM_CARD)
		simimage_grow_garbage(&f->durable, f->durable_size, seed);
	simimage_resize(&f->durable, f->durable_size);
	simimage_free(&f->now);
	simimage_clone(&f->now, &f->durable);
}

/* Whether a confirmed change is not there as it was confirmed. One that was
 * overwritten meanwhile may count as lost: the test then asks for less. */
static int is_lost(const struct simdisk *d, const struct simpending *p)
{
	const struct simfile *f = &d->files[p->file];
	uint8_t *bytes;
	int same;

	if (p->until_us == 0)
		return 0;
	if (p->kind == CHANGE_LINK)
		return !f->linked_durable;
	if (p->kind == CHANGE_UNLINK)
		return f->linked_durable;
	if (p->kind == CHANGE_SIZE)
		return f->durable_size < p->offset;
	bytes = sim_alloc(p->len);
	same = simimage_read(&f->durable, bytes, p->len, p->offset) == p->len &&
	       memcmp(bytes, p->data->bytes, p->len) == 0;
	free(bytes);
	return !same;
}

static void lose_side(struct simdisk *d, enum sim_side side, enum sim_variant v,
		      uint64_t seed)
{
	uint8_t *gone = sim_alloc(d->pending_count);
	size_t at = 0, i;
	struct draw w;
	uint32_t k;

	draw_side(d, side, v, seed, &w);
	for (i = 0; i < d->pending_count; i++) {
		if (d->files[d->pending[i].file].side != side)
			continue;
		apply_one(d, &d->pending[i], at++, v, &w);
		gone[i] = 1;
	}
	for (i = 0; i < d->pending_count; i++)
		d->lost += gone[i] && is_lost(d, &d->pending[i]);
	simpending_remove(d, gone);
	free(gone);
	for (k = 0; k < d->file_count; k++) {
		if (d->files[k].side != side)
			continue;
		settle(&d->files[k], sim_mix(seed, k));
		d->files[k].shared = d->files[k].reserved = 0;
		d->files[k].exclusive = 0;
	}
	d->boot[side]++;
}

static void lose_power(struct simdisk *d, const enum sim_variant v[SIM_SIDES],
		       uint64_t seed)
{
	d->lost = 0;
	lose_side(d, SIM_CARD, v[SIM_CARD], seed);
	lose_side(d, SIM_FLASH, v[SIM_FLASH], seed);
}

/* All handles and locks are gone with the process. */
static void boot_again(struct simdisk *d)
{
	uint32_t k;

	for (k = 0; k < d->file_count; k++) {
		d->files[k].shared = d->files[k].reserved = 0;
		d->files[k].exclusive = 0;
	}
	d->boot[SIM_CARD]++;
	d->boot[SIM_FLASH]++;
	d->off = 0;
	d->fault_count = 0;
}

void simdisk_power_cycle(struct simdisk *d, enum sim_variant v, uint64_t seed)
{
	const enum sim_variant sides[SIM_SIDES] = { v, v };

	pthread_mutex_lock(&d->lock);
	/* After the death of a process all is still pending in the kernel. */
	d->lost = 0;
	if (v != SIM_KEEP_ALL)
		lose_power(d, sides, seed);
	if (v != SIM_KEEP_ALL || d->cut_at <= d->ticks)
		d->cut_at = 0;
	boot_again(d);
	pthread_mutex_unlock(&d->lock);
}

void simdisk_lose_power(struct simdisk *d, const enum sim_variant v[SIM_SIDES],
			uint64_t seed)
{
	pthread_mutex_lock(&d->lock);
	/* Seeds of "drop" that let one side keep everything are not for here. */
	lose_power(d, v, seed < 3 ? seed + 3 : seed);
	d->cut_at = 0;
	boot_again(d);
	pthread_mutex_unlock(&d->lock);
}

void simdisk_shut_down(struct simdisk *d)
{
	uint8_t *gone;
	size_t i;

	pthread_mutex_lock(&d->lock);
	gone = sim_alloc(d->pending_count);
	for (i = 0; i < d->pending_count; i++) {
		simpending_apply(d, &d->pending[i]);
		gone[i] = 1;
	}
	simpending_remove(d, gone);
	free(gone);
	pthread_mutex_unlock(&d->lock);
}

void simdisk_pull(struct simdisk *d, enum sim_side side, enum sim_variant v,
		  uint64_t seed)
{
	pthread_mutex_lock(&d->lock);
	d->lost = 0;
	lose_side(d, side, v == SIM_KEEP_ALL ? SIM_DROP_ALL : v, seed);
	d->gone[side] = 1;
	pthread_mutex_unlock(&d->lock);
}
