/*
 * salvage_rows.c - the small tables of a damaged metadata file. A row is taken if
 * it makes sense by FORMAT.md section 8.
 */
#include <string.h>

#include "liblbs/meta/salvage_int.h"

static int
vdisk_row(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	struct meta_vdisk v;

	(void)key;
	if (decode_vdisk(st, 1, &v) || !*v.name || w->vdisk_count == VDISKS_MAX)
		return 1;
	w->vdisks[w->vdisk_count++] = v;
	w->s->rows++;
	return 0;
}

static int
vdisk_gap(void *ctx, sqlite3_int64 after, sqlite3_int64 before)
{
	struct work *w = ctx;

	(void)after;
	(void)before;
	w->s->lost |= SALVAGE_LOST_VDISKS;
	return 0;
}

static int
segment_row(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	struct meta_segment row;

	(void)key;
	if (decode_segment(&w->from->store, st, 1, &row))
		return 1;
	w->used[row.segment] = 1;
	w->s->rows++;
	return meta_segment_put(w->to, &row);
}

static int
segment_gap(void *ctx, sqlite3_int64 after, sqlite3_int64 before)
{
	struct work *w = ctx;

	(void)before;
	if (after + 1 < w->from->store.capacity_segments)
		w->s->lost |= SALVAGE_LOST_SEGMENTS;
	return 0;
}

static int
chunk_row(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	uint32_t chunk, filled;

	(void)key;
	if (decode_chunk(&w->from->store, st, 1, &chunk, &filled))
		return 1;
	w->s->rows++;
	return meta_chunk_put(w->to, chunk, filled);
}

static int
chunk_gap(void *ctx, sqlite3_int64 after, sqlite3_int64 before)
{
	struct work *w = ctx;

	(void)after;
	(void)before;
	w->s->lost |= SALVAGE_LOST_CHUNKS;
	return 0;
}

static int
state_row(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	struct meta_state state;

	if (key != 1 || decode_state(st, 2, &state))
		return 1;
	w->state = state;
	w->have_state = 1;
	w->s->rows++;
	return 0;
}

static int
anchor_row(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	struct meta_anchor anchor;

	if (key != 1 || decode_anchor(&w->from->store, st, 2, &anchor))
		return 1;
	w->anchor = anchor;
	w->have_anchor = 1;
	w->s->rows++;
	return 0;
}

static int
live_row(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	uint32_t first = (uint32_t)key * META_LIVE_GROUP;

	if (key > w->from->store.capacity_segments / META_LIVE_GROUP ||
	    decode_live(st, 2, w->counted + first))
		return 1;
	memset(w->has_count + first, 1, META_LIVE_GROUP);
	return 0;
}

static int
piece_row(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	struct meta_piece p;

	(void)key;
	if (w->pieces_end)
		return 0;
	if (w->piece_count == PIECES_MAX ||
	    decode_piece(&w->from->store, st, 2, &p))
		return 1;
	w->used[p.segment] = 1;
	w->pieces[w->piece_count++] = p;
	w->s->rows++;
	return 0;
}

static int
piece_gap(void *ctx, sqlite3_int64 after, sqlite3_int64 before)
{
	struct work *w = ctx;

	(void)after;
	(void)before;
	w->pieces_end = 1;
	return 0;
}

int
salvage_rows(struct work *w)
{
	int rc = salvage_read(w, "vdisk", vdisk_row, vdisk_gap);

	if (rc == 0)
		rc = salvage_read(w, "segment", segment_row, segment_gap);
	if (rc == 0)
		rc = salvage_read(w, "chunk", chunk_row, chunk_gap);
	if (rc == 0)
		rc = salvage_read(w, "state", state_row, salvage_ignore_gap);
	if (rc == 0)
		rc = salvage_read(w, "anchor", anchor_row, salvage_ignore_gap);
	if (rc == 0)
		rc = salvage_read(w, "piece", piece_row, piece_gap);
	return rc ? rc : salvage_read(w, "live", live_row, salvage_ignore_gap);
}
