/*
 * mapstore.c - FORMAT.md section 9. Rows are decoded as if they were hostile: a
 * metadata file may be damaged, and then says so rather than misleads.
 *
 * map_base key  = map_key of the first block
 * map_delta key = (layer << 28 | region) << 12 | number, ascending
 */
#include "liblbs/meta/mapstore.h"

#include <stdlib.h>
#include <string.h>

#include "liblbs/meta/internal.h"

#define DELTA_NUMBERS 4096
/* The last region that a layer may have. */
#define REGION_LAST   (LBA_MAX / MAP_REGION_BLOCKS)

/* Of a row beyond 4061 bytes SQLite keeps 489 to 4061 in a leaf and the rest in
 * pages of 4092. This much is three of those and the least in a leaf, so that
 * nearly nothing is left empty, whatever the region holds; less the row's
 * header and the run that goes beyond. */
#define BASE_ROW_BYTES (489u + 3 * 4092 - 16)

static sqlite3_int64
base_key(uint32_t layer, uint64_t region, uint64_t block)
{
	return (sqlite3_int64)map_key(layer, region * MAP_REGION_BLOCKS + block);
}

/* The last that a region may have: ranges end with it, because no number comes
 * after that of the last region of the last layer. */
static sqlite3_int64
base_last(uint32_t layer, uint64_t region)
{
	return base_key(layer, region, MAP_REGION_BLOCKS - 1);
}

static sqlite3_int64
delta_key(uint32_t layer, uint64_t region)
{
	return (sqlite3_int64)(((uint64_t)layer << 28 | region) << 12);
}

static sqlite3_int64
delta_last(uint32_t layer, uint64_t region)
{
	return delta_key(layer, region) + DELTA_NUMBERS - 1;
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

/* Which entries of a region are read. */
struct part {
	uint64_t from, end;	/* blocks of the region */
	uint64_t *entries;	/* of from and on */
	uint32_t mapped;	/* how many are no holes */
};

/* Lays the runs of one row over a part; block at of the region is the row's
 * first. *end is where the last of its runs ends, as far as was looked. */
static int
apply_row(struct meta *m, sqlite3_stmt *st, uint64_t at, struct part *part,
	  uint64_t *end)
{
	struct runs_reader r;
	struct run run;
	int more;

	runs_read(&r, sqlite3_column_blob(st, 1),
		  (size_t)sqlite3_column_bytes(st, 1), MAP_REGION_BLOCKS - at,
		  segment_shift(m));
	while ((more = runs_next(&r, &run)) > 0) {
		uint64_t b = at + run.start, stop = b + run.count;
		uint64_t value = run.position;

		if (value && position_segment(value) >= m->store.capacity_segments)
			return bad_map(m);
		*end = stop;
		if (b < part->from) {
			if (value && stop > part->from)
				value = position_next(value, part->from - b);
			b = part->from;
		}
		if (stop > part->end)
			stop = part->end;
		for (; b < stop; b++) {
			uint64_t *e = &part->entries[b - part->from];

			part->mapped += (uint32_t)(value != 0) -
					(uint32_t)(*e != 0);
			*e = value;
			if (value)
				value = position_next(value, 1);
		}
		if (*end >= part->end)
			break;
	}
	return more < 0 ? bad_map(m) : 0;
}

static int
finish(struct meta *m, sqlite3_stmt *st, int step, int rc)
{
	if (rc == 0 && step != SQLITE_DONE && step != SQLITE_ROW)
		rc = meta_error(m, "read the block map");
	sqlite3_reset(st);
	return rc;
}

/* Lays base rows over a part; st gives those that may reach into it. */
static int
apply_base(struct meta *m, sqlite3_stmt *st, uint32_t layer, uint64_t region,
	   struct part *part, size_t *bytes)
{
	uint64_t at, end = 0;
	int rc = 0, step = SQLITE_ERROR;

	while (rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW) {
		at = (uint64_t)(sqlite3_column_int64(st, 0) -
				base_key(layer, region, 0));
		*bytes += (size_t)sqlite3_column_bytes(st, 1);
		/* Rows do not reach into each other. */
		rc = at < end ? bad_map(m) : apply_row(m, st, at, part, &end);
	}
	return finish(m, st, step, rc);
}

/* Lays the deltas of a region over a part. */
static int
apply_deltas(struct meta *m, uint32_t layer, uint64_t region, struct part *part,
	     size_t *bytes, uint32_t *rows)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_DELTA_RANGE);
	uint64_t end;
	int rc = 0, step = SQLITE_ERROR;

	sqlite3_bind_int64(st, 1, delta_key(layer, region));
	sqlite3_bind_int64(st, 2, delta_last(layer, region));
	while (rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW) {
		rc = apply_row(m, st, 0, part, &end);
		*bytes += (size_t)sqlite3_column_bytes(st, 1);
		++*rows;
	}
	return finish(m, st, step, rc);
}

