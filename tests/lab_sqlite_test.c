/*
 * lab_sqlite_test.c - SQLite on the simulated flash keeps its promise exactly when it is
 * set up to, and beside it a lying card is caught.
 */
#include "tests/lab/bare.h"
#include "tests/lab/vfs_sim.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define SECTOR SIM_SECTOR

static sqlite3 *open_db(const struct vfs_sim *v, const char *pragmas)
{
	sqlite3 *db = NULL;

	if (sqlite3_open_v2("t.db", &db, SQLITE_OPEN_READWRITE |
			    SQLITE_OPEN_CREATE, vfs_sim_name(v)) == SQLITE_OK &&
	    sqlite3_exec(db, pragmas, NULL, NULL, NULL) == SQLITE_OK)
		return db;
	sqlite3_close(db);
	return NULL;
}

static int query(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	int value = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		value = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return value;
}

/* Counts up, each step a commit, with some ballast. Returns the last value
 * whose commit returned. */
static int count_up(sqlite3 *db, int to)
{
	char sql[200];
	int n = query(db, "SELECT n FROM t");

	while (n < to) {
		snprintf(sql, sizeof(sql), "BEGIN; UPDATE t SET n = %d; INSERT "
			 "INTO b VALUES(randomblob(3000)); COMMIT", n + 1);
		if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
			return n;
		n++;
	}
	return n;
}

/* Cuts power at every tick of a dozen commits; returns how many cuts lost a
 * commit that had returned. The database is never anything but consistent. */
static int lost_commits(const char *pragmas)
{
	struct simdisk *base = simdisk_new(), *d, *e;
	struct vfs_sim *v = vfs_sim_new(base), *w;
	int lost = 0, done = 0, acked, kind, seed;
	uint64_t tick;
	sqlite3 *db = open_db(v, pragmas);

	assert_non_null(db);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE t(n INT); CREATE TABLE "
				      "b(x BLOB); INSERT INTO t VALUES(0)",
				      NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	vfs_sim_free(v);
	assert_int_equal(simdisk_sync_dir(base, SIM_FLASH), 0);
	for (tick = simdisk_ticks(base) + 1; !done; tick++) {
		d = simdisk_clone(base);
		simdisk_arm(d, tick);
		v = vfs_sim_new(d);
		db = open_db(v, pragmas);
		acked = db ? count_up(db, 12) : 0;
		sqlite3_close(db);
		done = !simdisk_is_off(d);
		vfs_sim_free(v);
		for (kind = 0; kind < SIM_VARIANTS * 3; kind++) {
			seed = kind / SIM_VARIANTS;
			e = simdisk_clone(d);
			simdisk_power_cycle(e, (enum sim_variant)(kind %
							SIM_VARIANTS), seed);
			w = vfs_sim_new(e);
			db = open_db(w, pragmas);
			assert_non_null(db);
			lost += query(db, "SELECT n FROM t") < acked;
			assert_int_equal(query(db, "SELECT n - (SELECT count(*) "
						   "FROM b) FROM t"), 0);
			sqlite3_close(db);
			vfs_sim_free(w);
			simdisk_free(e);
		}
		simdisk_free(d);
	}
	simdisk_free(base);
	return lost;
}

#define EXCLUSIVE_WAL "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"

static void test_sqlite(void **state)
{
	(void)state;
	assert_int_equal(lost_commits(EXCLUSIVE_WAL "PRAGMA synchronous=FULL;"
				      "PRAGMA wal_autocheckpoint=5"), 0);
	assert_int_equal(lost_commits("PRAGMA journal_mode=TRUNCATE;"
				      "PRAGMA synchronous=FULL"), 0);
	/* The settings that do lose commits are caught losing them. */
	assert_true(lost_commits(EXCLUSIVE_WAL "PRAGMA synchronous=NORMAL;"
				 "PRAGMA wal_autocheckpoint=5") > 0);
	assert_true(lost_commits("PRAGMA journal_mode=DELETE;"
				 "PRAGMA synchronous=FULL") > 0);
}

static void test_second_opener(void **state)
{
	struct simdisk *d = simdisk_new();
	struct vfs_sim *v = vfs_sim_new(d);
	sqlite3 *db = open_db(v, EXCLUSIVE_WAL "CREATE TABLE t(n INT)"), *other;
	struct sim_count wal, db_file, all;

	(void)state;
	assert_non_null(db);
	assert_int_equal(sqlite3_open_v2("t.db", &other, SQLITE_OPEN_READWRITE,
					 vfs_sim_name(v)), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "SELECT * FROM t", NULL, NULL,
				      NULL), SQLITE_BUSY);
	sqlite3_close(other);
	simdisk_count(d, SIM_FLASH, "t.db-wal", &wal);
	simdisk_count(d, SIM_FLASH, "t.db", &db_file);
	simdisk_count(d, SIM_FLASH, NULL, &all);
	assert_true(wal.bytes > 4096 && wal.syncs > 0);
	assert_true(all.bytes >= wal.bytes + db_file.bytes);
	sqlite3_close(db);
	vfs_sim_free(v);
	simdisk_free(d);
}

/* A log on the card and its end in SQLite: what a lying card leaves is found
 * out, what an honest one leaves is never short. */
static void test_lying_card(void **state)
{
	int lying, i, caught;
	uint64_t size;

	(void)state;
	for (lying = 0; lying < 2; lying++) {
		struct simdisk *d = simdisk_new();
		struct vfs_sim *v = vfs_sim_new(d);
		sqlite3 *db = open_db(v, EXCLUSIVE_WAL "PRAGMA synchronous=FULL;"
				      "CREATE TABLE t(n INT); CREATE TABLE b(x);"
				      "INSERT INTO t VALUES(0)");
		struct sim_fd fd = bare_open(d, SIM_CARD, "log", 1);

		assert_non_null(db);
		simdisk_lie(d, SIM_CARD, lying);
		for (i = 1; i <= 5; i++) {
			bare_put(d, fd, (char)('0' + i), SECTOR,
			    (uint64_t)(i - 1) * SECTOR);
			assert_int_equal(simdisk_sync(d, fd), 0);
			assert_int_equal(simdisk_sync_dir(d, SIM_CARD), 0);
			assert_int_equal(count_up(db, i), i);
		}
		simdisk_arm(d, simdisk_ticks(d) + 1);
		sqlite3_close(db);
		vfs_sim_free(v);
		simdisk_power_cycle(d, SIM_DROP_ALL, 0);
		v = vfs_sim_new(d);
		db = open_db(v, EXCLUSIVE_WAL);
		assert_int_equal(query(db, "SELECT n FROM t"), 5);
		caught = !simdisk_exists(d, SIM_CARD, "log");
		if (!caught) {
			size = bare_size(d, SIM_CARD, "log");
			caught = size < 5 * SECTOR ||
				 bare_at(d, SIM_CARD, "log", 4 * SECTOR) != '5';
		}
		assert_int_equal(caught, lying);
		sqlite3_close(db);
		vfs_sim_free(v);
		simdisk_free(d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sqlite),
		cmocka_unit_test(test_second_opener),
		cmocka_unit_test(test_lying_card),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
