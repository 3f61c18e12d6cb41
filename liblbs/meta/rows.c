/*
 * rows.c - the rows of the metadata file's small tables: state, anchor, segments,
 * live counts, chunks, pieces, vdisks. FORMAT.md section 8.
 * Must never give out what decode.c finds to make no sense: that is corrupt metadata.
 */
#include "liblbs/meta/internal.h"

#include <stdio.h>
#include <string.h>

#include "liblbs/format/bytes.h"

static int
run_count(struct meta *m, sqlite3_stmt *st)
{
	int rc = meta_run(m, st);

	if (rc == 0 && sqlite3_get_autocommit(m->db))
		m->counters.commits++;
	return rc;
}

static uint64_t
column_u64(sqlite3_stmt *st, int column)
{
	return (uint64_t)sqlite3_column_int64(st, column);
}

static int
bad_row(struct meta *m, const char *table)
{
	if (sqlite3_errcode(m->db) == SQLITE_NOMEM)
		return meta_error(m, "read a table");
	return fail(&m->log, LBS_ECORRUPT,
		    "a row of the metadata file's table %s makes no sense: "
		    "run lbsck, or restore the file from a backup", table);
}

/* Ends a loop over rows: resets the statement and tells a read error. */
static int
end_of_rows(struct meta *m, sqlite3_stmt *st, int step, int rc)
{
	if (rc == 0 && step != SQLITE_DONE && step != SQLITE_ROW)
		rc = meta_error(m, "read a table");
	sqlite3_reset(st);
	return rc;
}

/* Steps to the one row that a table has. */
static int
one_row(struct meta *m, sqlite3_stmt *st, const char *table)
{
	int step = sqlite3_step(st);

	return step == SQLITE_ROW    ? 0
	       : step == SQLITE_DONE ? bad_row(m, table)
				     : meta_error(m, "read its state");
}

int
meta_state_get(struct meta *m, struct meta_state *out)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_STATE_GET);
	int rc = one_row(m, st, "state");

	if (rc == 0 && decode_state(st, 0, out))
		rc = bad_row(m, "state");
	sqlite3_reset(st);
	return rc;
}

int
meta_state_set(struct meta *m, const struct meta_state *state)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_STATE_SET);

	sqlite3_bind_int64(st, 1, (sqlite3_int64)state->session);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)state->checkpoint);
	sqlite3_bind_int64(st, 3, (sqlite3_int64)state->checkpoint_recno);
	return run_count(m, st);
}

int
meta_anchor_get(struct meta *m, struct meta_anchor *out)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_ANCHOR_GET);
	int rc = one_row(m, st, "anchor");

	if (rc == 0 && decode_anchor(&m->store, st, 0, out))
		rc = bad_row(m, "anchor");
	sqlite3_reset(st);
	return rc;
}

int
meta_anchor_set(struct meta *m, const struct meta_anchor *anchor)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_ANCHOR_SET);

	sqlite3_bind_int64(st, 1, (sqlite3_int64)anchor->recno);
	sqlite3_bind_int64(st, 2, anchor->segment);
	sqlite3_bind_int64(st, 3, anchor->offset);
	return run_count(m, st);
}

int
meta_segment_put(struct meta *m, const struct meta_segment *segment)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_SEGMENT_PUT);

	sqlite3_bind_int64(st, 1, segment->segment);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)segment->serial);
	sqlite3_bind_blob(st, 3, segment->salt, SALT_BYTES, SQLITE_STATIC);
	return run_count(m, st);
}

int
meta_segment_delete(struct meta *m, uint32_t segment)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_SEGMENT_DELETE);

	sqlite3_bind_int64(st, 1, segment);
	return run_count(m, st);
}

int
meta_segment_each(struct meta *m,
		  int (*fn)(void *ctx, const struct meta_segment *), void *ctx)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_SEGMENT_EACH);
	struct meta_segment s;
	int rc = 0, step = SQLITE_ERROR;

	while (rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW)
		rc = decode_segment(&m->store, st, 0, &s)
			     ? bad_row(m, "segment")
			     : fn(ctx, &s);
	return end_of_rows(m, st, step, rc);
}

int
meta_live_get(struct meta *m, uint32_t group, uint32_t live[META_LIVE_GROUP])
{
	sqlite3_stmt *st = meta_stmt(m, SQL_LIVE_GET);
	int rc = 0, step;

	memset(live, 0, META_LIVE_GROUP * sizeof *live);
	sqlite3_bind_int64(st, 1, group);
	step = sqlite3_step(st);
	if (step == SQLITE_ROW && decode_live(st, 0, live))
		rc = bad_row(m, "live");
	return end_of_rows(m, st, step, rc);
}

