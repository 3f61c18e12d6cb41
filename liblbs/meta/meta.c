/*
 * meta.c - opening the metadata file as it must be opened (WAL, synchronous
 * FULL, exclusive, no mmap: Debian's defaults lose the last commit at a power
 * cut), statements, transactions.
 */
#include "liblbs/meta/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "liblbs/format/bytes.h"

#define APPLICATION_ID 0x4c425331 /* "LBS1" */
#define WAL_PAGES 64		  /* 256 KiB of log before it is folded in */

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
	[SQL_CHUNK_CUT] = "DELETE FROM chunk WHERE idx>=?",
	[SQL_CHUNK_EACH] = "SELECT idx,filled FROM chunk ORDER BY idx",
	[SQL_PIECE_CLEAR] = "DELETE FROM piece",
	[SQL_PIECE_ADD] = "INSERT INTO piece VALUES(?,?,?,?,?,?,?)",
	[SQL_PIECE_EACH] = "SELECT first_recno,end_recno,segment,offset,serial,"
			   "salt FROM piece ORDER BY seq",
	[SQL_TOTAL_GET] = "SELECT guest_bytes,log_bytes,clean_bytes,fill_bytes "
			  "FROM total",
	[SQL_TOTAL_SET] = "UPDATE total SET guest_bytes=?,log_bytes=?,"
			  "clean_bytes=?,fill_bytes=?",
	[SQL_VDISK_ADD] = "INSERT INTO vdisk VALUES(?,?,?,?)",
	[SQL_VDISK_EACH] = "SELECT id,name,size,layer FROM vdisk ORDER BY id",
	/* ?1: its first block, ?2: its region's first, ?3: its last. */
	[SQL_BASE_PAGE] = "SELECT key,runs FROM map_base WHERE key>=ifnull("
			  "(SELECT max(key) FROM map_base WHERE key<=?1 AND "
			  "key>=?2),?1) AND key<=?3 ORDER BY key",
	[SQL_BASE_RANGE] = "SELECT key,runs FROM map_base WHERE key BETWEEN ? AND "
			   "? ORDER BY key",
	[SQL_BASE_PUT] = "INSERT INTO map_base VALUES(?,?)",
	[SQL_BASE_DELETE] = "DELETE FROM map_base WHERE key BETWEEN ? AND ?",
	[SQL_BASE_LEAST] = "SELECT min(key) FROM map_base WHERE key>=?",
	[SQL_DELTA_RANGE] = "SELECT key,runs FROM map_delta WHERE key>=? AND "
			    "key<=? ORDER BY key",
	[SQL_DELTA_PUT] = "INSERT INTO map_delta VALUES(?,?)",
	[SQL_DELTA_DELETE] = "DELETE FROM map_delta WHERE key>=? AND key<=?",
	[SQL_DELTA_LEAST] = "SELECT min(key) FROM map_delta WHERE key>=?",
};

int
meta_error(struct meta *m, const char *doing)
{
	int rc = sqlite3_extended_errcode(m->db);

	switch (rc == SQLITE_IOERR_NOMEM ? SQLITE_NOMEM : rc & 0xff) {
	case SQLITE_NOMEM:
		return fail(&m->log, LBS_ENOMEM, "out of memory, could not %s",
			    doing);
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
			    "check its permissions and the directory's", doing);
	case SQLITE_CANTOPEN:
		return fail(&m->log, LBS_EIO,
			    "the metadata file or its log cannot be opened: "
			    "check who owns them, and the permissions of them "
			    "and of the directory");
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
	int step = sqlite3_step(st), rc = 0;

	if (step != SQLITE_DONE && step != SQLITE_ROW)
		rc = meta_error(m, "write");
	sqlite3_reset(st);
	return rc;
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
		if (rc == SQLITE_ROW && !got)
			rc = sqlite3_errcode(m->db);
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

/* Whether closing folds SQLite's log into the file: only of a file that is ours, and
 * by one who may write. */
static void
write_on_close(struct meta *m, int yes)
{
	sqlite3_db_config(m->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !yes, NULL);
}

static int
settings(struct meta *m)
{
	char autocheckpoint[64];
	int rc = 0;

	snprintf(autocheckpoint, sizeof autocheckpoint,
		 "PRAGMA wal_autocheckpoint=%d", WAL_PAGES);
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
		{ "PRAGMA secure_delete=FAST", NULL },
		{ "PRAGMA temp_store=MEMORY", NULL },
		{ "PRAGMA cache_size=-2048", NULL },
	};
	for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
		if ((rc = pragma(m, list[i].text, list[i].expect)))
			break;
	if (rc == 0)
		write_on_close(m, !m->rdonly);
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
	/* SQLite goes on without being asked, and fails at the lock. */
	if (rc == 0 && flags & SQLITE_OPEN_READWRITE &&
	    sqlite3_db_readonly(m->db, "main") == 1)
		rc = fail(log, LBS_EROFS,
			  "the metadata file cannot be written: check who owns "
			  "it, and its permissions");
	if (rc == 0)
		sqlite3_busy_timeout(m->db, 0);
	*out = m;
	return rc;
}

int
meta_open_db(const char *path, const struct logger *log, struct meta **out)
{
	return open_db(path, NULL, SQLITE_OPEN_READWRITE, log, out);
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
	if (rc == LBS_ENOMEM)
		return fail(&m->log, rc, "out of memory");
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
		write_on_close(m, 0);
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
	const char *p;
	size_t n = 0;
	int rc;

	n += (size_t)snprintf(uri, sizeof uri, "file:");
	for (p = path; *p && n < sizeof uri - 20; p++)
		n += (size_t)snprintf(uri + n, sizeof uri - n,
				      strchr("?#%", *p) ? "%%%02x" : "%c",
				      (unsigned char)*p);
	if (*p)
		return fail(log, LBS_EINVAL, "the path is too long");
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
	const char *said = NULL;
	sqlite3_stmt *st = NULL;
	int rc = 0;

	if (sqlite3_prepare_v2(m->db, "PRAGMA integrity_check(1)", -1, &st,
			       NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		said = (const char *)sqlite3_column_text(st, 0);
	if (!said || strcmp(said, "ok")) {
		snprintf(text, text_len, "%s",
			 said ? said : sqlite3_errmsg(m->db));
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
