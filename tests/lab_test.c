/*
 * lab_test.c - the lab proves itself: each variant of a power cut does what it
 * says, faults strike once and where told, a lying card is caught, and SQLite
 * on the simulated flash keeps its promise exactly when it is set up to.
 */
#include "tests/lab/medium_sim.h"
#include "tests/lab/model.h"
#include "tests/lab/nonce_audit.h"
#include "tests/lab/simimage.h"
#include "tests/lab/vfs_sim.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECTOR SIM_SECTOR

static struct sim_fd open_file(struct simdisk *d, enum sim_side side,
			       const char *name, int create)
{
	struct sim_fd fd;

	assert_int_equal(simdisk_open(d, side, name, create, &fd), 0);
	return fd;
}

static void put(struct simdisk *d, struct sim_fd fd, char c, size_t len,
		uint64_t offset)
{
	char *buf = malloc(len);

	memset(buf, c, len);
	assert_int_equal(simdisk_write(d, fd, buf, len, offset), 0);
	free(buf);
}

static char at(struct simdisk *d, enum sim_side side, const char *name,
	       uint64_t offset)
{
	char c;

	assert_int_equal(simdisk_peek(d, side, name, &c, 1, offset), 0);
	return c;
}

static uint64_t size_of(struct simdisk *d, enum sim_side side, const char *name)
{
	uint64_t size;

	assert_int_equal(simdisk_size(d, open_file(d, side, name, 0), &size), 0);
	return size;
}

/* A disk whose card holds "f", 16 sectors of 'a', all durable. */
static struct simdisk *settled_disk(void)
{
	struct simdisk *d = simdisk_new();
	struct sim_fd fd = open_file(d, SIM_CARD, "f", 1);

	put(d, fd, 'a', 16 * SECTOR, 0);
	assert_int_equal(simdisk_sync(d, fd), 0);
	assert_int_equal(simdisk_sync_dir(d, SIM_CARD), 0);
	assert_int_equal(simdisk_pending(d, SIM_CARD), 0);
	return d;
}

/* ---- power ---------------------------------------------------------------- */

static void test_drop(void **state)
{
	struct simdisk *d = settled_disk();
	struct sim_fd fd = open_file(d, SIM_CARD, "f", 0);

	(void)state;
	put(d, fd, 'b', SECTOR, 0);
	assert_int_equal(simdisk_sync(d, fd), 0);
	put(d, fd, 'c', SECTOR, SECTOR);
	put(d, open_file(d, SIM_CARD, "new", 1), 'n', SECTOR, 0);
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(at(d, SIM_CARD, "f", 0), 'b');
	assert_int_equal(at(d, SIM_CARD, "f", SECTOR), 'a');
	assert_false(simdisk_exists(d, SIM_CARD, "new"));
	/* A handle of the boot before is dead. */
	assert_int_equal(simdisk_write(d, fd, "x", 1, 0), -EIO);
	simdisk_free(d);
}

static void test_names(void **state)
{
	struct simdisk *d = settled_disk(), *e;
	struct sim_fd fd = open_file(d, SIM_CARD, "new", 1), g;

	(void)state;
	/* Card: the file's sync alone is not enough, nor the directory's. */
	put(d, fd, 'n', SECTOR, 0);
	assert_int_equal(simdisk_sync_dir(d, SIM_CARD), 0);
	assert_int_equal(simdisk_sync(d, fd), 0);
	e = simdisk_clone(d);
	simdisk_power_cycle(e, SIM_DROP_ALL, 0);
	assert_false(simdisk_exists(e, SIM_CARD, "new"));
	simdisk_free(e);
	assert_int_equal(simdisk_sync_dir(d, SIM_CARD), 0);
	/* The growth of an old file needs its sync alone. */
	g = open_file(d, SIM_CARD, "f", 0);
	put(d, g, 'g', SECTOR, 16 * SECTOR);
	assert_int_equal(simdisk_sync(d, g), 0);
	put(d, g, 'g', SECTOR, 17 * SECTOR);
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(at(d, SIM_CARD, "new", 0), 'n');
	assert_int_equal(size_of(d, SIM_CARD, "f"), 17 * SECTOR);
	/* Flash: one sync of the file makes it and earlier names durable. */
	put(d, open_file(d, SIM_FLASH, "old", 1), 'o', 10, 0);
	fd = open_file(d, SIM_FLASH, "db", 1);
	put(d, fd, 'd', 10, 0);
	assert_int_equal(simdisk_sync(d, fd), 0);
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(at(d, SIM_FLASH, "db", 9), 'd');
	assert_int_equal(size_of(d, SIM_FLASH, "old"), 0);
	/* An unlink that was not synced is undone, and so is its successor. */
	assert_int_equal(simdisk_unlink(d, SIM_FLASH, "db"), 0);
	put(d, open_file(d, SIM_FLASH, "db", 1), 'e', 10, 0);
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(at(d, SIM_FLASH, "db", 0), 'd');
	simdisk_free(d);
}