int
mapstore_page(struct meta *m, uint32_t layer, uint64_t page,
	      uint64_t entries[MAP_PAGE_BLOCKS])
{
	sqlite3_stmt *st = meta_stmt(m, SQL_BASE_PAGE);
	uint64_t region = page / MAP_REGION_PAGES;
	uint64_t from = page % MAP_REGION_PAGES * MAP_PAGE_BLOCKS;
	struct part part = { from, from + MAP_PAGE_BLOCKS, entries, 0 };
	uint32_t rows = 0;
	size_t bytes = 0;
	int rc;

	memset(entries, 0, MAP_PAGE_BLOCKS * sizeof *entries);
	sqlite3_bind_int64(st, 1, base_key(layer, region, from));
	sqlite3_bind_int64(st, 2, base_key(layer, region, 0));
	sqlite3_bind_int64(st, 3, base_key(layer, region,
					   from + MAP_PAGE_BLOCKS - 1));
	rc = apply_base(m, st, layer, region, &part, &bytes);
	if (rc == 0)
		rc = apply_deltas(m, layer, region, &part, &bytes, &rows);
	return rc;
}

int
mapstore_region_load(struct meta *m, uint32_t layer, uint64_t region,
		     struct mapstore_region *out)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_BASE_RANGE);
	struct part part = { 0, MAP_REGION_BLOCKS, out->entries, 0 };
	int rc;

	memset(out->entries, 0, MAP_REGION_BLOCKS * sizeof *out->entries);
	out->base_bytes = out->delta_bytes = 0;
	out->delta_rows = 0;
	sqlite3_bind_int64(st, 1, base_key(layer, region, 0));
	sqlite3_bind_int64(st, 2, base_last(layer, region));
	rc = apply_base(m, st, layer, region, &part, &out->base_bytes);
	if (rc == 0)
		rc = apply_deltas(m, layer, region, &part, &out->delta_bytes,
				  &out->delta_rows);
	out->mapped = part.mapped;
	return rc;
}

int
mapstore_delta_add(struct meta *m, uint32_t layer, uint64_t region,
		   uint32_t number, const uint8_t *runs, size_t len)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_DELTA_PUT);

	sqlite3_bind_int64(st, 1, delta_key(layer, region) + number);
	sqlite3_bind_blob(st, 2, runs, (int)len, SQLITE_STATIC);
	return meta_run(m, st);
}

/* The least key of a table at or after from; 0 if there is none. */
static int
least_key(struct meta *m, enum statement which, sqlite3_int64 from,
	  sqlite3_int64 *key)
{
	sqlite3_stmt *st = meta_stmt(m, which);
	int step = SQLITE_ERROR;

	*key = 0;
	sqlite3_bind_int64(st, 1, from);
	step = sqlite3_step(st);
	if (step == SQLITE_ROW)
		*key = sqlite3_column_int64(st, 0);
	return finish(m, st, step, 0);
}

/* Writes one base row from block from on, in place of those that begin before
 * where it ends: *next, at most end. */
