/*
 * meta.h - a metadata file in a directory of its own, for the tests of
 * liblbs/meta: made, closed, changed behind its back with SQL, opened again.
 */
#ifndef LBS_TESTS_META_H
#define LBS_TESTS_META_H

#include <sqlite3.h>
#include <unistd.h>

#include "liblbs/meta/internal.h"
#include "tests/unit/unit.h"

static char meta_dir[64], meta_path[96];
static struct meta *meta;
static int meta_told; /* code of the last error told */

static const struct meta_store meta_row = {
	.format_version = 1, .store_id = { 7 }, .cipher = 1, .freshness = 1,
	.block_size = 4096, .segment_size = 1 << 20, .chunk_size = 8 << 20,
	.capacity_segments = 1000, .created_unix = 1, .data_dir = "/card",
};
static const uint8_t meta_key[DATA_KEY_BYTES] = { 1, 2, 3 };

static inline void
meta_tell(void *ctx, int level, int code, const char *sentence)
{
	(void)ctx;
	(void)sentence;
	if (level == LBS_LOG_ERROR)
		meta_told = code;
}

static const struct logger meta_log = { meta_tell, NULL };

static inline int
meta_reopen(void)
{
	meta_close(meta);
	meta = NULL;
	return meta_open(meta_path, NULL, 0, &meta_log, &meta);
}

static inline int
meta_setup(void **state)
{
	(void)state;
	if (unit_directory(meta_dir, "meta"))
		return -1;
	snprintf(meta_path, sizeof meta_path, "%s/corp.lbs", meta_dir);
	return meta_create(meta_path, NULL, &meta_row, meta_key, &meta_log,
			   &meta);
}

static inline int
meta_teardown(void **state)
{
	char path[112];

	(void)state;
	meta_close(meta);
	meta = NULL;
	unlink(meta_path);
	snprintf(path, sizeof path, "%s-wal", meta_path);
	unlink(path);
	return rmdir(meta_dir);
}

/* Changes the file as a stranger would; it is closed meanwhile. */
static inline void
meta_sql(const char *sql)
{
	sqlite3 *db;
	char *why = NULL;

	meta_close(meta);
	meta = NULL;
	assert_int_equal(sqlite3_open(meta_path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
	sqlite3_close(db);
}

#endif