int
meta_live_put(struct meta *m, uint32_t group,
	      const uint32_t live[META_LIVE_GROUP])
{
	uint8_t packed[META_LIVE_GROUP * 4];
	sqlite3_stmt *st = meta_stmt(m, SQL_LIVE_PUT);

	for (uint32_t i = 0; i < META_LIVE_GROUP; i++)
		put32(packed + 4 * i, live[i]);
	sqlite3_bind_int64(st, 1, group);
	sqlite3_bind_blob(st, 2, packed, sizeof packed, SQLITE_STATIC);
	return run_count(m, st);
}

int
meta_chunk_put(struct meta *m, uint32_t chunk, uint32_t filled_segments)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_CHUNK_PUT);

	sqlite3_bind_int64(st, 1, chunk);
	sqlite3_bind_int64(st, 2, filled_segments);
	return run_count(m, st);
}

int
meta_chunks_cut(struct meta *m, uint32_t from)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_CHUNK_CUT);

	sqlite3_bind_int64(st, 1, from);
	return run_count(m, st);
}

int
meta_chunk_each(struct meta *m,
		int (*fn)(void *ctx, uint32_t chunk, uint32_t filled), void *ctx)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_CHUNK_EACH);
	uint32_t chunk, filled;
	int rc = 0, step = SQLITE_ERROR;

	while (rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW)
		rc = decode_chunk(&m->store, st, 0, &chunk, &filled)
			     ? bad_row(m, "chunk")
			     : fn(ctx, chunk, filled);
	return end_of_rows(m, st, step, rc);
}

int
meta_pieces_set(struct meta *m, const struct meta_piece *pieces, int count)
{
	int rc = run_count(m, meta_stmt(m, SQL_PIECE_CLEAR));

	for (int i = 0; i < count && rc == 0; i++) {
		const struct meta_piece *p = &pieces[i];
		sqlite3_stmt *st = meta_stmt(m, SQL_PIECE_ADD);

		sqlite3_bind_int64(st, 1, i + 1);
		sqlite3_bind_int64(st, 2, (sqlite3_int64)p->first_recno);
		sqlite3_bind_int64(st, 3, (sqlite3_int64)p->end_recno);
		sqlite3_bind_int64(st, 4, p->segment);
		sqlite3_bind_int64(st, 5, p->offset);
		sqlite3_bind_int64(st, 6, (sqlite3_int64)p->serial);
		sqlite3_bind_blob(st, 7, p->salt, SALT_BYTES, SQLITE_STATIC);
		rc = run_count(m, st);
	}
	return rc;
}

int
meta_pieces_get(struct meta *m, struct meta_piece *pieces, int max, int *count)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_PIECE_EACH);
	int rc = 0, step = SQLITE_ERROR;

	*count = 0;
	while (rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW)
		if (*count == max ||
		    decode_piece(&m->store, st, 0, &pieces[(*count)++]))
			rc = bad_row(m, "piece");
	return end_of_rows(m, st, step, rc);
}

int
meta_total_get(struct meta *m, struct meta_total *out)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_TOTAL_GET);
	/* Made before there were totals, it has no such table. */
	int step = st ? sqlite3_step(st) : SQLITE_DONE;

	*out = (struct meta_total){ 0 };
	if (step == SQLITE_ROW)
		*out = (struct meta_total){ column_u64(st, 0), column_u64(st, 1),
					    column_u64(st, 2), column_u64(st, 3) };
	return end_of_rows(m, st, step, 0);
}

int
meta_total_set(struct meta *m, const struct meta_total *total)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_TOTAL_SET);

	if (!st)
		return 0;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)total->guest_bytes);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)total->log_bytes);
	sqlite3_bind_int64(st, 3, (sqlite3_int64)total->clean_bytes);
	sqlite3_bind_int64(st, 4, (sqlite3_int64)total->fill_bytes);
	return run_count(m, st);
}

int
meta_vdisk_add(struct meta *m, const struct meta_vdisk *vdisk)
{
	sqlite3_stmt *st;
	char text[96];

	snprintf(text, sizeof text, "REPLACE INTO layer VALUES(%u,NULL)",
		 vdisk->layer);
	if (sqlite3_exec(m->db, text, NULL, NULL, NULL))
		return meta_error(m, "add a layer");
	st = meta_stmt(m, SQL_VDISK_ADD);
	sqlite3_bind_int64(st, 1, vdisk->id);
	sqlite3_bind_text(st, 2, vdisk->name, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, (sqlite3_int64)vdisk->size_bytes);
	sqlite3_bind_int64(st, 4, vdisk->layer);
	return run_count(m, st);
}

int
meta_vdisk_each(struct meta *m, int (*fn)(void *ctx, const struct meta_vdisk *),
		void *ctx)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_VDISK_EACH);
	struct meta_vdisk v;
	int rc = 0, step = SQLITE_ERROR;

	while (rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW)
		rc = decode_vdisk(st, 0, &v) ? bad_row(m, "vdisk")
					     : fn(ctx, &v);
	return end_of_rows(m, st, step, rc);
}
