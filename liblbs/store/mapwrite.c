/*
 * mapwrite.c - lays a checkpoint's changes over the map's rows, region by region in
 * slices, and folds regions that are due. FORMAT.md section 9. Must never end a
 * slice in which live counts and rows disagree.
 */
#include "liblbs/store/slice.h"

#include <stdlib.h>

#include "liblbs/map/fold.h"
#include "liblbs/meta/mapstore.h"

/* Of a run in a delta row, on average; more is rare. */
#define RUN_BYTES 8u

/* Lays a run over a region's entries, keeping the live counts. from is where
 * the region begins. 1 if anything changed. */
static int
lay_run(struct slice *sl, struct mapstore_region *region, uint64_t from,
	const struct memtable_run *run)
{
	uint64_t at = run->key - from;
	int changed = 0;

	for (uint64_t i = 0; i < run->count; i++) {
		uint64_t *e = &region->entries[at + i];
		uint64_t value = run->value ? position_next(run->value, i) : 0;

		if (*e == value)
			continue;
		if (*e)
			slice_change_live(sl, *e, -1);
		if (value)
			slice_change_live(sl, value, 1);
		region->mapped += (uint32_t)(value != 0) - (uint32_t)(*e != 0);
		*e = value;
		changed = 1;
	}
	return changed;
}

/* Folds a region whose rows say what entries say: changes nothing of that, at
 * any cut. */
static int
fold_region(struct slice *sl, uint32_t layer, uint64_t number,
	    const uint64_t *entries)
{
	uint32_t from = 0;
	int rc;

	do {
		rc = slice_begin(sl);
		if (rc == 0)
			rc = mapstore_region_fold(sl->s->meta, layer, number,
						  entries, &from, sl->max_bytes,
						  &sl->bytes);
		if (rc == 0 && slice_full(sl))
			rc = slice_end(sl);
	} while (rc == 0 && from < MAP_REGION_BLOCKS);
	return rc;
}

/* Writes the runs [run, end), a slice of them at most, that lie in one region. */
static int
write_region(struct slice *sl, uint32_t layer, uint64_t number,
	     const struct memtable_run *run, const struct memtable_run *end)
{
	lbs_store *s = sl->s;
	uint64_t from = map_key(layer, number * MAP_REGION_BLOCKS);
	struct mapstore_region region = { .entries = map_scratch(s->map) };
	struct runs_writer w;
	size_t rows;
	int rc, due, changed = 0;

	rc = mapstore_region_load(s->meta, layer, number, &region);
	rows = region.base_bytes + region.delta_bytes;
	sl->read += rows;
	/* A region that may be written whole finds room in this slice, or a new
	 * one, before live counts change. */
	if (rc == 0 && rows <= sl->max_bytes &&
	    sl->bytes + rows > sl->max_bytes) {
		rc = slice_end(sl);
		if (rc == 0)
			rc = slice_begin(sl);
	}
	if (rc)
		return rc;
	runs_begin(&w, __builtin_ctz(s->geometry.segment_bytes / POSITION_UNIT));
	for (; run < end; run++) {
		changed |= lay_run(sl, &region, from, run);
		runs_put(&w, run->key - from, run->count, run->value);
		/* No page is loaded while db is held, so none is loaded stale;
		 * until the thaw readers see the frozen change first. */
		map_persisted(s->map, run);
	}
	if (runs_end(&w))
		return LBS_ENOMEM;
	if (!changed) { /* say, holes discarded again */
		free(w.buf);
		return 0;
	}
	due = fold_due(&(struct fold_region){
		layer, number, region.base_bytes, region.delta_bytes + w.len,
		region.delta_rows + 1, region.mapped });
	if (due && rows + w.len <= sl->max_bytes) {
		/* Small enough to be written whole: no delta is needed. */
		rc = mapstore_region_rewrite(s->meta, layer, number,
					     region.entries);
		sl->bytes += rows + w.len; /* at most, but for a few bytes */
	} else {
		rc = mapstore_delta_add(s->meta, layer, number,
					region.delta_rows, w.buf, w.len);
		sl->bytes += w.len;
		if (rc == 0 && due)
			rc = fold_region(sl, layer, number, region.entries);
	}
	free(w.buf);
	return rc;
}

/* The part of a run before key end; the rest stays in run. */
static struct memtable_run
cut_run(struct memtable_run *run, uint64_t end)
{
	struct memtable_run part = *run;

	part.count = end - run->key;
	run->key = end;
	run->count -= part.count;
	if (run->value)
		run->value = position_next(run->value, part.count);
	return part;
}

/* A long hole changes nothing where the map has no row: moves it on to the next
 * region that has one, or leaves nothing of it. A discard of terabytes then
 * costs what was mapped, not what could be. */
static int
skip_regions(struct slice *sl, struct memtable_run *run)
{
	uint32_t layer = map_key_layer(run->key), found = layer;
	uint64_t region = map_key_lba(run->key) / MAP_REGION_BLOCKS;
	uint64_t at = UINT64_MAX;
	int rc = slice_begin(sl);

	if (rc == 0)
		rc = mapstore_next_region(sl->s->meta, &found, &region);
	if (rc < 0)
		return rc;
	if (rc && found == layer)
		at = map_key(layer, region * MAP_REGION_BLOCKS);
	if (at >= run->key + run->count) {
		run->count = 0;
	} else if (at > run->key) {
		run->count -= at - run->key;
		run->key = at;
	}
	return 0;
}

int
mapwrite(struct slice *sl, struct memtable_run *runs, size_t count)
{
	size_t i = 0, j, run_max = sl->max_bytes / RUN_BYTES + 1;
	int rc = 0;

	while (rc == 0 && i < count) {
		if (!runs[i].value && runs[i].count >= MAP_REGION_BLOCKS) {
			rc = skip_regions(sl, &runs[i]);
			if (rc || !runs[i].count) {
				i++;
				continue;
			}
		}

		uint32_t layer = map_key_layer(runs[i].key);
		uint64_t number = map_key_lba(runs[i].key) / MAP_REGION_BLOCKS;
		/* Behind a layer's last region begins the next layer. */
		uint64_t end = map_key(layer, number * MAP_REGION_BLOCKS) +
			       MAP_REGION_BLOCKS;
		struct memtable_run rest = { 0 };

		for (j = i; j < count && j - i < run_max && runs[j].key < end;
		     j++)
			if (runs[j].key + runs[j].count > end) {
				rest = runs[j];
				runs[j] = cut_run(&rest, end);
			}
		rc = slice_begin(sl);
		if (rc == 0)
			rc = write_region(sl, layer, number, &runs[i], &runs[j]);
		i = j;
		if (rest.count)
			runs[--i] = rest;
		if (rc == 0 && slice_full(sl))
			rc = slice_end(sl);
	}
	return rc;
}
