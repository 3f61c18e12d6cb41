/*
 * meta.c - opening the metadata file as it must be opened (WAL, synchronous
 * FULL, exclusive, no mmap: Debian's defaults lose the last commit at a power
 * cut), transactions, and the small tables.
 */
#include "liblbs/meta/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "liblbs/format/bytes.h"

#define APPLICATION_ID 0x4c425331 /* "LBS1" */
#define WAL_PAGES 256		  /* about 1 MiB of log before it is folded in */

static const char *const sql[SQL_COUNT] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_STATE_GET] = "SELECT session,checkpoint,checkpoint_recno FROM state",
	[SQL_STATE_SET] = "UPDATE state SET session=?,checkpoint=?,"
			  "checkpoint_recno=?",
	[SQL_ANCHOR_GET] = "SELECT recno,segment,offset FROM anchor",
	[SQL_ANCHOR_SET] = "UPDATE anchor SET recno=?,segment=?,offset=? "
			   "WHERE id=1",
	[SQL_SEGMENT_PUT] = "REPLACE INTO segment VALUES(?,?,?)",
	[SQL_SEGMENT_DELETE] = "DELETE FROM segment WHERE idx=?",
	[SQL_SEGMENT_EACH] = "SELECT idx,serial,salt FROM segment ORDER BY idx",
	[SQL_LIVE_GET] = "SELECT counts FROM live WHERE grp=?",
	[SQL_LIVE_PUT] = "REPLACE INTO live VALUES(?,?)",
	[SQL_CHUNK_PUT] = "REPLACE INTO chunk VALUES(?,?)",
	[SQL_CHUNK_EACH] = "SELECT idx,filled FROM chunk ORDER BY idx",
	[SQL_PIECE_CLEAR] = "DELETE FROM piece",
	[SQL_PIECE_ADD] = "INSERT INTO piece VALUES(?,?,?,?,?,?,?)",
	[SQL_PIECE_EACH] = "SELECT first_recno,end_recno,segment,offset,serial,"
			   "salt FROM piece ORDER BY seq",
	[SQL_VDISK_ADD] = "INSERT INTO vdisk VALUES(?,?,?,?)",
	[SQL_VDISK_EACH] = "SELECT id,name,size,layer FROM vdisk ORDER BY id",
	[SQL_PAGE_GET] = "SELECT runs FROM map_page WHERE key=?",
	[SQL_PAGE_RANGE] = "SELECT key,runs FROM map_page WHERE key>=? AND key<?"
			   " ORDER BY key",
	[SQL_PAGE_PUT] = "REPLACE INTO map_page VALUES(?,?)",
	[SQL_PAGE_DELETE] = "DELETE FROM map_page WHERE key=?",
	[SQL_PAGE_EACH] = "SELECT min(key) FROM map_page WHERE key>=?",
	[SQL_DELTA_RANGE] = "SELECT key,runs FROM map_delta WHERE key>=? AND "
			    "key<? ORDER BY key",
	[SQL_DELTA_PUT] = "INSERT INTO map_delta VALUES(?,?)",
	[SQL_DELTA_DELETE] = "DELETE FROM map_delta WHERE key>=? AND key<?",
	[SQL_DELTA_EACH] = "SELECT min(key) FROM map_delta WHERE key>=?",
};

int
meta_error(struct meta *m, const char *doing)
{
	int rc = sqlite3_extended_errcode(m->db);

	switch (rc & 0xff) {
	case SQLITE_FULL:
		return fail(&m->log, LBS_EMETAFULL,
			    "internal flash is full, could not %s: make room "
			    "there and open the store again", doing);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return fail(&m->log, LBS_EBUSY,
			    "another process holds the metadata file: stop it");
	case SQLITE_NOTADB:
		return fail(&m->log, LBS_ENOTSTORE,
			    "not an LBS store (not an SQLite file): check the "
			    "name");
	case SQLITE_CORRUPT:
	case SQLITE_ERROR: /* a table or column that should be there is not */
		return fail(&m->log, LBS_ECORRUPT,
			    "the metadata file is corrupt, could not %s (%s): "
			    "restore it from a backup", doing,
			    sqlite3_errmsg(m->db));
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return fail(&m->log, LBS_EROFS,
			    "the metadata file cannot be written, could not %s: "
			    "check its permissions", doing);
	case SQLITE_CANTOPEN:
		return fail(&m->log, LBS_EIO,
			    "the metadata file or its log cannot be opened: "
			    "check the directory's permissions");
	}
	return fail(&m->log, LBS_EIO,
		    "internal flash failed, could not %s (%s): check it and "
		    "open the store again", doing, sqlite3_errmsg(m->db));
}

sqlite3_stmt *
meta_stmt(struct meta *m, enum statement which)
{
	sqlite3_stmt **st = &m->stmt[which];

	if (!*st && sqlite3_prepare_v3(m->db, sql[which], -1,
				       SQLITE_PREPARE_PERSISTENT, st, NULL))
		return NULL;
	return *st;
}

