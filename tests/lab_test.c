/*
 * lab_test.c - the simulated disk proves itself: each variant of a power cut does what
 * it says, faults strike once and where told. Also the audit of nonces.
 */
#include "tests/lab/bare.h"
#include "tests/lab/medium_sim.h"
#include "tests/lab/nonce_audit.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SECTOR SIM_SECTOR

/* ---- power ---------------------------------------------------------------- */

static void test_drop(void **state)
{
	struct simdisk *d = bare_settled();
	struct sim_fd fd = bare_open(d, SIM_CARD, "f", 0);

	(void)state;
	bare_put(d, fd, 'b', SECTOR, 0);
	assert_int_equal(simdisk_sync(d, fd), 0);
	bare_put(d, fd, 'c', SECTOR, SECTOR);
	bare_put(d, bare_open(d, SIM_CARD, "new", 1), 'n', SECTOR, 0);
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(bare_at(d, SIM_CARD, "f", 0), 'b');
	assert_int_equal(bare_at(d, SIM_CARD, "f", SECTOR), 'a');
	assert_false(simdisk_exists(d, SIM_CARD, "new"));
	/* A handle of the boot before is dead. */
	assert_int_equal(simdisk_write(d, fd, "x", 1, 0), -EIO);
	simdisk_free(d);
}

static void test_names(void **state)
{
	struct simdisk *d = bare_settled(), *e;
	struct sim_fd fd = bare_open(d, SIM_CARD, "new", 1), g;

	(void)state;
	/* Card: the file's sync alone is not enough, nor the directory's. */
	bare_put(d, fd, 'n', SECTOR, 0);
	assert_int_equal(simdisk_sync_dir(d, SIM_CARD), 0);
	assert_int_equal(simdisk_sync(d, fd), 0);
	e = simdisk_clone(d);
	simdisk_power_cycle(e, SIM_DROP_ALL, 0);
	assert_false(simdisk_exists(e, SIM_CARD, "new"));
	simdisk_free(e);
	assert_int_equal(simdisk_sync_dir(d, SIM_CARD), 0);
	/* The growth of an old file needs its sync alone. */
	g = bare_open(d, SIM_CARD, "f", 0);
	bare_put(d, g, 'g', SECTOR, 16 * SECTOR);
	assert_int_equal(simdisk_sync(d, g), 0);
	bare_put(d, g, 'g', SECTOR, 17 * SECTOR);
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(bare_at(d, SIM_CARD, "new", 0), 'n');
	assert_int_equal(bare_size(d, SIM_CARD, "f"), 17 * SECTOR);
	/* Flash: one sync of the file makes it and earlier names durable. */
	bare_put(d, bare_open(d, SIM_FLASH, "old", 1), 'o', 10, 0);
	fd = bare_open(d, SIM_FLASH, "db", 1);
	bare_put(d, fd, 'd', 10, 0);
	assert_int_equal(simdisk_sync(d, fd), 0);
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(bare_at(d, SIM_FLASH, "db", 9), 'd');
	assert_int_equal(bare_size(d, SIM_FLASH, "old"), 0);
	/* An unlink that was not synced is undone, and so is its successor. */
	assert_int_equal(simdisk_unlink(d, SIM_FLASH, "db"), 0);
	bare_put(d, bare_open(d, SIM_FLASH, "db", 1), 'e', 10, 0);
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(bare_at(d, SIM_FLASH, "db", 0), 'd');
	simdisk_free(d);
}

