/*
 * map.c - see map.h. One mutex; it is never held over I/O.
 */
#include "liblbs/map/map.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lbs.h"
#include "liblbs/map/memtable.h"
#include "liblbs/map/pages.h"
#include "liblbs/meta/mapstore.h"

/* An unmap of more blocks than this is kept as a range. */
#define UNMAP_ENTRIES_MAX 64u
/* Slots of one change that are fetched ahead: what a core has under way. */
#define PREFETCH_MAX 8u

struct map {
	pthread_mutex_t lock;
	map_load_fn *load;
	void *ctx;
	uint64_t limit;		/* constant */
	uint64_t *scratch;	/* of the one checkpoint that runs */
	/* all below guarded by lock */
	struct memtable *active, *frozen;
	int is_frozen;
	struct memtable_run *runs; /* of frozen */
	uint64_t runs_bytes;
	struct pages *pages;
	uint32_t admitted_entries, admitted_ranges;
	struct log_position behind;
	uint64_t peak, hits, loads;
	int replayed_beyond;	/* replay grew a table over its share */
	/* mapped blocks: by the persisted map, allowed, and written since the
	 * tables were begun */
	uint64_t live, live_max, active_blocks, frozen_blocks;
};

/*
 * How the limit is shared out. A slot costs 16 bytes in each of two tables, and
 * three quarters of the slots may hold an entry, which at a checkpoint costs 16
 * bytes to sort and up to 48 as runs: 32 + 0.75 * 64 = 80 bytes a slot. The
 * tables get about a third of the limit, a region's scratch 1 MiB, pages the
 * rest.
 */
static uint32_t
slots_for(uint64_t limit)
{
	uint32_t slots = 1024;

	while (slots * 2 * 80ull <= limit * 3 / 8 && slots < 1u << 22)
		slots *= 2;
	return slots;
}

#define SCRATCH_BYTES (MAP_REGION_BLOCKS * sizeof(uint64_t))

struct map *
map_new(uint64_t limit_bytes, map_load_fn *load, void *ctx)
{
	struct map *map = calloc(1, sizeof *map);
	uint32_t slots;
	uint64_t fixed;

	if (!map)
		return NULL;
	pthread_mutex_init(&map->lock, NULL);
	map->limit = limit_bytes ? limit_bytes : MAP_LIMIT_DEFAULT;
	if (map->limit < MAP_LIMIT_MIN)
		map->limit = MAP_LIMIT_MIN;
	map->load = load;
	map->ctx = ctx;
	slots = slots_for(map->limit);
	map->active = memtable_new(slots);
	map->frozen = memtable_new(slots);
	map->scratch = malloc(SCRATCH_BYTES);
	if (map->active && map->frozen && map->scratch) {
		fixed = 80ull * slots + SCRATCH_BYTES +
			2 * (memtable_bytes(map->active) - 16ull * slots);
		/* A page costs its entries, its links and its bucket. */
		map->pages = pages_new((uint32_t)(
			(map->limit - fixed) /
			(MAP_PAGE_BLOCKS * sizeof(uint64_t) + 64)));
	}
	if (!map->pages) {
		map_free(map);
		return NULL;
	}
	return map;
}

void
map_free(struct map *map)
{
	if (!map)
		return;
	memtable_free(map->active);
	memtable_free(map->frozen);
	pages_free(map->pages);
	free(map->runs);
	free(map->scratch);
	pthread_mutex_destroy(&map->lock);
	free(map);
}

static uint64_t
bytes_now(struct map *map)
{
	return memtable_bytes(map->active) + memtable_bytes(map->frozen) +
	       SCRATCH_BYTES + map->runs_bytes + pages_bytes(map->pages);
}

/* DESIGN.md promise 10: asserted wherever memory may have grown. */
static void
check_limit(struct map *map)
{
	uint64_t now = bytes_now(map);

	if (now > map->peak)
		map->peak = now;
	assert(now <= map->limit || map->replayed_beyond);
}

static uint32_t
entries_of(uint32_t blocks, int is_unmap)
{
	return is_unmap && blocks > UNMAP_ENTRIES_MAX ? 0 : blocks;
}

static uint32_t
ranges_of(uint32_t blocks, int is_unmap)
{
	return is_unmap && blocks > UNMAP_ENTRIES_MAX ? 1 : 0;
}

/* Everything that a checkpoint has not counted yet counts as new. */
static int
allows(const struct map *map, uint32_t fresh)
{
	return map->live + map->active_blocks + map->frozen_blocks +
		       map->admitted_entries + fresh <= map->live_max;
}

