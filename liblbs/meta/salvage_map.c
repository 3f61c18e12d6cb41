/*
 * salvage_map.c - the block map of a damaged metadata file, FORMAT.md section 9.
 * Never makes a hole of a block that may have data, nor lets an older base row
 * stand for blocks of which a delta is lost.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "liblbs/format/bytes.h"
#include "liblbs/meta/mapstore.h"
#include "liblbs/meta/salvage_int.h"

/* Of a key of map_delta: the row's number within its region. */
#define NUMBER_MASK 4095

/* Does the row decode? Marks the segments that it names; *end is where its runs
 * end, counted from its first block. */
static int
runs_valid(struct work *w, sqlite3_stmt *st, uint64_t span, uint64_t *end)
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
	*end = 0;
	while ((more = runs_next(&r, &run)) > 0) {
		*end = run.start + run.count;
		if (!run.position)
			continue;
		if (position_segment(run.position) >= store->capacity_segments)
			return 0;
		w->used[position_segment(run.position)] = 1;
	}
	return more == 0;
}

/* What the map may need to say of a vdisk. */
static uint64_t
blocks_of(const struct meta_vdisk *v)
{
	return (v->size_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
}

/* How many blocks of a base row's region lie from its first one on. */
static uint64_t
span_of(sqlite3_int64 key)
{
	return MAP_REGION_BLOCKS - (uint64_t)key % MAP_REGION_BLOCKS;
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

/* A base row that makes blocks of one region lost; there is none there yet. */
static int
lose_blocks(struct work *w, uint32_t layer, uint64_t first, uint64_t count)
{
	uint64_t step = (w->from->store.segment_size - SEGMENT_HEADER_BYTES) /
			FRAME_BYTES, n;
	sqlite3_stmt *st;
	struct runs_writer r;
	int rc = w->lost_segment == NO_SEGMENT ? choose_lost_segment(w) : 0;

	if (rc)
		return rc;
	if (step > RECORD_BLOCKS_MAX)
		step = RECORD_BLOCKS_MAX;
	runs_begin(&r, __builtin_ctz(w->from->store.segment_size /
				     POSITION_UNIT));
	for (uint64_t at = 0; at < count; at += n) {
		n = count - at < step ? count - at : step;
		runs_put(&r, at, n,
			 position_make(w->lost_segment, SEGMENT_HEADER_BYTES));
	}
	if (runs_end(&r))
		return LBS_ENOMEM;
	st = meta_stmt(w->to, SQL_BASE_PUT);
	sqlite3_bind_int64(st, 1, (sqlite3_int64)map_key(layer, first));
	sqlite3_bind_blob(st, 2, r.buf, (int)r.len, SQLITE_TRANSIENT);
	rc = meta_run(w->to, st);
	free(r.buf);
	w->s->lost |= SALVAGE_LOST_MAP;
	w->s->lost_blocks += count;
	return rc;
}

/* The blocks of every vdisk from one key of map_base up to another. */
static int
lose_keys(struct work *w, uint64_t key, uint64_t key_end)
{
	int rc = 0;

	for (int i = 0; i < w->vdisk_count && rc == 0; i++) {
		const struct meta_vdisk *v = &w->vdisks[i];
		uint64_t first = map_key(v->layer, 0), end;
		uint64_t from = key < first ? 0 : key - first;
		uint64_t to = key_end <= first ? 0 : key_end - first;

		if (to > blocks_of(v))
			to = blocks_of(v);
		for (; from < to && rc == 0; from = end) {
			end = (from / MAP_REGION_BLOCKS + 1) * MAP_REGION_BLOCKS;
			if (end > to)
				end = to;
			rc = lose_blocks(w, v->layer, from, end - from);
		}
	}
	return rc;
}

/* What is open is lost up to where the next row begins. */
static int
close_gap(struct work *w, uint64_t key)
{
	uint64_t to = w->gap_end < key ? w->gap_end : key;

	w->gap_end = 0;
	return to > w->gap ? lose_keys(w, w->gap, to) : 0;
}

/* A base row may be missing whose key lies between these. It may reach to the next
 * row, or to the end of its region: only then is it known what is lost. */
static int
base_gap(void *ctx, sqlite3_int64 after, sqlite3_int64 before)
{
	struct work *w = ctx;
	uint64_t from = (uint64_t)(after + 1);
	uint64_t to = before == DAMAGED_KEY_MAX
			      ? (uint64_t)before
			      : round_up((uint64_t)before, MAP_REGION_BLOCKS);
	int rc = 0;

	if (from < w->base_end)
		from = w->base_end;
	if (w->gap_end < from) {
		rc = close_gap(w, from);
		w->gap = from;
	}
	if (w->gap_end < to)
		w->gap_end = to;
	return rc;
}

/* A region of which a delta is missing says nothing of any of its blocks up to
 * there: an older base row would give older data. What later deltas say holds. */
static int
lose_region(struct work *w, const struct meta_vdisk *v, uint64_t region)
{
	uint64_t first = region * MAP_REGION_BLOCKS, count = MAP_REGION_BLOCKS;
	uint64_t number = (uint64_t)v->layer << 28 | region;
	sqlite3_int64 key = (sqlite3_int64)map_key(v->layer, first);
	sqlite3_stmt *st = meta_stmt(w->to, SQL_DELTA_DELETE);
	int rc;

	sqlite3_bind_int64(st, 1, (sqlite3_int64)(number << 12));
	sqlite3_bind_int64(st, 2, (sqlite3_int64)(number << 12 | NUMBER_MASK));
	rc = meta_run(w->to, st);
	if (w->region == number)
		w->region_deltas = 0;
	if (rc)
		return rc;
	st = meta_stmt(w->to, SQL_BASE_DELETE);
	sqlite3_bind_int64(st, 1, key);
	sqlite3_bind_int64(st, 2, key + MAP_REGION_BLOCKS - 1);
	rc = meta_run(w->to, st);
	if (count > blocks_of(v) - first)
		count = blocks_of(v) - first;
	return rc ? rc : lose_blocks(w, v->layer, first, count);
}

/* The regions of every vdisk that keys of map_delta between these belong to. */
static int
delta_gap(void *ctx, sqlite3_int64 after, sqlite3_int64 before)
{
	struct work *w = ctx;
	int rc = 0;

	for (int i = 0; i < w->vdisk_count && rc == 0; i++) {
		const struct meta_vdisk *v = &w->vdisks[i];
		sqlite3_int64 first = (sqlite3_int64)map_key(v->layer, 0);
		uint64_t regions = (blocks_of(v) + MAP_REGION_BLOCKS - 1) /
				   MAP_REGION_BLOCKS;
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

	sqlite3_bind_int64(st, 1, key);
	sqlite3_bind_blob(st, 2, sqlite3_column_blob(row, 2),
			  sqlite3_column_bytes(row, 2),
			  SQLITE_TRANSIENT);
	w->s->rows++;
	return meta_run(w->to, st);
}

static int
base_row(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	uint64_t end;
	int rc;

	/* Rows do not reach into each other. */
	if (!map_key_layer((uint64_t)key) || (uint64_t)key < w->base_end ||
	    !runs_valid(w, st, span_of(key), &end))
		return 1;
	w->base_end = (uint64_t)key + end;
	rc = close_gap(w, (uint64_t)key);
	return rc ? rc : copy_row(w, SQL_BASE_PUT, key, st);
}

static int
delta_row(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	uint64_t region = (uint64_t)key >> 12, end;
	int rc = 0;

	if (!map_key_layer((uint64_t)key) || !runs_valid(w, st, MAP_REGION_BLOCKS, &end))
		return 1;
	if ((key & NUMBER_MASK) && (uint64_t)key != w->last_delta + 1)
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

/* Rounded up to regions: a vdisk that is too long is better than one that is cut
 * off. */
static void
names_region(struct work *w, uint64_t region)
{
	uint64_t end = (region + 1) * MAP_REGION_BLOCKS;

	if (end > w->blocks)
		w->blocks = end;
}

static int
base_names(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	uint64_t end;

	if (runs_valid(ctx, st, span_of(key), &end))
		names_region(ctx, map_key_lba((uint64_t)key) / MAP_REGION_BLOCKS);
	return 0;
}

static int
delta_names(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	uint64_t end;

	if (runs_valid(ctx, st, MAP_REGION_BLOCKS, &end))
		names_region(ctx, ((uint64_t)key >> 12) & ((1u << 28) - 1));
	return 0;
}

int
salvage_map_names(struct work *w)
{
	int rc = salvage_read(w, "map_base", base_names, salvage_ignore_gap);

	return rc ? rc
		  : salvage_read(w, "map_delta", delta_names,
				 salvage_ignore_gap);
}

/* Base rows first: what the deltas of a region say is newer than those, also than
 * one that is lost. */
int
salvage_map_copy(struct work *w)
{
	int rc = salvage_read(w, "map_base", base_row, base_gap);

	if (rc == 0)
		rc = close_gap(w, DAMAGED_KEY_MAX);
	return rc ? rc : salvage_read(w, "map_delta", delta_row, delta_gap);
}

/* A row in another one's place reads well and leaves something out. The counts
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

		blocks = blocks_of(v);
		for (uint64_t at = 0; at < blocks && rc == 0;
		     at += MAP_REGION_BLOCKS) {
			uint64_t region = at / MAP_REGION_BLOCKS;

			rc = mapstore_region_load(w->to, v->layer, region, r);
			for (uint64_t b = 0; b < MAP_REGION_BLOCKS && rc == 0 &&
					     at + b < blocks; b++) {
				if (r->entries[b])
					continue;
				r->entries[b] = lost;
				w->s->lost_blocks++;
			}
			if (rc == 0)
				rc = mapstore_region_rewrite(w->to, v->layer,
							     region, r->entries);
		}
	}
	if (r)
		free(r->entries);
	free(r);
	return rc;
}
