/*
 * salvage_rows.c - the small tables of a damaged metadata file. A row is taken if
 * it makes sense by FORMAT.md section 8.
 */
#include <string.h>

#include "liblbs/format/bytes.h"
#include "liblbs/meta/salvage_int.h"

static int
vdisk_row(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	struct meta_vdisk v = { .id = (uint32_t)key };
	const char *name = (const char *)sqlite3_column_text(st, 2);

	v.size_bytes = salvage_column(st, 3);
	v.layer = (uint32_t)salvage_column(st, 4);
	if (!name || !*name || strlen(name) >= sizeof v.name ||
	    w->vdisk_count == VDISKS_MAX || !v.layer || v.layer > LAYER_MAX ||
	    v.size_bytes > (LBA_MAX + 1) * BLOCK_BYTES)
		return 1;
	strcpy(v.name, name);
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
	struct meta_segment row = { .serial = salvage_column(st, 2) };
	const void *salt = sqlite3_column_blob(st, 3);

	if (key >= w->from->store.capacity_segments || !salt ||
	    sqlite3_column_bytes(st, 3) != SALT_BYTES)
		return 1;
	row.segment = (uint32_t)key;
	memcpy(row.salt, salt, SALT_BYTES);
	w->used[key] = 1;
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
	const struct meta_store *store = &w->from->store;
	uint64_t per = store->chunk_size / store->segment_size;

	if ((uint64_t)key > store->capacity_segments / per ||
	    salvage_column(st, 2) > per)
		return 1;
	w->s->rows++;
	return meta_chunk_put(w->to, (uint32_t)key, (uint32_t)salvage_column(st, 2));
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

	if (key != 1)
		return 1;
	w->state = (struct meta_state){ salvage_column(st, 2), salvage_column(st, 3),
					salvage_column(st, 4) };
	w->have_state = 1;
	w->s->rows++;
	return 0;
}

static int
anchor_row(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	const struct meta_store *store = &w->from->store;

	if (key != 1 || salvage_column(st, 3) >= store->capacity_segments ||
	    salvage_column(st, 4) >= store->segment_size ||
	    salvage_column(st, 4) % POSITION_UNIT)
		return 1;
	w->anchor = (struct meta_anchor){ salvage_column(st, 2),
					  (uint32_t)salvage_column(st, 3),
					  (uint32_t)salvage_column(st, 4) };
	w->have_anchor = 1;
	w->s->rows++;
	return 0;
}

static int
live_row(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	const uint8_t *p = sqlite3_column_blob(st, 2);
	uint32_t n = w->from->store.capacity_segments;

	if (!p || sqlite3_column_bytes(st, 2) != META_LIVE_GROUP * 4 ||
	    key > n / META_LIVE_GROUP)
		return 1;
	for (uint32_t i = 0; i < META_LIVE_GROUP; i++) {
		w->counted[key * META_LIVE_GROUP + i] = get32(p + 4 * i);
		w->has_count[key * META_LIVE_GROUP + i] = 1;
	}
	return 0;
}

static int
piece_row(void *ctx, sqlite3_int64 key, sqlite3_stmt *st)
{
	struct work *w = ctx;
	const struct meta_store *store = &w->from->store;
	const void *salt = sqlite3_column_blob(st, 7);
	struct meta_piece p = { .first_recno = salvage_column(st, 2),
				.end_recno = salvage_column(st, 3),
				.serial = salvage_column(st, 6) };

	(void)key;
	if (w->pieces_end)
		return 0;
	if (w->piece_count == PIECES_MAX || !salt ||
	    sqlite3_column_bytes(st, 7) != SALT_BYTES ||
	    salvage_column(st, 4) >= store->capacity_segments ||
	    salvage_column(st, 5) < SEGMENT_HEADER_BYTES ||
	    salvage_column(st, 5) > store->segment_size ||
	    salvage_column(st, 5) % POSITION_UNIT)
		return 1;
	p.segment = (uint32_t)salvage_column(st, 4);
	p.offset = (uint32_t)salvage_column(st, 5);
	memcpy(p.salt, salt, SALT_BYTES);
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
