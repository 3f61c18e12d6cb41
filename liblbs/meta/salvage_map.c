/*
 * salvage_map.c - the block map of a damaged metadata file, FORMAT.md section 9.
 * Never makes a hole of a block that may have data, nor lets an older page stand
 * for one of which a delta is lost.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "liblbs/meta/mapstore.h"
#include "liblbs/meta/salvage_int.h"

/* Does the row decode? Marks the segments that it names. */
static int
runs_valid(struct work *w, sqlite3_stmt *st, uint64_t span)
{
	const struct meta_store *store = &w->from->store;
	struct runs_reader r;
	struct run run;
	int more;

	if (!sqlite3_column_blob(st, 2) && sqlite3_column_bytes(st, 2))
		return 0;
	runs_read(&r, sqlite3_column_blob(st, 2),
		  (size_t)sqlite3_column_bytes(st, 2), span,
		  __builtin_ctz(store->segment_size / POSITION_UNIT));
	while ((more = runs_next(&r, &run)) > 0) {
		if (!run.position)
			continue;
		if (position_segment(run.position) >= store->capacity_segments)
			return 0;
		w->used[position_segment(run.position)] = 1;
	}
	return more == 0;
}

static uint32_t
layer_of(sqlite3_int64 key)
{
	return (uint32_t)((uint64_t)key >> 40);
}

/* What the map may need to say of a vdisk: its pages. */
static uint64_t
pages_of(const struct meta_vdisk *v)
{
	uint64_t page_bytes = (uint64_t)MAP_PAGE_BLOCKS * BLOCK_BYTES;

	return (v->size_bytes + page_bytes - 1) / page_bytes;
}

/* For want of another segment the lost blocks lead to the one that was used
 * longest ago and that nothing names: it gets a salt of its own. */
static int
choose_lost_segment(struct work *w)
{
	struct meta_segment row = { .segment = NO_SEGMENT };
	uint64_t serial, least = UINT64_MAX;

	for (uint32_t i = w->from->store.capacity_segments; i-- > 0;) {
		if (w->used[i])
			continue;
		serial = w->s->serial_on_card
				 ? w->s->serial_on_card(w->s->ctx,
							&w->from->store, w->key,
							i)
				 : 0;
		if (serial < least) {
			least = serial;
			row.segment = i;
		}
	}
	if (row.segment == NO_SEGMENT)
		return fail(w->s->log, LBS_ENOSPC,
			    "no segment is left to mark what is lost");
	secret_random(row.salt, SALT_BYTES);
	w->used[row.segment] = 1;
	w->lost_segment = row.segment;
	return meta_segment_put(w->to, &row);
}