/* Lost data under a surviving size: garbage on FAT, zeroes on ext4. */
static void test_growth(void **state)
{
	int garbage = 0, zeroes = 0, i;
	uint64_t seed;

	(void)state;
	for (seed = 0; seed < 200; seed++) {
		struct simdisk *d = settled_disk();
		char buf[SECTOR];

		put(d, open_file(d, SIM_CARD, "f", 0), 'g', SECTOR, 16 * SECTOR);
		put(d, open_file(d, SIM_FLASH, "db", 1), 'g', SECTOR, 0);
		simdisk_power_cycle(d, SIM_SUBSET, seed);
		if (size_of(d, SIM_CARD, "f") > 16 * SECTOR)
			garbage += at(d, SIM_CARD, "f", 16 * SECTOR) != 'g';
		if (simdisk_exists(d, SIM_FLASH, "db") &&
		    simdisk_peek(d, SIM_FLASH, "db", buf, SECTOR, 0) == 0) {
			for (i = 1; i < SECTOR; i++)
				assert_int_equal(buf[i], buf[0]);
			assert_true(buf[0] == 'g' || buf[0] == 0);
			zeroes += buf[0] == 0;
		}
		simdisk_free(d);
	}
	assert_true(garbage > 0 && zeroes > 0);
}

static void test_prefix(void **state)
{
	int seen[9] = { 0 }, k, i;
	uint64_t seed;

	(void)state;
	for (seed = 0; seed < 400; seed++) {
		struct simdisk *d = settled_disk();
		struct sim_fd fd = open_file(d, SIM_CARD, "f", 0);

		for (i = 0; i < 8; i++)
			put(d, fd, 'b', SECTOR, (uint64_t)(7 - i) * SECTOR);
		simdisk_power_cycle(d, SIM_PREFIX, seed);
		for (k = 0; k < 8; k++)
			if (at(d, SIM_CARD, "f", (uint64_t)(7 - k) * SECTOR) == 'a')
				break;
		for (i = k; i < 8; i++)
			assert_int_equal(at(d, SIM_CARD, "f",
					    (uint64_t)(7 - i) * SECTOR), 'a');
		seen[k]++;
		simdisk_free(d);
	}
	for (k = 0; k <= 8; k++)
		assert_true(seen[k] > 0);
}

static void test_subset(void **state)
{
	int reordered = 0, torn = 0, i, s;
	uint64_t seed;

	(void)state;
	for (seed = 0; seed < 400; seed++) {
		struct simdisk *d = settled_disk();
		struct sim_fd fd = open_file(d, SIM_CARD, "f", 0);
		char buf[16 * SECTOR];
		int kept = 0;

		put(d, fd, 'b', 8 * SECTOR, 0);
		put(d, fd, 'c', SECTOR / 2, 0);	  /* half of sector 0 */
		put(d, fd, 'd', 4 * SECTOR, 8 * SECTOR);
		simdisk_power_cycle(d, SIM_SUBSET, seed);
		assert_int_equal(simdisk_peek(d, SIM_CARD, "f", buf,
					      sizeof(buf), 0), 0);
		/* Sector 0 holds one of its three versions, whole. */
		assert_true(buf[SECTOR - 1] == 'a' || buf[SECTOR - 1] == 'b');
		assert_true(buf[0] == buf[SECTOR - 1] ||
			    (buf[0] == 'c' && buf[SECTOR - 1] == 'b'));
		for (s = 1; s < 16; s++) {
			char c = buf[s * SECTOR];

			for (i = 1; i < SECTOR; i++)
				assert_int_equal(buf[s * SECTOR + i], c);
			assert_true(c == 'a' || (s < 12 && c == "bd"[s >= 8]));
			kept += s < 8 && c == 'b';
		}
		torn += kept > 0 && kept < 7;
		reordered += kept == 0 && buf[8 * SECTOR] == 'd';
		simdisk_free(d);
	}
	assert_true(torn > 0 && reordered > 0);
}

