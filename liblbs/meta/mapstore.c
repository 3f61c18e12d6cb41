/*
 * mapstore.c - FORMAT.md section 9. Rows are decoded as if they were hostile: a
 * metadata file may be damaged, and then says so rather than misleads.
 *
 * map_page key  = layer << 40 | page
 * map_delta key = (layer << 28 | region) << 12 | number, ascending
 */
#include "liblbs/meta/mapstore.h"

#include <stdlib.h>
#include <string.h>

#include "liblbs/meta/internal.h"

#define DELTA_NUMBERS 4096

static sqlite3_int64
page_key(uint32_t layer, uint64_t page)
{
	return (sqlite3_int64)((uint64_t)layer << 40 | page);
}

static sqlite3_int64
delta_key(uint32_t layer, uint64_t region)
{
	return (sqlite3_int64)(((uint64_t)layer << 28 | region) << 12);
}

static int
segment_shift(struct meta *m)
{
	return __builtin_ctz(m->store.segment_size / POSITION_UNIT);
}

static int
bad_map(struct meta *m)
{
	return fail(&m->log, LBS_ECORRUPT,
		    "a row of the block map in the metadata file makes no "
		    "sense: run lbsck, or restore the file from a backup");
}

/* Lays the runs of one row over entries; the row covers [0, span) of which
 * entries covers [from, from + count). dirty, if given, marks changed pages. */
static int
apply_row(struct meta *m, sqlite3_stmt *st, int column, uint64_t span,
	  uint64_t from, uint64_t count, uint64_t *entries, uint8_t *dirty)
{
	struct runs_reader r;
	struct run run;
	int more;

	runs_read(&r, sqlite3_column_blob(st, column),
		  (size_t)sqlite3_column_bytes(st, column), span,
		  segment_shift(m));
	while ((more = runs_next(&r, &run)) > 0) {
		uint64_t start = run.start, end = run.start + run.count;

		if (run.position &&
		    position_segment(run.position) >= m->store.capacity_segments)
			return bad_map(m);
		if (start < from)
			start = from;
		if (end > from + count)
			end = from + count;
		for (uint64_t b = start; b < end; b++)
			entries[b - from] =
				run.position ? position_next(run.position,
							     b - run.start)
					     : 0;
		for (uint64_t p = start / MAP_PAGE_BLOCKS;
		     dirty && p * MAP_PAGE_BLOCKS < end; p++)
			dirty[p] = 1;
		if (run.start >= from + count)
			break;
	}
	return more < 0 ? bad_map(m) : 0;
}

static int
finish(struct meta *m, sqlite3_stmt *st, int step, int rc)
{
	if (rc == 0 && step != SQLITE_DONE && step != SQLITE_ROW)
		rc = meta_error(m, "read the block map");
	if (st)
		sqlite3_reset(st);
	return rc;
}

/* Lays the deltas of a region over entries that cover [from, from+count) of
 * it. */
static int
apply_deltas(struct meta *m, uint32_t layer, uint64_t region, uint64_t from,
	     uint64_t count, uint64_t *entries, struct mapstore_region *info)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_DELTA_RANGE);
	int rc = 0, step = SQLITE_ERROR;

	if (st) {
		sqlite3_bind_int64(st, 1, delta_key(layer, region));
		sqlite3_bind_int64(st, 2,
				   delta_key(layer, region) + DELTA_NUMBERS - 1);
	}
	while (st && rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW) {
		rc = apply_row(m, st, 1, MAP_REGION_BLOCKS, from, count, entries,
			       info ? info->dirty : NULL);
		if (info) {
			info->delta_rows++;
			info->delta_bytes += (size_t)sqlite3_column_bytes(st, 1);
		}
	}
	return finish(m, st, step, rc);
}

int
mapstore_page(struct meta *m, uint32_t layer, uint64_t page,
	      uint64_t entries[MAP_PAGE_BLOCKS])
{
	sqlite3_stmt *st = meta_stmt(m, SQL_PAGE_GET);
	int rc = 0, step = SQLITE_ERROR;

	memset(entries, 0, MAP_PAGE_BLOCKS * sizeof *entries);
	if (st) {
		sqlite3_bind_int64(st, 1, page_key(layer, page));
		step = sqlite3_step(st);
	}
	if (step == SQLITE_ROW)
		rc = apply_row(m, st, 0, MAP_PAGE_BLOCKS, 0, MAP_PAGE_BLOCKS,
			       entries, NULL);
	rc = finish(m, st, step, rc);
	if (rc == 0)
		rc = apply_deltas(m, layer, page / MAP_REGION_PAGES,
				  page % MAP_REGION_PAGES * MAP_PAGE_BLOCKS,
				  MAP_PAGE_BLOCKS, entries, NULL);
	return rc;
}