static int
lose_page(struct work *w, const struct meta_vdisk *v, uint64_t page)
{
	uint64_t blocks = (v->size_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
	uint64_t first = page * MAP_PAGE_BLOCKS, count = MAP_PAGE_BLOCKS, n;
	uint64_t step = (w->from->store.segment_size - SEGMENT_HEADER_BYTES) /
			FRAME_BYTES;
	sqlite3_stmt *st;
	struct runs_writer r;
	int rc = w->lost_segment == NO_SEGMENT ? choose_lost_segment(w) : 0;

	if (rc)
		return rc;
	if (step > RECORD_BLOCKS_MAX)
		step = RECORD_BLOCKS_MAX;
	if (first + count > blocks)
		count = blocks - first;
	runs_begin(&r, __builtin_ctz(w->from->store.segment_size /
				     POSITION_UNIT));
	for (uint64_t at = 0; at < count; at += n) {
		n = count - at < step ? count - at : step;
		runs_put(&r, at, n,
			 position_make(w->lost_segment, SEGMENT_HEADER_BYTES));
	}
	if (runs_end(&r))
		return LBS_ENOMEM;
	st = meta_stmt(w->to, SQL_PAGE_PUT);
	if (st) {
		sqlite3_bind_int64(st, 1, (sqlite3_int64)((uint64_t)v->layer
								  << 40 |
							  page));
		sqlite3_bind_blob(st, 2, r.buf, (int)r.len, SQLITE_TRANSIENT);
	}
	rc = meta_run(w->to, st);
	free(r.buf);
	w->s->lost |= SALVAGE_LOST_MAP;
	w->s->lost_blocks += count;
	return rc;
}

/* The pages of every vdisk that lie between two keys of map_page. */
static int
page_gap(void *ctx, sqlite3_int64 after, sqlite3_int64 before)
{
	struct work *w = ctx;
	int rc = 0;

	for (int i = 0; i < w->vdisk_count && rc == 0; i++) {
		const struct meta_vdisk *v = &w->vdisks[i];
		sqlite3_int64 first = (sqlite3_int64)((uint64_t)v->layer << 40);
		uint64_t from = after < first ? 0 : (uint64_t)(after - first) + 1;
		uint64_t to = before <= first ? 0 : (uint64_t)(before - first);

		if (to > pages_of(v))
			to = pages_of(v);
		for (; from < to && rc == 0; from++)
			rc = lose_page(w, v, from);
	}
	return rc;
}

/* A region of which a delta is missing says nothing of any of its blocks up to
 * there: an older page would give older data. What later deltas say holds. */
static int
lose_region(struct work *w, const struct meta_vdisk *v, uint64_t region)
{
	uint64_t page = region * MAP_REGION_PAGES;
	uint64_t number = (uint64_t)v->layer << 28 | region;
	sqlite3_stmt *st = meta_stmt(w->to, SQL_DELTA_DELETE);
	int rc;

	if (st) {
		sqlite3_bind_int64(st, 1, (sqlite3_int64)(number << 12));
		sqlite3_bind_int64(st, 2, (sqlite3_int64)((number + 1) << 12));
	}
	rc = meta_run(w->to, st);
	if (w->region == number)
		w->region_deltas = 0;
	for (uint64_t i = 0; i < MAP_REGION_PAGES && rc == 0; i++)
		if (page + i < pages_of(v))
			rc = lose_page(w, v, page + i);
	return rc;
}

/* The regions of every vdisk that keys of map_delta between these belong to. */
static int
delta_gap(void *ctx, sqlite3_int64 after, sqlite3_int64 before)
{
	struct work *w = ctx;
	int rc = 0;

	for (int i = 0; i < w->vdisk_count && rc == 0; i++) {
		const struct meta_vdisk *v = &w->vdisks[i];
		sqlite3_int64 first = (sqlite3_int64)((uint64_t)v->layer << 40);
		uint64_t regions = (pages_of(v) + MAP_REGION_PAGES - 1) /
				   MAP_REGION_PAGES;
		/* In the region of the row before the gap a later one may be
		 * missing; in that of the row behind it, an earlier one. */
		uint64_t from = after < first ? 0
					      : (uint64_t)(after - first) >> 12;
		uint64_t to = before <= first
				      ? 0
				      : ((uint64_t)(before - first - 1) >> 12) +
						1;

		if (to > regions)
			to = regions;
		for (; from < to && rc == 0; from++)
			rc = lose_region(w, v, from);
	}
	w->last_delta = (uint64_t)before - 1;
	return rc;
}

static int
copy_row(struct work *w, enum statement which, sqlite3_int64 key,
	 sqlite3_stmt *row)
{
	sqlite3_stmt *st = meta_stmt(w->to, which);

	if (st) {
		sqlite3_bind_int64(st, 1, key);
		sqlite3_bind_blob(st, 2, sqlite3_column_blob(row, 2),
				  sqlite3_column_bytes(row, 2),
				  SQLITE_TRANSIENT);
	}
	w->s->rows++;
	return meta_run(w->to, st);
}

static int
page_row(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;

	return layer_of(key) && runs_valid(w, st, MAP_PAGE_BLOCKS)
		       ? copy_row(w, SQL_PAGE_PUT, key, st)
		       : 1;
}

static int
delta_row(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	uint64_t region = (uint64_t)key >> 12;
	int rc = 0;

	if (!layer_of(key) || !runs_valid(w, st, MAP_REGION_BLOCKS))
		return 1;
	if ((key & 4095) && (uint64_t)key != w->last_delta + 1)
		rc = delta_gap(w, (sqlite3_int64)(region << 12), key);
	w->last_delta = (uint64_t)key;
	if (w->region != region) {
		w->region = region;
		w->region_deltas = 0;
	}
	/* Counted anew: the next checkpoint takes the number of rows for the
	 * next number. */
	return rc ? rc
		  : copy_row(w, SQL_DELTA_PUT,
			     (sqlite3_int64)(region << 12 | w->region_deltas++),
			     st);
}

static int
page_names(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	uint64_t page = (uint64_t)key & LBA_MAX;

	if (runs_valid(w, st, MAP_PAGE_BLOCKS) && page >= w->pages)
		w->pages = page + 1;
	return 0;
}

static int
delta_names(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	uint64_t pages = ((((uint64_t)key >> 12) & ((1u << 28) - 1)) + 1) *
			 MAP_REGION_PAGES;

	if (runs_valid(w, st, MAP_REGION_BLOCKS) && pages > w->pages)
		w->pages = pages;
	return 0;
}

int
salvage_map_names(struct work *w)
{
	int rc = salvage_read(w, "map_page", page_names, salvage_ignore_gap);

	return rc ? rc
		  : salvage_read(w, "map_delta", delta_names,
				 salvage_ignore_gap);
}

/* Pages first: what the deltas of a region say is newer than a page, also than
 * one that is lost. */
int
salvage_map_copy(struct work *w)
{
	int rc = salvage_read(w, "map_page", page_row, page_gap);

	return rc ? rc : salvage_read(w, "map_delta", delta_row, delta_gap);
}

/* A page in another one's place reads well and leaves something out. The counts
 * know how much there must be. */
static void
compare_counts(struct work *w, const uint32_t *live)
{
	uint64_t missing = 0, extra = 0;

	for (uint32_t i = 0; i < w->from->store.capacity_segments; i++) {
		if (!w->has_count[i] || i == w->lost_segment)
			continue;
		if (live[i] > w->counted[i])
			extra += live[i] - w->counted[i];
		else
			missing += w->counted[i] - live[i];
	}
	if (extra || missing > w->s->lost_blocks)
		w->s->lost |= SALVAGE_DOUBT;
}

int
salvage_map_count(struct work *w)
{
	uint32_t n = w->from->store.capacity_segments, layer = 1;
	uint32_t *live = calloc(n + META_LIVE_GROUP, sizeof *live);
	struct mapstore_region *r = calloc(1, sizeof *r);
	uint64_t number = 0;
	int rc = LBS_ENOMEM;

	if (r)
		r->entries = malloc(MAP_REGION_BLOCKS * sizeof *r->entries);
	if (live && r && r->entries)
		while ((rc = mapstore_next_region(w->to, &layer, &number)) > 0) {
			rc = mapstore_region_load(w->to, layer, number, r);
			if (rc)
				break;
			for (uint32_t i = 0; i < MAP_REGION_BLOCKS; i++)
				if (r->entries[i])
					live[position_segment(r->entries[i])]++;
			number++;
		}
	if (rc == 0)
		compare_counts(w, live);
	for (uint32_t g = 0; g * META_LIVE_GROUP < n && rc == 0; g++)
		rc = meta_live_put(w->to, g, live + g * META_LIVE_GROUP);
	if (r)
		free(r->entries);
	free(r);
	free(live);
	return rc;
}

int
salvage_map_lose_holes(struct work *w)
{
	struct mapstore_region *r = calloc(1, sizeof *r);
	uint64_t lost, blocks;
	int rc = r ? 0 : LBS_ENOMEM;

	if (rc == 0 && !(r->entries = malloc(MAP_REGION_BLOCKS *
					     sizeof *r->entries)))
		rc = LBS_ENOMEM;
	if (rc == 0 && w->lost_segment == NO_SEGMENT)
		rc = choose_lost_segment(w);
	lost = position_make(w->lost_segment, SEGMENT_HEADER_BYTES);
	for (int i = 0; i < w->vdisk_count && rc == 0; i++) {
		const struct meta_vdisk *v = &w->vdisks[i];

		blocks = (v->size_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
		for (uint64_t at = 0; at < blocks && rc == 0;
		     at += MAP_REGION_BLOCKS) {
			uint64_t region = at / MAP_REGION_BLOCKS;

			rc = mapstore_region_load(w->to, v->layer, region, r);
			for (uint64_t b = 0; b < MAP_REGION_BLOCKS && rc == 0 &&
					     at + b < blocks; b++) {
				if (r->entries[b])
					continue;
				r->entries[b] = lost;
				r->dirty[b / MAP_PAGE_BLOCKS] = 1;
				w->s->lost_blocks++;
			}
			if (rc == 0)
				rc = mapstore_region_merge(w->to, v->layer,
							   region, r);
		}
	}
	if (r)
		free(r->entries);
	free(r);
	return rc;
}