/* Lost data under a surviving size: garbage on FAT, zeroes on ext4. */
static void test_growth(void **state)
{
	int garbage = 0, zeroes = 0, i;
	uint64_t seed;

	(void)state;
	for (seed = 0; seed < 200; seed++) {
		struct simdisk *d = bare_settled();
		char buf[SECTOR];

		bare_put(d, bare_open(d, SIM_CARD, "f", 0), 'g', SECTOR, 16 * SECTOR);
		bare_put(d, bare_open(d, SIM_FLASH, "db", 1), 'g', SECTOR, 0);
		simdisk_power_cycle(d, SIM_SUBSET, seed);
		if (bare_size(d, SIM_CARD, "f") > 16 * SECTOR)
			garbage += bare_at(d, SIM_CARD, "f", 16 * SECTOR) != 'g';
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
		struct simdisk *d = bare_settled();
		struct sim_fd fd = bare_open(d, SIM_CARD, "f", 0);

		for (i = 0; i < 8; i++)
			bare_put(d, fd, 'b', SECTOR, (uint64_t)(7 - i) * SECTOR);
		simdisk_power_cycle(d, SIM_PREFIX, seed);
		for (k = 0; k < 8; k++)
			if (bare_at(d, SIM_CARD, "f", (uint64_t)(7 - k) * SECTOR) == 'a')
				break;
		for (i = k; i < 8; i++)
			assert_int_equal(bare_at(d, SIM_CARD, "f",
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
		struct simdisk *d = bare_settled();
		struct sim_fd fd = bare_open(d, SIM_CARD, "f", 0);
		char buf[16 * SECTOR];
		int kept = 0;

		bare_put(d, fd, 'b', 8 * SECTOR, 0);
		bare_put(d, fd, 'c', SECTOR / 2, 0);	  /* half of sector 0 */
		bare_put(d, fd, 'd', 4 * SECTOR, 8 * SECTOR);
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
		struct simdisk *d = bare_settled();
		struct sim_fd fd = bare_open(d, SIM_CARD, "f", 0);

		bare_put(d, fd, 'b', SECTOR, 0);
		bare_put(d, fd, 'c', 4 * SECTOR, 4 * SECTOR);
		simdisk_power_cycle(d, SIM_TEAR_LAST, seed);
		assert_int_equal(bare_at(d, SIM_CARD, "f", 0), 'b');
		for (s = 0; s < 4; s++)
			if (bare_at(d, SIM_CARD, "f", (uint64_t)(4 + s) * SECTOR) != 'c')
				break;
		assert_in_range(s, 0, 3);
		for (i = s; i < 4; i++)
			assert_int_equal(bare_at(d, SIM_CARD, "f",
					    (uint64_t)(4 + i) * SECTOR), 'a');
		seen[s]++;
		simdisk_free(d);
	}
	for (s = 0; s < 4; s++)
		assert_true(seen[s] > 0);
}

static void test_kill(void **state)
{
	struct simdisk *d = bare_settled();

	(void)state;
	bare_put(d, bare_open(d, SIM_CARD, "f", 0), 'b', SECTOR, 0);
	simdisk_power_cycle(d, SIM_KEEP_ALL, 0);
	assert_int_equal(bare_at(d, SIM_CARD, "f", 0), 'b');
	/* The kernel still owes it to the disk. */
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(bare_at(d, SIM_CARD, "f", 0), 'a');
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
			struct simdisk *d = bare_settled();
			struct sim_fd db = bare_open(d, SIM_FLASH, "db", 1);

			bare_put(d, db, 'a', SECTOR, 0);
			assert_int_equal(simdisk_sync(d, db), 0);
			bare_put(d, bare_open(d, SIM_CARD, "f", 0), 'b', SECTOR, 0);
			bare_put(d, db, 'b', SECTOR, 0);
			simdisk_power_cycle(d, v, seed);
			seen[bare_at(d, SIM_CARD, "f", 0) == 'b']
			    [bare_at(d, SIM_FLASH, "db", 0) == 'b']++;
			simdisk_free(d);
		}
		assert_true(seen[0][0] && seen[0][1] && seen[1][0]);
		assert_true(v == SIM_DROP_ALL || seen[1][1]);
	}
}

static void test_arm(void **state)
{
	struct simdisk *d = bare_settled();
	struct sim_fd fd = bare_open(d, SIM_CARD, "f", 0);
	char c;

	(void)state;
	simdisk_arm(d, simdisk_ticks(d) + 2);
	bare_put(d, fd, 'b', 1, 0);
	assert_int_equal(simdisk_write(d, fd, "c", 1, 0), -EIO);
	assert_true(simdisk_is_off(d));
	assert_int_equal(simdisk_sync(d, fd), -EIO);
	assert_int_equal(simdisk_read(d, fd, &c, 1, 0), -EIO);
	assert_false(simdisk_exists(d, SIM_CARD, "f"));
	simdisk_power_cycle(d, SIM_KEEP_ALL, 0);
	assert_int_equal(bare_at(d, SIM_CARD, "f", 0), 'b');
	assert_false(simdisk_is_off(d));
	simdisk_free(d);
}

/* ---- faults --------------------------------------------------------------- */

