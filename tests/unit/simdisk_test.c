/*
 * simdisk_test.c - what a simulated medium can do beyond losing power: each does
 * what simdisk.h says, and no more.
 */
#include "tests/lab/model.h"
#include "tests/lab/simdisk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PAGES 8

static struct sim_fd open_file(struct simdisk *d, const char *name)
{
	struct sim_fd fd;

	assert_int_equal(simdisk_open(d, SIM_CARD, name, 1, &fd), 0);
	return fd;
}

static void put(struct simdisk *d, struct sim_fd fd, char c, unsigned page)
{
	char buf[SIM_PAGE];

	memset(buf, c, sizeof(buf));
	assert_int_equal(simdisk_write(d, fd, buf, sizeof(buf),
				       (uint64_t)page * SIM_PAGE), 0);
}

static char at(struct simdisk *d, unsigned page)
{
	char c;

	assert_int_equal(simdisk_peek(d, SIM_CARD, "f", &c, 1,
				      (uint64_t)page * SIM_PAGE), 0);
	return c;
}

/* A card with "f", pages of 'a', all durable. */
static struct simdisk *settled(struct sim_fd *fd)
{
	struct simdisk *d = simdisk_new();
	unsigned i;

	*fd = open_file(d, "f");
	for (i = 0; i < PAGES; i++)
		put(d, *fd, 'a', i);
	assert_int_equal(simdisk_sync(d, *fd), 0);
	assert_int_equal(simdisk_sync_dir(d, SIM_CARD), 0);
	return d;
}

static void test_cache(void **state)
{
	struct sim_fd fd;
	struct simdisk *d = settled(&fd);

	(void)state;
	simdisk_cache(d, SIM_CARD, 100000);
	put(d, fd, 'b', 0);
	assert_int_equal(simdisk_sync(d, fd), 0);
	simdisk_idle(d, 150000);
	put(d, fd, 'c', 1);
	assert_int_equal(simdisk_sync(d, fd), 0);
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	/* What is old enough stays; what was confirmed just now is lost, and
	 * said to be. */
	assert_int_equal(at(d, 0), 'b');
	assert_int_equal(at(d, 1), 'a');
	assert_true(simdisk_lost(d) > 0);
	/* An honest card has what it has confirmed. */
	fd = open_file(d, "f");
	put(d, fd, 'd', 2);
	assert_int_equal(simdisk_sync(d, fd), 0);
	simdisk_cache(d, SIM_CARD, 0);
	put(d, fd, 'e', 3);
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(at(d, 2), 'd');
	assert_int_equal(at(d, 3), 'a');
	assert_int_equal(simdisk_lost(d), 0);
	simdisk_free(d);
}

/* However the window changes: a later write never gives way to an earlier. */
static void test_cache_order(void **state)
{
	struct sim_fd fd;
	struct simdisk *d = settled(&fd);

	(void)state;
	simdisk_cache(d, SIM_CARD, 700000);
	put(d, fd, 'b', 0);
	assert_int_equal(simdisk_sync(d, fd), 0);
	simdisk_cache(d, SIM_CARD, 100000);
	put(d, fd, 'c', 0);
	assert_int_equal(simdisk_sync(d, fd), 0);
	simdisk_idle(d, 800000);
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(at(d, 0), 'c');
	assert_int_equal(simdisk_lost(d), 0);
	simdisk_free(d);
}

static void test_lie_is_counted(void **state)
{
	struct sim_fd fd;
	struct simdisk *d = settled(&fd);

	(void)state;
	simdisk_lie(d, SIM_CARD, 1);
	put(d, fd, 'b', 0);
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(simdisk_lost(d), 0);	/* never confirmed */
	fd = open_file(d, "f");
	put(d, fd, 'b', 0);
	assert_int_equal(simdisk_sync(d, fd), 0);
	simdisk_idle(d, 10000000);
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(at(d, 0), 'a');
	assert_true(simdisk_lost(d) > 0);
	simdisk_free(d);
}

static void test_pull(void **state)
{
	struct sim_fd fd, flash;
	struct simdisk *d = settled(&fd);
	char c;

	(void)state;
	assert_int_equal(simdisk_open(d, SIM_FLASH, "m", 1, &flash), 0);
	assert_int_equal(simdisk_write(d, flash, "m", 1, 0), 0);
	put(d, fd, 'b', 0);
	simdisk_pull(d, SIM_CARD, SIM_DROP_ALL, 0);
	assert_int_equal(simdisk_read(d, fd, &c, 1, 0), -EIO);
	assert_int_equal(simdisk_open(d, SIM_CARD, "f", 0, &fd), -ENOENT);
	/* The other side does not notice. */
	assert_int_equal(simdisk_read(d, flash, &c, 1, 0), 1);
	assert_true(simdisk_pending(d, SIM_FLASH) > 0);
	simdisk_insert(d, SIM_CARD);
	fd = open_file(d, "f");
	assert_int_equal(simdisk_read(d, fd, &c, 1, 0), 1);
	assert_int_equal(c, 'a');
	simdisk_free(d);
}