static int
write_row(struct meta *m, uint32_t layer, uint64_t region,
	  const uint64_t *entries, uint32_t from, uint32_t end, size_t max_bytes,
	  uint32_t *next, size_t *written)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_BASE_DELETE);
	uint32_t first = from, at;
	struct runs_writer w;
	int rc;

	while (first < end && !entries[first])
		first++;
	runs_begin(&w, segment_shift(m));
	for (at = first; at < end && w.len < max_bytes; at++)
		if (entries[at])
			runs_put(&w, at - first, 1, entries[at]);
	if (runs_end(&w))
		return fail(&m->log, LBS_ENOMEM, "out of memory");
	sqlite3_bind_int64(st, 1, base_key(layer, region, from));
	sqlite3_bind_int64(st, 2, base_key(layer, region, at - 1));
	rc = meta_run(m, st);
	if (rc == 0 && w.len) {
		st = meta_stmt(m, SQL_BASE_PUT);
		sqlite3_bind_int64(st, 1, base_key(layer, region, first));
		sqlite3_bind_blob(st, 2, w.buf, (int)w.len, SQLITE_STATIC);
		rc = meta_run(m, st);
	}
	*next = at;
	*written += w.len;
	free(w.buf);
	return rc;
}

int
mapstore_region_fold(struct meta *m, uint32_t layer, uint64_t region,
		     const uint64_t *entries, uint32_t *from, size_t max_bytes,
		     size_t *written)
{
	size_t enough = *written + max_bytes;
	size_t row = max_bytes < BASE_ROW_BYTES ? max_bytes : BASE_ROW_BYTES;
	uint32_t end = MAP_REGION_BLOCKS;
	sqlite3_stmt *st;
	sqlite3_int64 old;
	int rc = 0;

	while (rc == 0 && *from < end) {
		rc = write_row(m, layer, region, entries, *from, end, row, from,
			       written);
		if (rc || *written < enough || *from == end ||
		    end < MAP_REGION_BLOCKS)
			continue;
		/* Ends where an old row begins: the one before it is gone, and
		 * what it held must be written. */
		rc = least_key(m, SQL_BASE_LEAST,
			       base_key(layer, region, *from), &old);
		if (rc == 0 && old && old <= base_last(layer, region))
			end = (uint32_t)(old - base_key(layer, region, 0));
	}
	if (rc || *from < MAP_REGION_BLOCKS)
		return rc;
	st = meta_stmt(m, SQL_DELTA_DELETE);
	sqlite3_bind_int64(st, 1, delta_key(layer, region));
	sqlite3_bind_int64(st, 2, delta_last(layer, region));
	return meta_run(m, st);
}

/* In the order of both tables. A key beyond the last block is no row of a map,
 * and going on behind it would end nowhere. Every key of map_base is a block's. */
#define NO_BLOCK_THERE (UINT64_MAX - 1)

static uint64_t
region_key(uint64_t layer, uint64_t region)
{
	return region > REGION_LAST ? NO_BLOCK_THERE : layer << 28 | region;
}

int
mapstore_region_rewrite(struct meta *m, uint32_t layer, uint64_t region,
			const uint64_t *entries)
{
	uint32_t from = 0;
	size_t written = 0;

	return mapstore_region_fold(m, layer, region, entries, &from,
				    SIZE_MAX / 2, &written);
}

int
mapstore_next_region(struct meta *m, uint32_t *layer, uint64_t *region)
{
	sqlite3_int64 base, delta;
	uint64_t best = UINT64_MAX;
	int rc;

	/* Behind a layer's last region comes the next layer; its key would be one of
	 * the same layer's first region, where the layer's number is odd. */
	if (*region > REGION_LAST) {
		++*layer;
		*region = 0;
	}
	if (*layer > LAYER_MAX)
		return 0;
	rc = least_key(m, SQL_BASE_LEAST, base_key(*layer, *region, 0), &base);
	if (rc == 0)
		rc = least_key(m, SQL_DELTA_LEAST, delta_key(*layer, *region),
			       &delta);
	if (rc)
		return rc;
	if (base > 0)
		best = region_key(map_key_layer((uint64_t)base),
				  map_key_lba((uint64_t)base) /
					  MAP_REGION_BLOCKS);
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