int
map_admit(struct map *map, const struct extent *extent, int is_unmap,
	  uint32_t fresh)
{
	uint32_t entries = entries_of(extent->count_blocks, is_unmap);
	uint32_t ranges = ranges_of(extent->count_blocks, is_unmap);
	uint64_t key = map_key(extent->layer, extent->lba);
	int ok;

	pthread_mutex_lock(&map->lock);
	ok = fresh && !allows(map, fresh)
		     ? LBS_ENOSPC
		     : memtable_fits(map->active,
				     map->admitted_entries + entries,
				     map->admitted_ranges + ranges);
	if (ok > 0) {
		map->admitted_entries += entries;
		map->admitted_ranges += ranges;
		for (uint32_t i = 0; i < entries && i < PREFETCH_MAX; i++)
			memtable_prefetch(map->active, key + i);
	}
	pthread_mutex_unlock(&map->lock);
	return ok;
}

static void
unadmit(struct map *map, uint32_t blocks, int is_unmap)
{
	assert(map->admitted_entries >= entries_of(blocks, is_unmap));
	map->admitted_entries -= entries_of(blocks, is_unmap);
	map->admitted_ranges -= ranges_of(blocks, is_unmap);
}

void
map_unadmit(struct map *map, const struct extent *extent, int is_unmap)
{
	pthread_mutex_lock(&map->lock);
	unadmit(map, extent->count_blocks, is_unmap);
	pthread_mutex_unlock(&map->lock);
}

int
map_wants_checkpoint(struct map *map)
{
	int wants;

	pthread_mutex_lock(&map->lock);
	/* When two thirds of what fits is used. */
	wants = !map->is_frozen &&
		!memtable_fits(map->active,
			       (uint32_t)(memtable_bytes(map->active) / 16 / 4),
			       342);
	pthread_mutex_unlock(&map->lock);
	return wants;
}

static void
apply_one(struct map *map, const struct map_change *c)
{
	uint64_t key = map_key(c->extent.layer, c->extent.lba);
	uint32_t n = c->extent.count_blocks;

	if (!c->position && n > UNMAP_ENTRIES_MAX)
		memtable_unmap(map->active, key, n);
	else
		for (uint32_t i = 0; i < n; i++)
			memtable_put(map->active, key + i,
				     c->position ? position_next(c->position, i)
						 : 0);
	map->active_blocks += c->position ? n : 0;
}

void
map_apply(struct map *map, const struct map_change *changes, int count,
	  const struct log_position *behind)
{
	pthread_mutex_lock(&map->lock);
	/* DESIGN.md promise 3: strictly in log order. */
	assert(behind->recno > map->behind.recno);
	for (int i = 0; i < count; i++) {
		apply_one(map, &changes[i]);
		unadmit(map, changes[i].extent.count_blocks,
			!changes[i].position);
	}
	map->behind = *behind;
	pthread_mutex_unlock(&map->lock);
}

int
map_replay(struct map *map, const struct map_change *changes, int count,
	   const struct log_position *behind)
{
	int rc = 0;

	pthread_mutex_lock(&map->lock);
	for (int i = 0; i < count && rc == 0; i++) {
		uint32_t n = changes[i].extent.count_blocks;
		int is_unmap = !changes[i].position;

		if (!memtable_fits(map->active, entries_of(n, is_unmap),
				   ranges_of(n, is_unmap))) {
			map->replayed_beyond = 1;
			if (memtable_grow(map->active, entries_of(n, is_unmap),
					  ranges_of(n, is_unmap)))
				rc = LBS_ENOMEM;
		}
		if (rc == 0)
			apply_one(map, &changes[i]);
	}
	map->behind = *behind;
	check_limit(map);
	pthread_mutex_unlock(&map->lock);
	return rc;
}

void
map_position(struct map *map, struct log_position *out)
{
	pthread_mutex_lock(&map->lock);
	*out = map->behind;
	pthread_mutex_unlock(&map->lock);
}

void
map_position_set(struct map *map, const struct log_position *position)
{
	pthread_mutex_lock(&map->lock);
	map->behind = *position;
	pthread_mutex_unlock(&map->lock);
}

/* The entry of one block; 0 and *page if a page must be loaded first. */
static int
entry(struct map *map, uint32_t layer, uint64_t lba, uint64_t *value,
      uint64_t *page)
{
	uint64_t key = map_key(layer, lba), *entries;

	if (memtable_get(map->active, key, value) ||
	    (map->is_frozen && memtable_get(map->frozen, key, value)))
		return 1;
	*page = lba / MAP_PAGE_BLOCKS;
	entries = pages_find(map->pages, map_key(layer, *page));
	if (!entries)
		return 0;
	map->hits++;
	*value = entries[lba % MAP_PAGE_BLOCKS];
	return 1;
}