int
meta_run(struct meta *m, sqlite3_stmt *st)
{
	int rc = st ? sqlite3_step(st) : SQLITE_ERROR;
	int err = 0;

	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		err = meta_error(m, "write");
	if (st)
		sqlite3_reset(st);
	return err;
}

/* Runs a pragma and compares what it answers; NULL accepts anything. */
static int
pragma(struct meta *m, const char *text, const char *expect)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(m->db, text, -1, &st, NULL);
	const char *got = NULL;

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW)
			got = (const char *)sqlite3_column_text(st, 0);
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		rc = meta_error(m, "set it up");
	else if (expect && (!got || strcmp(got, expect)))
		rc = fail(&m->log, LBS_EIO,
			  "internal flash cannot keep the metadata safely "
			  "(%s gave %s): use another file system", text,
			  got ? got : "nothing");
	else
		rc = 0;
	sqlite3_finalize(st);
	return rc;
}

static int
settings(struct meta *m)
{
	char autocheckpoint[64];
	int rc = 0;

	snprintf(autocheckpoint, sizeof autocheckpoint,
		 "PRAGMA wal_autocheckpoint=%d", WAL_PAGES);
	if (m->rdonly)
		sqlite3_db_config(m->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
				  NULL);
	/* Exclusive before the first access: then WAL needs no shared memory,
	 * and the lock is kept. Each that matters is read back. */
	const struct {
		const char *text, *expect;
	} list[] = {
		{ "PRAGMA locking_mode=EXCLUSIVE", "exclusive" },
		{ "PRAGMA trusted_schema=OFF", NULL },
		{ "PRAGMA mmap_size=0", NULL },
		{ "PRAGMA journal_mode=WAL", "wal" },
		{ "PRAGMA synchronous=FULL", NULL },
		{ "PRAGMA synchronous", "2" },
		{ autocheckpoint, NULL },
		{ "PRAGMA journal_size_limit=1100000", NULL },
		{ "PRAGMA temp_store=MEMORY", NULL },
		{ "PRAGMA cache_size=-2048", NULL },
	};
	for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
		if ((rc = pragma(m, list[i].text, list[i].expect)))
			break;
	return rc;
}

static int
open_db(const char *path, const char *vfs, int flags, const struct logger *log,
	struct meta **out)
{
	struct meta *m = calloc(1, sizeof *m);
	int rc;

	if (!m)
		return fail(log, LBS_ENOMEM, "out of memory");
	m->log = *log;
	rc = meta_vfs_register(m, vfs);
	if (rc == 0 && sqlite3_open_v2(path, &m->db,
				       flags | SQLITE_OPEN_NOMUTEX |
					       SQLITE_OPEN_EXRESCODE,
				       m->vfs_name) != SQLITE_OK)
		rc = meta_error(m, "open it");
	if (rc == 0)
		sqlite3_busy_timeout(m->db, 0);
	*out = m;
	return rc;
}

int
meta_create(const char *path, const char *vfs, const struct meta_store *store,
	    const uint8_t data_key[DATA_KEY_BYTES], const struct logger *log,
	    struct meta **out)
{
	char text[128];
	struct meta *m = NULL;
	int rc;

	*out = NULL;
	snprintf(text, sizeof text,
		 "PRAGMA application_id=%d; PRAGMA user_version=%d;",
		 APPLICATION_ID, FORMAT_VERSION);
	rc = open_db(path, vfs, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, log,
		     &m);
	if (rc == 0)
		rc = pragma(m, "PRAGMA page_size=4096", NULL);
	if (rc == 0)
		rc = pragma(m, "PRAGMA auto_vacuum=NONE", NULL);
	if (rc == 0)
		rc = settings(m);
	if (rc == 0)
		rc = meta_begin(m);
	if (rc == 0 && (sqlite3_exec(m->db, text, NULL, NULL, NULL) ||
			sqlite3_exec(m->db, meta_schema, NULL, NULL, NULL)))
		rc = meta_error(m, "make the tables");
	if (rc == 0)
		rc = meta_store_row_write(m, store, data_key);
	if (rc == 0)
		rc = meta_commit(m);
	if (rc == 0) {
		m->store = *store;
		*out = m;
	} else {
		meta_close(m);
	}
	return rc;
}

/* Is it ours? Asked before anything is set, so that a stranger's database is
 * left as it is. */
static int
check_ours(struct meta *m)
{
	struct logger loud = m->log;
	char expect[32];
	int rc = pragma(m, "PRAGMA application_id", NULL);

	if (rc)
		return rc;
	snprintf(expect, sizeof expect, "%d", APPLICATION_ID);
	m->log.fn = NULL;
	rc = pragma(m, "PRAGMA application_id", expect);
	m->log = loud;
	return rc ? fail(&m->log, LBS_ENOTSTORE,
			 "not an LBS store: check the name")
		  : 0;
}

