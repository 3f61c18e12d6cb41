/*
 * damaged.h - reads what can be read of a table in a damaged database, in the order
 * of its keys, and tells between which keys rows may be missing. Private to
 * liblbs/meta.
 */
#ifndef LBS_META_DAMAGED_H
#define LBS_META_DAMAGED_H

#include <sqlite3.h>

struct damaged_reader {
	/* A row: column 0 is the key, the table's columns follow. 0; 1: the row
	 * makes no sense and counts as missing; or LBS_E..., which ends it. */
	int (*row)(void *ctx, sqlite3_int64 key, sqlite3_stmt *st);
	/* Rows with keys above after and below before may be missing. 0 or
	 * LBS_E... */
	int (*gap)(void *ctx, sqlite3_int64 after, sqlite3_int64 before);
	void *ctx;
};

/* Every key lies between these. */
#define DAMAGED_KEY_MIN (-1)
#define DAMAGED_KEY_MAX INT64_MAX

/* The name is one of ours, not a stranger's. */
int damaged_read(sqlite3 *db, const char *table, const struct damaged_reader *r);

#endif