static void test_stray(void **state)
{
	struct sim_fd fd;
	struct simdisk *d = settled(&fd);
	unsigned i, hit = 0;

	(void)state;
	simdisk_fault(d, SIM_CARD, SIM_WRITE, 1, 1, 0, SIM_FAULT_STRAY);
	put(d, fd, 'b', 5);
	put(d, fd, 'c', 5);
	assert_int_equal(at(d, 5), 'b');
	for (i = 0; i < PAGES; i++)
		hit += at(d, i) == 'c';
	assert_int_equal(hit, 1);
	assert_int_equal(simdisk_hits(d, SIM_CARD, SIM_WRITE, SIM_FAULT_STRAY),
			 1);
	assert_int_equal(simdisk_fault_hits(d), 1);
	assert_int_equal(simdisk_stray_bytes(d), SIM_PAGE);
	simdisk_free(d);
}

static void test_rot(void **state)
{
	struct sim_fd fd;
	struct simdisk *d = settled(&fd);

	(void)state;
	put(d, fd, 'b', 1);
	assert_int_equal(simdisk_rot(d, SIM_CARD, "f", 0, 1), 0);
	assert_int_equal(simdisk_rot(d, SIM_CARD, "f", SIM_PAGE, 1), 0);
	assert_int_equal(at(d, 0), 'a' ^ 1);
	/* What is cached reads well, until the cut that loses it. */
	assert_int_equal(at(d, 1), 'b');
	simdisk_power_cycle(d, SIM_DROP_ALL, 0);
	assert_int_equal(at(d, 0), 'a' ^ 1);
	assert_int_equal(at(d, 1), 'a' ^ 1);
	assert_int_equal(simdisk_rot(d, SIM_CARD, "none", 0, 1), -ENOENT);
	simdisk_free(d);
}

static void test_room(void **state)
{
	struct sim_fd fd;
	struct simdisk *d = settled(&fd);
	char c = 0;

	(void)state;
	assert_true(simdisk_room(d, SIM_CARD) == UINT64_MAX);
	simdisk_capacity(d, SIM_CARD, PAGES * SIM_PAGE + 10);
	assert_int_equal(simdisk_room(d, SIM_CARD), 10);
	assert_int_equal(simdisk_write(d, fd, &c, 1, PAGES * SIM_PAGE + 10),
			 -ENOSPC);
	assert_int_equal(simdisk_refused(d, SIM_CARD), 1);
	simdisk_shut_down(d);
	assert_int_equal(simdisk_pending(d, SIM_CARD), 0);
	simdisk_free(d);
}

/* ---- the model around what cannot be read ---------------------------------- */

struct holed {
	const struct model *m;
	uint64_t hole;		/* block */
};

static int read_holed(void *ctx, void *buf, size_t len, uint64_t offset)
{
	struct holed *h = ctx;

	if (offset <= h->hole * MODEL_BLOCK && offset + len > h->hole * MODEL_BLOCK)
		return -1;
	model_read(h->m, buf, len, offset);
	return 0;
}

static void test_model_around(void **state)
{
	struct model *m = model_new(PAGES * MODEL_BLOCK), *now;
	struct holed h = { .hole = 3 };
	uint8_t unreadable[PAGES], block[MODEL_BLOCK], acked[MODEL_BLOCK];
	char why[200];

	(void)state;
	model_issue(m, MODEL_WRITE, 0, PAGES * MODEL_BLOCK);
	model_acked(m);
	model_issue(m, MODEL_WRITE, MODEL_BLOCK, 100);
	assert_int_equal(model_unflushed(m), 1);
	model_read(m, block, sizeof(block), MODEL_BLOCK);
	model_read_acked(m, acked, sizeof(acked), MODEL_BLOCK);
	assert_true(memcmp(block, acked, sizeof(block)) != 0);
	now = model_clone(m);
	h.m = now;
	assert_int_equal(model_check_around(m, read_holed, &h, unreadable, why,
					    sizeof(why)), 0);
	assert_int_equal(unreadable[3], 1);
	assert_int_equal(unreadable[2] + unreadable[4], 0);
	/* Wrong beside the hole is wrong all the same. */
	model_issue(now, MODEL_WRITE, 4 * MODEL_BLOCK, 8);
	assert_int_equal(model_check_around(m, read_holed, &h, unreadable, why,
					    sizeof(why)), -1);
	model_free(now);
	model_free(m);
}

/* The last block of the disk counts as whole for a discard up to the end. */
static void test_model_discard_end(void **state)
{
	uint64_t size = 2 * MODEL_BLOCK + 512;
	struct model *m = model_new(size);
	uint8_t buf[512], zeroes[512] = { 0 };

	(void)state;
	model_issue(m, MODEL_WRITE, 0, (size_t)size);
	model_issue(m, MODEL_DISCARD, 2 * MODEL_BLOCK, 256);
	model_read(m, buf, sizeof(buf), 2 * MODEL_BLOCK);
	assert_memory_not_equal(buf, zeroes, sizeof(buf));
	model_issue(m, MODEL_DISCARD, 2 * MODEL_BLOCK, 512);
	model_read(m, buf, sizeof(buf), 2 * MODEL_BLOCK);
	assert_memory_equal(buf, zeroes, sizeof(buf));
	model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_cache_order),
		cmocka_unit_test(test_lie_is_counted),
		cmocka_unit_test(test_pull),
		cmocka_unit_test(test_stray),
		cmocka_unit_test(test_rot),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_model_around),
		cmocka_unit_test(test_model_discard_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