static void test_tear(void **state)
{
	int seen[4] = { 0 }, i, s;
	uint64_t seed;

	(void)state;
	for (seed = 0; seed < 100; seed++) {
		struct simdisk *d = settled_disk();
		struct sim_fd fd = open_file(d, SIM_CARD, "f", 0);

		put(d, fd, 'b', SECTOR, 0);
		put(d, fd, 'c', 4 * SECTOR, 4 * SECTOR);
		simdisk_power_cycle(d, SIM_TEAR_LAST, seed);
		assert_int_equal(at(d, SIM_CARD, "f", 0), 'b');
		for (s = 0; s < 4; s++)
			if (at(d, SIM_CARD, "f", (uint64_t)(4 + s) * SECTOR) != 'c')
				break;
		assert_in_range(s, 0, 3);
		for (i = s; i < 4; i++)
			assert_int_equal(at(d, SIM_CARD, "f",
					    (uint64_t)(4 + i) * SECTOR), 'a');
		seen[s]++;
		simdisk_free(d);
	}
	for (s = 0; s < 4; s++)
		assert_true(seen[s] > 0);
}

static void test_kill(void **state)
{
	struct simdisk *d = settled_disk();

	(void)state;
	put(d, open_file(d, SIM_CARD, "f", 0), 'b', SECTOR, 0);
	simdisk_power_cycle(d, SIM_KEEP_ALL, 0);
	assert_int_equal(at(d, SIM_CARD, "f", 0), 'b');
	/* The kernel still owes it to the disk. */
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(at(d, SIM_CARD, "f", 0), 'a');
	simdisk_free(d);
}

static void test_sides_drawn_apart(void **state)
{
	int seen[2][2] = { { 0 } };
	enum sim_variant v;
	uint64_t seed;

	(void)state;
	for (v = SIM_DROP_ALL; v <= SIM_SUBSET; v++) {
		memset(seen, 0, sizeof(seen));
		for (seed = 0; seed < 100; seed++) {
			struct simdisk *d = settled_disk();
			struct sim_fd db = open_file(d, SIM_FLASH, "db", 1);

			put(d, db, 'a', SECTOR, 0);
			assert_int_equal(simdisk_sync(d, db), 0);
			put(d, open_file(d, SIM_CARD, "f", 0), 'b', SECTOR, 0);
			put(d, db, 'b', SECTOR, 0);
			simdisk_power_cycle(d, v, seed);
			seen[at(d, SIM_CARD, "f", 0) == 'b']
			    [at(d, SIM_FLASH, "db", 0) == 'b']++;
			simdisk_free(d);
		}
		assert_true(seen[0][0] && seen[0][1] && seen[1][0]);
		assert_true(v == SIM_DROP_ALL || seen[1][1]);
	}
}

static void test_arm(void **state)
{
	struct simdisk *d = settled_disk();
	struct sim_fd fd = open_file(d, SIM_CARD, "f", 0);
	char c;

	(void)state;
	simdisk_arm(d, simdisk_ticks(d) + 2);
	put(d, fd, 'b', 1, 0);
	assert_int_equal(simdisk_write(d, fd, "c", 1, 0), -EIO);
	assert_true(simdisk_is_off(d));
	assert_int_equal(simdisk_sync(d, fd), -EIO);
	assert_int_equal(simdisk_read(d, fd, &c, 1, 0), -EIO);
	assert_false(simdisk_exists(d, SIM_CARD, "f"));
	simdisk_power_cycle(d, SIM_KEEP_ALL, 0);
	assert_int_equal(at(d, SIM_CARD, "f", 0), 'b');
	assert_false(simdisk_is_off(d));
	simdisk_free(d);
}

/* ---- faults --------------------------------------------------------------- */