int
mapstore_region_load(struct meta *m, uint32_t layer, uint64_t region,
		     struct mapstore_region *out)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_PAGE_RANGE);
	uint64_t first = region * MAP_REGION_PAGES;
	int rc = 0, step = SQLITE_ERROR;

	memset(out->entries, 0, MAP_REGION_BLOCKS * sizeof *out->entries);
	memset(out->dirty, 0, sizeof out->dirty);
	out->base_bytes = out->delta_bytes = 0;
	out->delta_rows = 0;
	if (st) {
		sqlite3_bind_int64(st, 1, page_key(layer, first));
		sqlite3_bind_int64(st, 2,
				   page_key(layer, first + MAP_REGION_PAGES));
	}
	while (st && rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW) {
		uint64_t page = (uint64_t)(sqlite3_column_int64(st, 0) -
					   page_key(layer, first));

		rc = apply_row(m, st, 1, MAP_PAGE_BLOCKS, 0, MAP_PAGE_BLOCKS,
			       out->entries + page * MAP_PAGE_BLOCKS, NULL);
		out->base_bytes += (size_t)sqlite3_column_bytes(st, 1);
	}
	rc = finish(m, st, step, rc);
	if (rc == 0)
		rc = apply_deltas(m, layer, region, 0, MAP_REGION_BLOCKS,
				  out->entries, out);
	return rc;
}

int
mapstore_delta_add(struct meta *m, uint32_t layer, uint64_t region,
		   uint32_t number, const uint8_t *runs, size_t len)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_DELTA_PUT);

	if (!st)
		return meta_error(m, "write the block map");
	sqlite3_bind_int64(st, 1,
			   delta_key(layer, region) + number);
	sqlite3_bind_blob(st, 2, runs, (int)len, SQLITE_STATIC);
	return meta_run(m, st);
}

static int
write_page(struct meta *m, uint32_t layer, uint64_t page,
	   const uint64_t *entries)
{
	struct runs_writer w;
	sqlite3_stmt *st;
	int rc;

	runs_begin(&w, segment_shift(m));
	for (uint32_t i = 0; i < MAP_PAGE_BLOCKS; i++)
		if (entries[i])
			runs_put(&w, i, 1, entries[i]);
	if (runs_end(&w))
		return fail(&m->log, LBS_ENOMEM, "out of memory");
	st = meta_stmt(m, w.len ? SQL_PAGE_PUT : SQL_PAGE_DELETE);
	if (!st) {
		free(w.buf);
		return meta_error(m, "write the block map");
	}
	sqlite3_bind_int64(st, 1, page_key(layer, page));
	if (w.len)
		sqlite3_bind_blob(st, 2, w.buf, (int)w.len, SQLITE_STATIC);
	rc = meta_run(m, st);
	sqlite3_clear_bindings(st);
	free(w.buf);
	return rc;
}

int
mapstore_region_merge(struct meta *m, uint32_t layer, uint64_t region,
		      const struct mapstore_region *in)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_DELTA_DELETE);
	int rc = 0;

	for (uint32_t i = 0; i < MAP_REGION_PAGES && rc == 0; i++)
		if (in->dirty[i])
			rc = write_page(m, layer, region * MAP_REGION_PAGES + i,
					in->entries +
						(size_t)i * MAP_PAGE_BLOCKS);
	if (rc == 0) {
		sqlite3_bind_int64(st, 1, delta_key(layer, region));
		sqlite3_bind_int64(st, 2,
				   delta_key(layer, region) + DELTA_NUMBERS - 1);
		rc = meta_run(m, st);
	}
	return rc;
}

/* The least key of a table at or after from; 0 if there is none. */
static int
least_key(struct meta *m, enum statement which, sqlite3_int64 from,
	  sqlite3_int64 *key)
{
	sqlite3_stmt *st = meta_stmt(m, which);
	int step = SQLITE_ERROR;

	*key = 0;
	if (st) {
		sqlite3_bind_int64(st, 1, from);
		step = sqlite3_step(st);
		if (step == SQLITE_ROW)
			*key = sqlite3_column_int64(st, 0);
	}
	return finish(m, st, step, 0);
}

/* In the order of both tables. A key beyond the last block is no row of a map,
 * and going on behind it would end nowhere. */
#define NO_BLOCK_THERE (UINT64_MAX - 1)

static uint64_t
region_key(uint64_t layer, uint64_t region)
{
	return region > LBA_MAX / MAP_REGION_BLOCKS ? NO_BLOCK_THERE
						    : layer << 28 | region;
}

int
mapstore_next_region(struct meta *m, uint32_t *layer, uint64_t *region)
{
	sqlite3_int64 page, delta;
	uint64_t best = UINT64_MAX;
	int rc;

	rc = least_key(m, SQL_PAGE_EACH,
		       page_key(*layer, *region * MAP_REGION_PAGES), &page);
	if (rc == 0)
		rc = least_key(m, SQL_DELTA_EACH, delta_key(*layer, *region),
			       &delta);
	if (rc)
		return rc;
	if (page > 0)
		best = region_key((uint64_t)page >> 40,
				  ((uint64_t)page & LBA_MAX) / MAP_REGION_PAGES);
	if (delta > 0 && (uint64_t)delta >> 12 < best)
		best = region_key((uint64_t)delta >> 40,
				  (uint64_t)delta >> 12 & ((1u << 28) - 1));
	if (best == NO_BLOCK_THERE)
		return bad_map(m);
	if (best == UINT64_MAX)
		return 0;
	*layer = (uint32_t)(best >> 28);
	*region = best & ((1u << 28) - 1);
	return 1;
}
