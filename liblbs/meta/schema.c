/*
 * schema.c - the tables of the metadata file, FORMAT.md section 8, and the one
 * row that says what a store is. Nothing of it is believed from the card.
 */
#include <string.h>

#include "crypto/aead.h"
#include "liblbs/meta/internal.h"

/* anchor has a table of its own so that a flush dirties one page. */
const char *const meta_schema =
	"CREATE TABLE store(id INTEGER PRIMARY KEY CHECK(id=1),"
	" format_version INTEGER NOT NULL, features_must INTEGER NOT NULL,"
	" features_may INTEGER NOT NULL, store_id BLOB NOT NULL,"
	" data_key BLOB NOT NULL, cipher INTEGER NOT NULL,"
	" freshness INTEGER NOT NULL, block_size INTEGER NOT NULL,"
	" segment_size INTEGER NOT NULL, chunk_size INTEGER NOT NULL,"
	" capacity_segments INTEGER NOT NULL, data_dir TEXT NOT NULL,"
	" created INTEGER NOT NULL);"
	"CREATE TABLE state(id INTEGER PRIMARY KEY CHECK(id=1),"
	" session INTEGER NOT NULL, checkpoint INTEGER NOT NULL,"
	" checkpoint_recno INTEGER NOT NULL);"
	"CREATE TABLE anchor(id INTEGER PRIMARY KEY CHECK(id=1),"
	" recno INTEGER NOT NULL, segment INTEGER NOT NULL,"
	" offset INTEGER NOT NULL);"
	"CREATE TABLE segment(idx INTEGER PRIMARY KEY, serial INTEGER NOT NULL,"
	" salt BLOB NOT NULL);"
	"CREATE TABLE live(grp INTEGER PRIMARY KEY, counts BLOB NOT NULL);"
	"CREATE TABLE chunk(idx INTEGER PRIMARY KEY, filled INTEGER NOT NULL);"
	"CREATE TABLE piece(seq INTEGER PRIMARY KEY,"
	" first_recno INTEGER NOT NULL, end_recno INTEGER NOT NULL,"
	" segment INTEGER NOT NULL, offset INTEGER NOT NULL,"
	" serial INTEGER NOT NULL, salt BLOB NOT NULL);"
	"CREATE TABLE layer(id INTEGER PRIMARY KEY, parent INTEGER);"
	"CREATE TABLE vdisk(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	" size INTEGER NOT NULL, layer INTEGER NOT NULL);"
	"CREATE TABLE map_base(key INTEGER PRIMARY KEY, runs BLOB NOT NULL);"
	"CREATE TABLE map_delta(key INTEGER PRIMARY KEY, runs BLOB NOT NULL);"
	"CREATE TABLE total(id INTEGER PRIMARY KEY CHECK(id=1),"
	" guest_bytes INTEGER NOT NULL, log_bytes INTEGER NOT NULL,"
	" clean_bytes INTEGER NOT NULL, fill_bytes INTEGER NOT NULL);"
	"INSERT INTO total VALUES(1,0,0,0,0);"
	"INSERT INTO state VALUES(1,0,0,0);"
	"INSERT INTO anchor VALUES(1,0,0,0);";

int
meta_store_row_write(struct meta *m, const struct meta_store *s,
		     const uint8_t data_key[DATA_KEY_BYTES])
{
	sqlite3_stmt *st = NULL;
	int rc = LBS_EIO;

	if (sqlite3_prepare_v2(m->db,
			       "INSERT INTO store VALUES"
			       "(1,?,?,?,?,?,?,?,?,?,?,?,?,?)",
			       -1, &st, NULL) != SQLITE_OK)
		goto out;
	sqlite3_bind_int64(st, 1, s->format_version);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)s->features_must);
	sqlite3_bind_int64(st, 3, (sqlite3_int64)s->features_may);
	sqlite3_bind_blob(st, 4, s->store_id, STORE_ID_BYTES, SQLITE_STATIC);
	sqlite3_bind_blob(st, 5, data_key, DATA_KEY_BYTES, SQLITE_STATIC);
	sqlite3_bind_int(st, 6, s->cipher);
	sqlite3_bind_int(st, 7, s->freshness);
	sqlite3_bind_int64(st, 8, s->block_size);
	sqlite3_bind_int64(st, 9, s->segment_size);
	sqlite3_bind_int64(st, 10, (sqlite3_int64)s->chunk_size);
	sqlite3_bind_int64(st, 11, s->capacity_segments);
	sqlite3_bind_text(st, 12, s->data_dir, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 13, s->created_unix);
	if (sqlite3_step(st) == SQLITE_DONE)
		rc = 0;
out:
	sqlite3_finalize(st);
	return rc ? meta_error(m, "write the store's row") : 0;
}

int
meta_compress(const struct meta_store *store)
{
	return store->features_must & FEATURE_LZ4    ? LBS_COMPRESS_LZ4
	       : store->features_must & FEATURE_ZSTD ? LBS_COMPRESS_ZSTD
						     : LBS_COMPRESS_NONE;
}

/* Each value that code depends on is bounded here, so that a file that SQLite
 * finds whole but that was changed by hand cannot make us overrun. */