static void test_faults(void **state)
{
	struct simdisk *d = settled_disk();
	struct sim_fd fd = open_file(d, SIM_CARD, "f", 0);

	(void)state;
	simdisk_fault(d, SIM_CARD, SIM_WRITE, 1, 2, EIO, 0);
	put(d, fd, 'b', 1, 0);
	assert_int_equal(simdisk_write(d, fd, "c", 1, 0), -EIO);
	assert_int_equal(simdisk_write(d, fd, "c", 1, 0), -EIO);
	assert_int_equal(at(d, SIM_CARD, "f", 0), 'b');
	put(d, fd, 'd', 1, 0);
	simdisk_clear_faults(d);
	simdisk_fault(d, SIM_CARD, SIM_WRITE, 0, 1, ENOSPC, SIM_FAULT_PARTIAL);
	assert_int_equal(simdisk_write(d, fd, "efgh", 4, 0), -ENOSPC);
	assert_int_equal(at(d, SIM_CARD, "f", 1), 'f');
	assert_int_equal(at(d, SIM_CARD, "f", 2), 'a');
	simdisk_clear_faults(d);
	simdisk_fault(d, SIM_CARD, SIM_READ, 0, 0, EIO, 0);
	assert_int_equal(simdisk_read(d, fd, &(char){ 0 }, 1, 0), -EIO);
	assert_int_equal(simdisk_read(d, fd, &(char){ 0 }, 1, 0), -EIO);
	simdisk_clear_faults(d);
	simdisk_capacity(d, SIM_CARD, 17 * SECTOR);
	put(d, fd, 'x', SECTOR, 16 * SECTOR);
	assert_int_equal(simdisk_write(d, fd, "y", 1, 17 * SECTOR), -ENOSPC);
	put(d, fd, 'z', SECTOR, 0);
	simdisk_capacity(d, SIM_CARD, 0);
	put(d, fd, 'y', 1, 17 * SECTOR);
	simdisk_free(d);
}

static void test_failed_sync_drops(void **state)
{
	struct simdisk *d = settled_disk();
	struct sim_fd fd = open_file(d, SIM_CARD, "f", 0);

	(void)state;
	simdisk_fault(d, SIM_CARD, SIM_SYNC, 0, 1, EIO, SIM_FAULT_DROP);
	put(d, fd, 'b', SECTOR, 0);
	assert_int_equal(simdisk_sync(d, fd), -EIO);
	/* Looks written, and the next sync succeeds. */
	assert_int_equal(at(d, SIM_CARD, "f", 0), 'b');
	put(d, fd, 'c', SECTOR, SECTOR);
	assert_int_equal(simdisk_sync(d, fd), 0);
	put(d, fd, 'd', SECTOR, 2 * SECTOR);
	simdisk_evict(d);
	assert_int_equal(at(d, SIM_CARD, "f", 0), 'a');
	assert_int_equal(at(d, SIM_CARD, "f", SECTOR), 'c');
	assert_int_equal(at(d, SIM_CARD, "f", 2 * SECTOR), 'd');
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(at(d, SIM_CARD, "f", 0), 'a');
	assert_int_equal(at(d, SIM_CARD, "f", SECTOR), 'c');
	simdisk_free(d);
}

static void test_torn_pages(void **state)
{
	struct simdisk *d = settled_disk();
	struct sim_fd fd = open_file(d, SIM_CARD, "f", 0);

	(void)state;
	put(d, fd, 'b', 2 * SIM_PAGE, 0);	/* whole pages */
	put(d, fd, 'c', 100, 50);		/* in a page that is pending */
	put(d, fd, 'd', 100, 16 * SECTOR);	/* where nothing was */
	assert_int_equal(simdisk_torn_pages(d), 0);
	assert_int_equal(simdisk_sync(d, fd), 0);
	put(d, fd, 'e', 100, 50);
	assert_int_equal(simdisk_torn_pages(d), 1);
	simdisk_free(d);
}

static void test_tamper(void **state)
{
	struct simdisk *d = settled_disk();
	struct sim_copy *copy = simdisk_copy(d, SIM_CARD);
	struct sim_fd fd = open_file(d, SIM_CARD, "f", 0);

	(void)state;
	put(d, fd, 'b', SECTOR, 0);
	assert_int_equal(simdisk_flip(d, SIM_CARD, "f", 5, 1), 0);
	assert_int_equal(at(d, SIM_CARD, "f", 5), 'b' ^ 1);
	assert_int_equal(simdisk_copy_file(d, SIM_CARD, "f", "g"), 0);
	assert_int_equal(simdisk_cut_file(d, SIM_CARD, "f", 3), 0);
	assert_int_equal(simdisk_poke(d, SIM_CARD, "f", "xy", 2, 0), 0);
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(size_of(d, SIM_CARD, "f"), 3);
	assert_int_equal(at(d, SIM_CARD, "f", 1), 'y');
	assert_int_equal(at(d, SIM_CARD, "g", 5), 'b' ^ 1);
	assert_int_equal(simdisk_drop_file(d, SIM_CARD, "f"), 0);
	assert_int_equal(simdisk_flip(d, SIM_CARD, "f", 0, 1), -ENOENT);
	simdisk_restore(d, copy);
	assert_false(simdisk_exists(d, SIM_CARD, "g"));
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(size_of(d, SIM_CARD, "f"), 16 * SECTOR);
	assert_int_equal(at(d, SIM_CARD, "f", 5), 'a');
	sim_copy_free(copy);
	simdisk_free(d);
}

