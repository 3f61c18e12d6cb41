/*
 * internal.h - shared by the files of liblbs/meta, and by nobody else.
 */
#ifndef LBS_META_INTERNAL_H
#define LBS_META_INTERNAL_H

#include <sqlite3.h>

#include "liblbs/meta/meta.h"

/* Statements prepared once; the SQL stands in meta.c and mapstore.c. */
enum statement {
	SQL_BEGIN, SQL_COMMIT, SQL_ROLLBACK,
	SQL_STATE_GET, SQL_STATE_SET, SQL_ANCHOR_GET, SQL_ANCHOR_SET,
	SQL_SEGMENT_PUT, SQL_SEGMENT_DELETE, SQL_SEGMENT_EACH,
	SQL_LIVE_GET, SQL_LIVE_PUT, SQL_CHUNK_PUT, SQL_CHUNK_CUT, SQL_CHUNK_EACH,
	SQL_PIECE_CLEAR, SQL_PIECE_ADD, SQL_PIECE_EACH,
	SQL_TOTAL_GET, SQL_TOTAL_SET,
	SQL_VDISK_ADD, SQL_VDISK_EACH,
	SQL_BASE_PAGE, SQL_BASE_RANGE, SQL_BASE_PUT, SQL_BASE_DELETE,
	SQL_BASE_LEAST,
	SQL_DELTA_RANGE, SQL_DELTA_PUT, SQL_DELTA_DELETE, SQL_DELTA_LEAST,
	SQL_COUNT
};

struct meta {
	sqlite3 *db;
	sqlite3_vfs *vfs;	/* the counting one over the real one */
	struct logger log;
	struct meta_store store;
	struct meta_counters counters; /* written below the vfs */
	sqlite3_stmt *stmt[SQL_COUNT];
	char vfs_name[64];
	int rdonly;
};

/* The counting VFS over base (NULL = the default); its name in m->vfs_name. */
int meta_vfs_register(struct meta *m, const char *base);
void meta_vfs_unregister(struct meta *m);

/* Opens the database and nothing more: no check, no setting. */
int meta_open_db(const char *path, const struct logger *log, struct meta **out);

/* Writes what a file holds to it again and syncs it: an SQLite code. rewrite.c */
int meta_rewrite(sqlite3_file *file);

/* A statement, or NULL when it cannot be prepared. Binding to NULL does nothing, and
 * stepping it fails: so that is told once, by whoever steps it. */
sqlite3_stmt *meta_stmt(struct meta *m, enum statement which);
/* Steps a statement that returns no row, and resets it. */
int meta_run(struct meta *m, sqlite3_stmt *st);
/* Maps SQLite's error to ours and logs a sentence. */
int meta_error(struct meta *m, const char *doing);

/* decode.c: the columns of a row from column at on, in the order of the table, the
 * id of a table of one row left out (piece: its seq). 0, or -1 if they make no sense
 * for a store (or memory ran out): then what out holds is of no use. */
int decode_state(sqlite3_stmt *st, int at, struct meta_state *out);
int decode_anchor(const struct meta_store *store, sqlite3_stmt *st, int at,
		  struct meta_anchor *out);
int decode_segment(const struct meta_store *store, sqlite3_stmt *st, int at,
		   struct meta_segment *out);
int decode_live(sqlite3_stmt *st, int at, uint32_t live[META_LIVE_GROUP]);
int decode_chunk(const struct meta_store *store, sqlite3_stmt *st, int at,
		 uint32_t *chunk, uint32_t *filled);
int decode_piece(const struct meta_store *store, sqlite3_stmt *st, int at,
		 struct meta_piece *out);
int decode_vdisk(sqlite3_stmt *st, int at, struct meta_vdisk *out);

extern const char *const meta_schema;
int meta_store_row_write(struct meta *m, const struct meta_store *s,
			 const uint8_t data_key[DATA_KEY_BYTES]);
int meta_store_row_read(struct meta *m, struct meta_store *s);

#endif