/* 1 and all pinned, or 0 and *page to be loaded first. lock is held. */
static int
look_up(struct map *map, uint32_t layer, uint64_t lba, uint32_t count,
	uint64_t *positions, void (*pin)(void *ctx, uint32_t segment),
	void *ctx, uint64_t *page)
{
	for (uint32_t i = 0; i < count; i++)
		if (!entry(map, layer, lba + i, &positions[i], page))
			return 0;
	for (uint32_t i = 0; pin && i < count; i++)
		if (positions[i])
			pin(ctx, position_segment(positions[i]));
	return 1;
}

int
map_lookup(struct map *map, uint32_t layer, uint64_t lba, uint32_t count,
	   uint64_t *positions, void (*pin)(void *ctx, uint32_t segment),
	   void *ctx)
{
	uint64_t page;
	int rc = 0;

	pthread_mutex_lock(&map->lock);
	while (rc == 0 && !look_up(map, layer, lba, count, positions, pin, ctx,
				   &page)) {
		map->loads++;
		pthread_mutex_unlock(&map->lock);
		rc = map->load(map->ctx, layer, page);
		pthread_mutex_lock(&map->lock);
	}
	pthread_mutex_unlock(&map->lock);
	return rc;
}

int
map_lookup_loaded(struct map *map, uint32_t layer, uint64_t lba, uint32_t count,
		  uint64_t *positions,
		  void (*pin)(void *ctx, uint32_t segment), void *ctx)
{
	uint64_t page;
	int found;

	pthread_mutex_lock(&map->lock);
	found = look_up(map, layer, lba, count, positions, pin, ctx, &page);
	pthread_mutex_unlock(&map->lock);
	return found;
}

int
map_holes(struct map *map, uint32_t layer, uint64_t lba, uint32_t count,
	  uint32_t *holes)
{
	uint64_t positions[64];
	int rc = 0;

	*holes = 0;
	for (uint32_t n; count && rc == 0; count -= n, lba += n) {
		n = count < 64 ? count : 64;
		rc = map_lookup(map, layer, lba, n, positions, NULL, NULL);
		for (uint32_t i = 0; i < n && rc == 0; i++)
			*holes += !positions[i];
	}
	return rc;
}

void
map_set_live(struct map *map, uint64_t live)
{
	pthread_mutex_lock(&map->lock);
	map->live = live;
	pthread_mutex_unlock(&map->lock);
}

void
map_set_live_max(struct map *map, uint64_t live_max)
{
	pthread_mutex_lock(&map->lock);
	map->live_max = live_max;
	pthread_mutex_unlock(&map->lock);
}

int
map_allows(struct map *map, uint32_t fresh)
{
	int ok;

	pthread_mutex_lock(&map->lock);
	ok = allows(map, fresh);
	pthread_mutex_unlock(&map->lock);
	return ok;
}

int
map_may_allow(struct map *map, uint32_t fresh)
{
	int ok;

	pthread_mutex_lock(&map->lock);
	ok = map->live + fresh <= map->live_max;
	pthread_mutex_unlock(&map->lock);
	return ok;
}

int
map_move(struct map *map, const struct extent *extent,
	 const uint64_t *old_positions, uint64_t position, uint32_t *moved)
{
	uint64_t key = map_key(extent->layer, extent->lba), value, page;
	uint32_t i = 0;
	int rc = 0;

	*moved = 0;
	pthread_mutex_lock(&map->lock);
	while (i < extent->count_blocks) {
		if (!entry(map, extent->layer, extent->lba + i, &value, &page)) {
			map->loads++;
			pthread_mutex_unlock(&map->lock);
			rc = map->load(map->ctx, extent->layer, page);
			pthread_mutex_lock(&map->lock);
			if (rc)
				break;
			continue;
		}
		if (value == old_positions[i]) {
			memtable_put(map->active, key + i,
				     position_next(position, i));
			++*moved;
		}
		i++;
	}
	unadmit(map, extent->count_blocks, 0);
	pthread_mutex_unlock(&map->lock);
	return rc;
}

int
map_status(struct map *map, uint32_t layer, uint64_t lba, uint64_t count,
	   int *mapped, uint64_t *same)
{
	uint64_t value, page, n = 0;
	int rc;

	pthread_mutex_lock(&map->lock);
	while (n < count) {
		if (!entry(map, layer, lba + n, &value, &page)) {
			map->loads++;
			pthread_mutex_unlock(&map->lock);
			rc = map->load(map->ctx, layer, page);
			if (rc)
				return rc;
			pthread_mutex_lock(&map->lock);
			continue;
		}
		if (n == 0)
			*mapped = value != 0;
		else if (*mapped != (value != 0))
			break;
		n++;
	}
	pthread_mutex_unlock(&map->lock);
	*same = n;
	return 0;
}