/* ---- the medium ----------------------------------------------------------- */

static void test_medium(void **state)
{
	struct simdisk *d = simdisk_new();
	struct medium *m = medium_sim_new(d), *n = medium_sim_new(d);
	struct iovec iov[2] = { { "ab", 2 }, { "cd", 2 } };
	uint64_t size;
	char buf[8];

	(void)state;
	assert_int_equal(m->ops->open(m, 0, 0), -ENOENT);
	assert_int_equal(m->ops->open(m, 0, MEDIUM_OPEN_CREATE), 0);
	assert_int_equal(m->ops->open(m, MEDIUM_CARD_FILE, MEDIUM_OPEN_CREATE), 0);
	assert_int_equal(m->ops->pwritev(m, 0, iov, 2, 1), 0);
	assert_int_equal(m->ops->size(m, 0, &size), 0);
	assert_int_equal(size, 5);
	assert_int_equal(m->ops->pread(m, 0, buf, 8, 2), 3);
	assert_memory_equal(buf, "bcd", 3);
	assert_int_equal(m->ops->lock(m), 0);
	assert_int_equal(n->ops->open(n, MEDIUM_CARD_FILE, MEDIUM_OPEN_RDONLY), 0);
	assert_int_equal(n->ops->lock(n), -EBUSY);
	assert_int_equal(n->ops->pwritev(n, MEDIUM_CARD_FILE, iov, 2, 0), -EBADF);
	m->ops->close(m);
	assert_int_equal(n->ops->lock(n), 0);
	assert_int_equal(n->ops->remove(n, 0), 0);
	assert_int_equal(n->ops->open(n, 0, 0), -ENOENT);
	n->ops->close(n);
	simdisk_free(d);
}

/* ---- SQLite --------------------------------------------------------------- */

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
		struct sim_fd fd = open_file(d, SIM_CARD, "log", 1);

		assert_non_null(db);
		simdisk_lie(d, SIM_CARD, lying);
		for (i = 1; i <= 5; i++) {
			put(d, fd, (char)('0' + i), SECTOR,
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
			size = size_of(d, SIM_CARD, "log");
			caught = size < 5 * SECTOR ||
				 at(d, SIM_CARD, "log", 4 * SECTOR) != '5';
		}
		assert_int_equal(caught, lying);
		sqlite3_close(db);
		vfs_sim_free(v);
		simdisk_free(d);
	}
}

/* ---- the model ------------------------------------------------------------ */

#define DISK (40 * MODEL_BLOCK)

static int read_bytes(void *ctx, void *buf, size_t len, uint64_t offset)
{
	memcpy(buf, (uint8_t *)ctx + offset, len);
	return 0;
}

