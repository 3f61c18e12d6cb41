/*
 * rows.c - the rows of the metadata file's small tables: state, anchor, segments,
 * live counts, chunks, pieces, vdisks. FORMAT.md section 8.
 * Must never give out a number that its column may not hold: what makes no sense
 * is corrupt metadata.
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

/* May a record have borne this number? Then the next session's can be told from
 * it, and its numbers go on. */
static int
recno_valid(uint64_t recno)
{
	return recno >> 32 <= SESSION_MAX;
}

/* Reads the one row of a one-row table into up to three numbers. */
static int
one_row(struct meta *m, enum statement which, uint64_t v[3])
{
	sqlite3_stmt *st = meta_stmt(m, which);
	int step = st ? sqlite3_step(st) : SQLITE_ERROR, rc = 0;

	if (step == SQLITE_DONE)
		rc = bad_row(m, which == SQL_ANCHOR_GET ? "anchor" : "state");
	else if (step != SQLITE_ROW)
		rc = meta_error(m, "read its state");
	else
		for (int i = 0; i < 3; i++)
			v[i] = column_u64(st, i);
	if (st)
		sqlite3_reset(st);
	return rc;
}

int
meta_state_get(struct meta *m, struct meta_state *out)
{
	uint64_t v[3];
	int rc = one_row(m, SQL_STATE_GET, v);

	if (rc == 0 && (v[0] > SESSION_MAX || !recno_valid(v[2])))
		rc = bad_row(m, "state");
	if (rc == 0)
		*out = (struct meta_state){ v[0], v[1], v[2] };
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
	uint64_t v[3];
	int rc = one_row(m, SQL_ANCHOR_GET, v);

	if (rc == 0 && (!recno_valid(v[0]) ||
			v[1] >= m->store.capacity_segments ||
			v[2] >= m->store.segment_size || v[2] % POSITION_UNIT))
		rc = fail(&m->log, LBS_ECORRUPT,
			  "the anchor row of the metadata file makes no sense: "
			  "restore the file from a backup");
	if (rc == 0)
		*out = (struct meta_anchor){ v[0], (uint32_t)v[1],
					     (uint32_t)v[2] };
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

/* Ends a loop over rows: resets the statement and tells a read error. */
static int
end_of_rows(struct meta *m, sqlite3_stmt *st, int step, int rc)
{
	if (rc == 0 && step != SQLITE_DONE && step != SQLITE_ROW)
		rc = meta_error(m, "read a table");
	if (st)
		sqlite3_reset(st);
	return rc;
}

int
meta_segment_each(struct meta *m,
		  int (*fn)(void *ctx, const struct meta_segment *), void *ctx)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_SEGMENT_EACH);
	int rc = 0, step = SQLITE_ERROR;

	while (st && rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW) {
		struct meta_segment s = { .serial = column_u64(st, 1) };
		uint64_t idx = column_u64(st, 0);

		if (idx >= m->store.capacity_segments ||
		    sqlite3_column_bytes(st, 2) != SALT_BYTES) {
			rc = bad_row(m, "segment");
			break;
		}
		s.segment = (uint32_t)idx;
		memcpy(s.salt, sqlite3_column_blob(st, 2), SALT_BYTES);
		rc = fn(ctx, &s);
	}
	return end_of_rows(m, st, step, rc);
}

int
meta_live_get(struct meta *m, uint32_t group, uint32_t live[META_LIVE_GROUP])
{
	sqlite3_stmt *st = meta_stmt(m, SQL_LIVE_GET);
	int rc = 0, step = SQLITE_ERROR;

	memset(live, 0, META_LIVE_GROUP * sizeof *live);
	if (st) {
		sqlite3_bind_int64(st, 1, group);
		step = sqlite3_step(st);
	}
	if (step == SQLITE_ROW) {
		if (sqlite3_column_bytes(st, 0) != META_LIVE_GROUP * 4) {
			rc = bad_row(m, "live");
		} else {
			const uint8_t *p = sqlite3_column_blob(st, 0);

			for (uint32_t i = 0; i < META_LIVE_GROUP; i++)
				live[i] = get32(p + 4 * i);
		}
	}
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
	uint64_t per_chunk = m->store.chunk_size / m->store.segment_size;
	int rc = 0, step = SQLITE_ERROR;

	while (st && rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW) {
		uint64_t idx = column_u64(st, 0), filled = column_u64(st, 1);

		if (filled > per_chunk ||
		    idx > m->store.capacity_segments / per_chunk)
			rc = bad_row(m, "chunk");
		else
			rc = fn(ctx, (uint32_t)idx, (uint32_t)filled);
	}
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
	while (st && rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW) {
		uint64_t segment = column_u64(st, 2), offset = column_u64(st, 3);

		if (*count >= max || !recno_valid(column_u64(st, 0)) ||
		    !recno_valid(column_u64(st, 1)) || segment >= m->store.capacity_segments ||
		    offset < SEGMENT_HEADER_BYTES ||
		    offset > m->store.segment_size || offset % POSITION_UNIT ||
		    sqlite3_column_bytes(st, 5) != SALT_BYTES) {
			rc = bad_row(m, "piece");
			break;
		}
		struct meta_piece *p = &pieces[(*count)++];

		p->first_recno = column_u64(st, 0);
		p->end_recno = column_u64(st, 1);
		p->segment = (uint32_t)segment;
		p->offset = (uint32_t)offset;
		p->serial = column_u64(st, 4);
		memcpy(p->salt, sqlite3_column_blob(st, 5), SALT_BYTES);
	}
	return end_of_rows(m, st, step, rc);
}

int
meta_total_get(struct meta *m, struct meta_total *out)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_TOTAL_GET);
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
	int rc = 0, step = SQLITE_ERROR;

	while (st && rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW) {
		struct meta_vdisk v = { .size_bytes = column_u64(st, 2) };
		const char *name = (const char *)sqlite3_column_text(st, 1);
		uint64_t layer = column_u64(st, 3);

		if (!name || strlen(name) >= sizeof v.name || layer < 1 ||
		    layer > LAYER_MAX ||
		    v.size_bytes > (LBA_MAX + 1) * BLOCK_BYTES ||
		    v.size_bytes % 512) {
			rc = bad_row(m, "vdisk");
			break;
		}
		strcpy(v.name, name);
		v.id = (uint32_t)column_u64(st, 0);
		v.layer = (uint32_t)layer;
		rc = fn(ctx, &v);
	}
	return end_of_rows(m, st, step, rc);
}