uint64_t
map_next_change(struct map *map, uint32_t layer, uint64_t lba)
{
	uint64_t key = map_key(layer, lba), next, frozen;

	pthread_mutex_lock(&map->lock);
	next = memtable_next(map->active, key);
	frozen = map->is_frozen ? memtable_next(map->frozen, key) : UINT64_MAX;
	pthread_mutex_unlock(&map->lock);
	next = next < frozen ? next : frozen;
	return map_key_layer(next) == layer ? map_key_lba(next) : MAP_LBA_NONE;
}

int
map_page_put(struct map *map, uint32_t layer, uint64_t page,
	     const uint64_t *entries)
{
	uint64_t *into;
	int rc = 0;

	pthread_mutex_lock(&map->lock);
	if (!pages_find(map->pages, map_key(layer, page))) {
		into = pages_insert(map->pages, map_key(layer, page));
		if (into)
			memcpy(into, entries, MAP_PAGE_BLOCKS * sizeof *into);
		else
			rc = LBS_ENOMEM;
		check_limit(map);
	}
	pthread_mutex_unlock(&map->lock);
	return rc;
}

int
map_freeze(struct map *map, struct log_position *behind)
{
	struct memtable *t;
	int ok;

	pthread_mutex_lock(&map->lock);
	ok = !map->is_frozen;
	if (ok) {
		t = map->frozen;
		map->frozen_blocks = map->active_blocks;
		map->active_blocks = 0;
		map->frozen = map->active;
		map->active = t;
		map->is_frozen = 1;
		*behind = map->behind;
	}
	pthread_mutex_unlock(&map->lock);
	return ok;
}

int
map_frozen_runs(struct map *map, struct memtable_run **runs, size_t *count)
{
	/* Only its owner, the checkpoint, changes frozen: no lock needed. */
	map->runs = memtable_runs(map->frozen, count);
	*runs = map->runs;
	if (!map->runs && !memtable_empty(map->frozen))
		return LBS_ENOMEM;
	pthread_mutex_lock(&map->lock);
	map->runs_bytes = *count * sizeof **runs;
	check_limit(map);
	pthread_mutex_unlock(&map->lock);
	return 0;
}

void
map_persisted(struct map *map, const struct memtable_run *run)
{
	uint64_t key = run->key, end = run->key + run->count;

	pthread_mutex_lock(&map->lock);
	while (key < end) {
		uint32_t layer = map_key_layer(key);
		uint64_t lba = map_key_lba(key);
		uint64_t page = lba / MAP_PAGE_BLOCKS;
		uint64_t stop = key - lba + (page + 1) * MAP_PAGE_BLOCKS;
		uint64_t *entries =
			pages_find(map->pages, map_key(layer, page));

		if (stop > end)
			stop = end;
		for (; entries && key < stop; key++)
			entries[map_key_lba(key) % MAP_PAGE_BLOCKS] =
				run->value ? position_next(run->value,
							   key - run->key)
					   : 0;
		key = stop;
	}
	pthread_mutex_unlock(&map->lock);
}

void
map_thaw(struct map *map)
{
	pthread_mutex_lock(&map->lock);
	free(map->runs);
	map->runs = NULL;
	map->runs_bytes = 0;
	if (map->replayed_beyond) {
		/* The table that replay had let grow goes back to its share. */
		struct memtable *t = memtable_new(slots_for(map->limit));

		if (t) {
			memtable_free(map->frozen);
			map->frozen = t;
			map->replayed_beyond = 0;
		}
	}
	memtable_clear(map->frozen);
	map->frozen_blocks = 0;
	map->is_frozen = 0;
	pthread_mutex_unlock(&map->lock);
}

int
map_clean(struct map *map)
{
	int clean;

	pthread_mutex_lock(&map->lock);
	clean = memtable_empty(map->active);
	pthread_mutex_unlock(&map->lock);
	return clean;
}

uint64_t *
map_scratch(struct map *map)
{
	return map->scratch;
}

void
map_stats(struct map *map, struct map_stats *out)
{
	pthread_mutex_lock(&map->lock);
	check_limit(map);
	*out = (struct map_stats){ bytes_now(map), map->peak, map->limit,
				   map->hits, map->loads };
	pthread_mutex_unlock(&map->lock);
}