static int
store_row_valid(const struct meta_store *s)
{
	const uint64_t both = FEATURE_LZ4 | FEATURE_ZSTD;

	return s->block_size == BLOCK_BYTES && (s->features_must & both) != both &&
	       s->segment_size >= SEGMENT_BYTES_MIN &&
	       s->segment_size <= SEGMENT_BYTES_MAX &&
	       (s->segment_size & (s->segment_size - 1)) == 0 &&
	       s->chunk_size >= s->segment_size &&
	       s->chunk_size <= CHUNK_BYTES_MAX &&
	       s->chunk_size % s->segment_size == 0 &&
	       s->capacity_segments >= 1 &&
	       s->capacity_segments <= SEGMENTS_MAX &&
	       (uint64_t)s->capacity_segments * s->segment_size / s->chunk_size <
		       65535 &&
	       (s->freshness == LBS_FRESHNESS_FLUSH ||
		s->freshness == LBS_FRESHNESS_CHECKPOINT);
}

/* Out of range becomes what no column may hold. */
static uint32_t
column_u32(sqlite3_stmt *st, int column)
{
	sqlite3_int64 v = sqlite3_column_int64(st, column);

	return v < 0 || v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

/* What this LBS cannot know how to read. */
static int
refuse_newer(struct meta *m, uint64_t version, uint64_t features_must)
{
	if (version > FORMAT_VERSION)
		return fail(&m->log, LBS_EVERSION,
			    "the store has format version %llu, this LBS knows up "
			    "to %u: use a newer LBS",
			    (unsigned long long)version, FORMAT_VERSION);
	if (features_must & ~FEATURES_MUST_KNOWN)
		return fail(&m->log, LBS_EVERSION,
			    "the store uses features unknown to this LBS "
			    "(mask %#llx): use a newer LBS",
			    (unsigned long long)(features_must &
						 ~FEATURES_MUST_KNOWN));
	return 0;
}

/* 0, or -1 if the row makes no sense. */
static int
decode_store(sqlite3_stmt *st, struct meta_store *s)
{
	const char *dir = (const char *)sqlite3_column_text(st, 11);
	const void *id = sqlite3_column_blob(st, 3);

	if (s->format_version != FORMAT_VERSION || !dir || !id ||
	    sqlite3_column_bytes(st, 3) != STORE_ID_BYTES ||
	    sqlite3_column_bytes(st, 4) != DATA_KEY_BYTES ||
	    strlen(dir) >= sizeof s->data_dir)
		return -1;
	memcpy(s->store_id, id, STORE_ID_BYTES);
	s->cipher = (int)column_u32(st, 5);
	s->freshness = (int)column_u32(st, 6);
	s->block_size = column_u32(st, 7);
	s->segment_size = column_u32(st, 8);
	s->chunk_size = (uint64_t)sqlite3_column_int64(st, 9);
	s->capacity_segments = column_u32(st, 10);
	strcpy(s->data_dir, dir);
	s->created_unix = sqlite3_column_int64(st, 12);
	return store_row_valid(s) ? 0 : -1;
}

int
meta_store_row_read(struct meta *m, struct meta_store *s)
{
	sqlite3_stmt *st = NULL;
	uint64_t version;
	int rc;

	memset(s, 0, sizeof *s);
	if (sqlite3_prepare_v2(m->db,
			       "SELECT format_version,features_must,"
			       "features_may,store_id,data_key,cipher,freshness,"
			       "block_size,segment_size,chunk_size,"
			       "capacity_segments,data_dir,created FROM store",
			       -1, &st, NULL) != SQLITE_OK ||
	    sqlite3_step(st) != SQLITE_ROW) {
		rc = sqlite3_errcode(m->db) == SQLITE_DONE
			     ? fail(&m->log, LBS_ECORRUPT,
				    "the metadata file has no store row: "
				    "restore it from a backup")
			     : meta_error(m, "read the store's row");
		goto out;
	}
	version = (uint64_t)sqlite3_column_int64(st, 0);
	s->format_version = (uint32_t)version;
	s->features_must = (uint64_t)sqlite3_column_int64(st, 1);
	s->features_may = (uint64_t)sqlite3_column_int64(st, 2);
	rc = refuse_newer(m, version, s->features_must);
	if (rc)
		goto out;
	if (decode_store(st, s))
		rc = fail(&m->log, LBS_ECORRUPT,
			  "the store row of the metadata file makes no sense: "
			  "restore the file from a backup");
	else if (!aead_available(s->cipher))
		rc = fail(&m->log, LBS_ENOTSUP,
			  "the store's cipher %s is not available in this build "
			  "or on this processor: open it where it is",
			  aead_name(s->cipher));
out:
	sqlite3_finalize(st);
	return rc;
}

int
meta_data_key(struct meta *m, uint8_t key[DATA_KEY_BYTES])
{
	sqlite3_stmt *st = NULL;
	int rc = 0;

	if (sqlite3_prepare_v2(m->db, "SELECT data_key FROM store", -1, &st,
			       NULL) != SQLITE_OK ||
	    sqlite3_step(st) != SQLITE_ROW ||
	    sqlite3_column_bytes(st, 0) != DATA_KEY_BYTES)
		rc = meta_error(m, "read the data key");
	else
		memcpy(key, sqlite3_column_blob(st, 0), DATA_KEY_BYTES);
	sqlite3_finalize(st);
	return rc;
}