static void test_model(void **state)
{
	static uint8_t image[8][DISK];
	struct model *m = model_new(DISK), *n;
	char why[400];
	int k, ok;

	(void)state;
	/* image[k] is the disk after k requests; the third is flushed, the
	 * fifth acknowledged, the seventh in flight. */
	for (k = 0; k < 7; k++) {
		static const struct {
			enum model_kind kind;
			uint64_t offset;
			size_t len;
		} r[7] = {
			{ MODEL_WRITE, 0, 20 * MODEL_BLOCK },
			{ MODEL_WRITE, 100, 50 },
			{ MODEL_DISCARD, 5 * MODEL_BLOCK - 1, MODEL_BLOCK + 2 },
			{ MODEL_WRITE, 3 * MODEL_BLOCK + 5, 9000 },
			{ MODEL_ZERO, 10, 4096 },
			{ MODEL_WRITE, 0, 512 },
			{ MODEL_WRITE, 512, 8 * MODEL_BLOCK },
		};
		uint64_t op = model_issue(m, r[k].kind, r[k].offset, r[k].len);

		memcpy(image[k + 1], image[k], DISK);
		if (r[k].kind == MODEL_WRITE)
			model_fill(op, r[k].offset, image[k + 1] + r[k].offset,
				   r[k].len);
		else if (r[k].kind == MODEL_ZERO)
			memset(image[k + 1] + r[k].offset, 0, r[k].len);
		else	/* block 5 alone lies inside */
			memset(image[k + 1] + 5 * MODEL_BLOCK, 0, MODEL_BLOCK);
		if (k < 6)
			model_acked(m);
		if (k == 2)
			model_flushed(m);
		model_read(m, image[0], 0, 0);
	}
	for (k = 0; k < 8; k++) {
		n = model_clone(m);
		model_lost_power(n);
		ok = model_check(n, read_bytes, image[k], why, sizeof(why)) == 0;
		assert_int_equal(ok, k >= 3);
		/* What was found is the new beginning. */
		if (ok)
			assert_int_equal(model_check(n, read_bytes, image[k],
						     why, sizeof(why)), 0);
		model_free(n);
		n = model_clone(m);
		ok = model_check(n, read_bytes, image[k], why, sizeof(why)) == 0;
		assert_int_equal(ok, k >= 6);
		model_free(n);
	}
	model_lost_power(m);
	/* A later request without an earlier one, and half a request. */
	memcpy(image[0], image[3], DISK);
	memcpy(image[0], image[6], 512);
	assert_int_equal(model_check(m, read_bytes, image[0], why, sizeof(why)),
			 -1);
	memcpy(image[0], image[6], DISK);
	memcpy(image[0], image[7], MODEL_BLOCK);
	assert_int_equal(model_check(m, read_bytes, image[0], why, sizeof(why)),
			 -1);
	assert_non_null(strstr(why, "block"));
	model_free(m);
}

static void test_model_refused(void **state)
{
	static uint8_t want[DISK], got[DISK];
	struct model *m = model_new(DISK);
	uint64_t op;

	(void)state;
	op = model_issue(m, MODEL_WRITE, 7, 100);
	model_acked(m);
	model_fill(op, 7, want + 7, 100);
	model_issue(m, MODEL_WRITE, 50, 5000);
	model_refused(m);
	model_read(m, got, DISK, 0);
	assert_memory_equal(got, want, DISK);
	model_flushed(m);
	assert_int_equal(model_check(m, read_bytes, want, (char *)got, 100), 0);
	model_free(m);
}

/* ---- the rest ------------------------------------------------------------- */

static void test_nonce_audit(void **state)
{
	uint64_t before = nonce_audit_repeats();
	uint8_t key[32] = { 0 }, nonce[12] = { 0 };
	int i;

	(void)state;
	nonce_audit_reset();
	for (i = 0; i < 20000; i++) {
		memcpy(nonce, &i, sizeof(i));
		key[0] = (uint8_t)(i % 3);
		assert_int_equal(nonce_audit_add(key, nonce), 0);
	}
	assert_int_equal(nonce_audit_add(key, nonce), 1);
	assert_int_equal(nonce_audit_repeats(), before + 1);
	nonce_audit_reset();
	assert_int_equal(nonce_audit_add(key, nonce), 0);
}

static void *hammer(void *arg)
{
	struct simdisk *d = arg, *e;
	struct sim_fd fd;
	char buf[700];
	int i;

	memset(buf, 'h', sizeof(buf));
	for (i = 0; i < 300; i++) {
		if (simdisk_open(d, SIM_CARD, i % 2 ? "f" : "h", 1, &fd) < 0)
			return NULL;
		simdisk_write(d, fd, buf, sizeof(buf), (uint64_t)i * 300);
		simdisk_read(d, fd, buf, sizeof(buf), (uint64_t)i * 100);
		if (i % 10 == 0)
			simdisk_sync(d, fd);
		if (i % 100 == 50) {
			e = simdisk_clone(d);
			simdisk_power_cycle(e, SIM_SUBSET, (uint64_t)i);
			simdisk_free(e);
		}
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct simdisk *d = settled_disk();
	pthread_t t[4];
	int i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, d), 0);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	simdisk_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_subset),
		cmocka_unit_test(test_tear),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_sides_drawn_apart),
		cmocka_unit_test(test_arm),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_failed_sync_drops),
		cmocka_unit_test(test_torn_pages),
		cmocka_unit_test(test_tamper),
		cmocka_unit_test(test_medium),
		cmocka_unit_test(test_sqlite),
		cmocka_unit_test(test_second_opener),
		cmocka_unit_test(test_lying_card),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_model_refused),
		cmocka_unit_test(test_nonce_audit),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