int
meta_open(const char *path, const char *vfs, int flags, const struct logger *log,
	  struct meta **out)
{
	struct meta *m = NULL;
	int rc;

	*out = NULL;
	rc = open_db(path, vfs, SQLITE_OPEN_READWRITE, log, &m);
	if (rc == 0) {
		m->rdonly = flags & META_RDONLY;
		rc = pragma(m, "PRAGMA locking_mode=EXCLUSIVE", "exclusive");
	}
	if (rc == 0)
		rc = check_ours(m);
	if (rc == 0)
		rc = settings(m);
	if (rc == 0)
		rc = meta_store_row_read(m, &m->store);
	if (rc == 0)
		*out = m;
	else
		meta_close(m);
	return rc;
}

int
meta_peek(const char *path, const char *vfs, const struct logger *log,
	  struct meta_store *store, struct meta_state *state)
{
	char uri[4200];
	struct meta *m = NULL;
	size_t n = 0;
	int rc;

	n += (size_t)snprintf(uri, sizeof uri, "file:");
	for (const char *p = path; *p && n < sizeof uri - 20; p++)
		n += (size_t)snprintf(uri + n, sizeof uri - n,
				      strchr("?#%", *p) ? "%%%02x" : "%c",
				      (unsigned char)*p);
	snprintf(uri + n, sizeof uri - n, "?immutable=1");
	rc = open_db(uri, vfs, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, log, &m);
	if (rc == 0) {
		m->rdonly = 1;
		rc = check_ours(m);
	}
	if (rc == 0)
		rc = meta_store_row_read(m, store);
	if (rc == 0)
		rc = meta_state_get(m, state);
	meta_close(m);
	return rc;
}

static void
close_with(struct meta *m, int abandon)
{
	if (!m)
		return;
	if (abandon && m->db)
		sqlite3_db_config(m->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
				  NULL);
	for (int i = 0; i < SQL_COUNT; i++)
		sqlite3_finalize(m->stmt[i]);
	sqlite3_close(m->db);
	meta_vfs_unregister(m);
	free(m);
}

void
meta_close(struct meta *m)
{
	close_with(m, 0);
}

void
meta_abandon(struct meta *m)
{
	close_with(m, 1);
}

int
meta_integrity(struct meta *m, char *text, size_t text_len)
{
	sqlite3_stmt *st = NULL;
	int rc = 0;

	if (sqlite3_prepare_v2(m->db, "PRAGMA integrity_check(1)", -1, &st,
			       NULL) != SQLITE_OK ||
	    sqlite3_step(st) != SQLITE_ROW ||
	    strcmp((const char *)sqlite3_column_text(st, 0), "ok")) {
		snprintf(text, text_len, "%s",
			 st && sqlite3_column_text(st, 0)
				 ? (const char *)sqlite3_column_text(st, 0)
				 : sqlite3_errmsg(m->db));
		rc = LBS_ECORRUPT;
	}
	sqlite3_finalize(st);
	return rc;
}

void
meta_counters(struct meta *m, struct meta_counters *out)
{
	*out = m->counters;
}

const struct meta_store *
meta_store_row(struct meta *m)
{
	return &m->store;
}

int
meta_begin(struct meta *m)
{
	return meta_run(m, meta_stmt(m, SQL_BEGIN));
}

int
meta_commit(struct meta *m)
{
	int rc = meta_run(m, meta_stmt(m, SQL_COMMIT));

	if (rc)
		meta_rollback(m);
	else
		m->counters.commits++;
	return rc;
}

void
meta_fold(struct meta *m)
{
	(void)sqlite3_wal_checkpoint_v2(m->db, NULL, SQLITE_CHECKPOINT_TRUNCATE,
					NULL, NULL);
}

void
meta_rollback(struct meta *m)
{
	sqlite3_stmt *st = meta_stmt(m, SQL_ROLLBACK);

	if (st && !sqlite3_get_autocommit(m->db)) {
		sqlite3_step(st);
		sqlite3_reset(st);
	}
}

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
	return fail(&m->log, LBS_ECORRUPT,
		    "a row of the metadata file's table %s makes no sense: "
		    "run lbsck, or restore the file from a backup", table);
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

	if (rc == 0 && (v[1] >= m->store.capacity_segments ||
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
	sqlite3_bind_blob(st, 3, segment->salt, SALT_BYTES, SQLITE_TRANSIENT);
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
	sqlite3_bind_blob(st, 2, packed, sizeof packed, SQLITE_TRANSIENT);
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
		sqlite3_bind_blob(st, 7, p->salt, SALT_BYTES, SQLITE_TRANSIENT);
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

		if (*count >= max || segment >= m->store.capacity_segments ||
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
	sqlite3_bind_text(st, 2, vdisk->name, -1, SQLITE_TRANSIENT);
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
		    v.size_bytes > (LBA_MAX + 1) * BLOCK_BYTES) {
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