static void test_faults(void **state)
{
	struct simdisk *d = bare_settled();
	struct sim_fd fd = bare_open(d, SIM_CARD, "f", 0);

	(void)state;
	simdisk_fault(d, SIM_CARD, SIM_WRITE, 1, 2, EIO, 0);
	bare_put(d, fd, 'b', 1, 0);
	assert_int_equal(simdisk_write(d, fd, "c", 1, 0), -EIO);
	assert_int_equal(simdisk_write(d, fd, "c", 1, 0), -EIO);
	assert_int_equal(bare_at(d, SIM_CARD, "f", 0), 'b');
	bare_put(d, fd, 'd', 1, 0);
	simdisk_clear_faults(d);
	simdisk_fault(d, SIM_CARD, SIM_WRITE, 0, 1, ENOSPC, SIM_FAULT_PARTIAL);
	assert_int_equal(simdisk_write(d, fd, "efgh", 4, 0), -ENOSPC);
	assert_int_equal(bare_at(d, SIM_CARD, "f", 1), 'f');
	assert_int_equal(bare_at(d, SIM_CARD, "f", 2), 'a');
	simdisk_clear_faults(d);
	simdisk_fault(d, SIM_CARD, SIM_READ, 0, 0, EIO, 0);
	assert_int_equal(simdisk_read(d, fd, &(char){ 0 }, 1, 0), -EIO);
	assert_int_equal(simdisk_read(d, fd, &(char){ 0 }, 1, 0), -EIO);
	simdisk_clear_faults(d);
	simdisk_capacity(d, SIM_CARD, 17 * SECTOR);
	bare_put(d, fd, 'x', SECTOR, 16 * SECTOR);
	assert_int_equal(simdisk_write(d, fd, "y", 1, 17 * SECTOR), -ENOSPC);
	bare_put(d, fd, 'z', SECTOR, 0);
	simdisk_capacity(d, SIM_CARD, 0);
	bare_put(d, fd, 'y', 1, 17 * SECTOR);
	simdisk_free(d);
}

static void test_failed_sync_drops(void **state)
{
	struct simdisk *d = bare_settled();
	struct sim_fd fd = bare_open(d, SIM_CARD, "f", 0);

	(void)state;
	simdisk_fault(d, SIM_CARD, SIM_SYNC, 0, 1, EIO, SIM_FAULT_DROP);
	bare_put(d, fd, 'b', SECTOR, 0);
	assert_int_equal(simdisk_sync(d, fd), -EIO);
	/* Looks written, and the next sync succeeds. */
	assert_int_equal(bare_at(d, SIM_CARD, "f", 0), 'b');
	bare_put(d, fd, 'c', SECTOR, SECTOR);
	assert_int_equal(simdisk_sync(d, fd), 0);
	bare_put(d, fd, 'd', SECTOR, 2 * SECTOR);
	simdisk_evict(d);
	assert_int_equal(bare_at(d, SIM_CARD, "f", 0), 'a');
	assert_int_equal(bare_at(d, SIM_CARD, "f", SECTOR), 'c');
	assert_int_equal(bare_at(d, SIM_CARD, "f", 2 * SECTOR), 'd');
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(bare_at(d, SIM_CARD, "f", 0), 'a');
	assert_int_equal(bare_at(d, SIM_CARD, "f", SECTOR), 'c');
	simdisk_free(d);
}

static void test_torn_pages(void **state)
{
	struct simdisk *d = bare_settled();
	struct sim_fd fd = bare_open(d, SIM_CARD, "f", 0);

	(void)state;
	bare_put(d, fd, 'b', 2 * SIM_PAGE, 0);	/* whole pages */
	bare_put(d, fd, 'c', 100, 50);		/* in a page that is pending */
	bare_put(d, fd, 'd', 100, 16 * SECTOR);	/* where nothing was */
	assert_int_equal(simdisk_torn_pages(d), 0);
	assert_int_equal(simdisk_sync(d, fd), 0);
	bare_put(d, fd, 'e', 100, 50);
	assert_int_equal(simdisk_torn_pages(d), 1);
	simdisk_free(d);
}

static void test_tamper(void **state)
{
	struct simdisk *d = bare_settled();
	struct sim_copy *copy = simdisk_copy(d, SIM_CARD);
	struct sim_fd fd = bare_open(d, SIM_CARD, "f", 0);

	(void)state;
	bare_put(d, fd, 'b', SECTOR, 0);
	assert_int_equal(simdisk_flip(d, SIM_CARD, "f", 5, 1), 0);
	assert_int_equal(bare_at(d, SIM_CARD, "f", 5), 'b' ^ 1);
	assert_int_equal(simdisk_copy_file(d, SIM_CARD, "f", "g"), 0);
	assert_int_equal(simdisk_cut_file(d, SIM_CARD, "f", 3), 0);
	assert_int_equal(simdisk_poke(d, SIM_CARD, "f", "xy", 2, 0), 0);
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(bare_size(d, SIM_CARD, "f"), 3);
	assert_int_equal(bare_at(d, SIM_CARD, "f", 1), 'y');
	assert_int_equal(bare_at(d, SIM_CARD, "g", 5), 'b' ^ 1);
	assert_int_equal(simdisk_drop_file(d, SIM_CARD, "f"), 0);
	assert_int_equal(simdisk_flip(d, SIM_CARD, "f", 0, 1), -ENOENT);
	simdisk_restore(d, copy);
	assert_false(simdisk_exists(d, SIM_CARD, "g"));
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(bare_size(d, SIM_CARD, "f"), 16 * SECTOR);
	assert_int_equal(bare_at(d, SIM_CARD, "f", 5), 'a');
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
	struct simdisk *d = bare_settled();
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
		cmocka_unit_test(test_nonce_audit),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
