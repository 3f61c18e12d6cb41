/*
 * full_test.c - card, capacity and internal flash that are full: "no space" is no
 * failure, comes at once, and ends when there is room; what is there can be written
 * over for ever, also by processes that die (promise 9).
 */
#include "tests/lab/check.h"
#include "tests/lab/simimage.h"
#include "tests/lab/workload.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KIB 1024u

/* Writes until no-space; returns how many requests were taken. */
static int fill_up(struct world *w, int want)
{
	int i, rc = 0;

	for (i = 0; i < 400 && rc == 0; i++)
		rc = world_write(w, (uint64_t)(i * 13 % 300) * MODEL_BLOCK,
				 16 * KIB, 0);
	assert_code(w, rc, want);
	return i - 1;
}

static void test_full_card(void **state)
{
	struct world *w = check_made(NULL);
	int i;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	check_work(w, 1, 2);
	/* The card has less room than was promised at creation. */
	simdisk_capacity(w->disk, SIM_CARD, simdisk_used(w->disk, SIM_CARD) +
							 300 * KIB);
	fill_up(w, LBS_ENOSPC);
	assert_true(lbs_errno(LBS_ENOSPC) == ENOSPC);
	/* Not a failure: reading, flushing and discarding go on. */
	assert_model(w);
	assert_code(w, world_flush(w), 0);
	assert_code(w, world_discard(w, 0, 512 * KIB, 0), 0);
	assert_code(w, world_discard(w, 512 * KIB, 704 * KIB, 0), 0);
	assert_code(w, world_flush(w), 0);
	assert_code(w, lbs_store_checkpoint(w->store), 0);
	/* Discards freed whole segments: there is room again. */
	for (i = 0; i < 4; i++)
		assert_code(w, world_write(w, (uint64_t)i * 64 * KIB, 16 * KIB,
					   0), 0);
	fill_up(w, LBS_ENOSPC);
	/* And again when the card has room. */
	simdisk_capacity(w->disk, SIM_CARD, 0);
	check_work(w, 2, 2);
	assert_model(w);
	assert_code(w, world_close(w), 0);
	assert_code(w, world_open(w, 0), 0);
	assert_model(w);
	world_free(w);
}

/* Single blocks from a block on, until one is refused; the first that was. */
static uint64_t fill_blocks(struct world *w, uint64_t block)
{
	int rc = 0;

	for (; rc == 0 && block < 310; block++)
		rc = world_write(w, block * MODEL_BLOCK, MODEL_BLOCK, 0);
	assert_code(w, rc, LBS_ENOSPC);
	return block - 1;
}

/* At capacity a new block is refused, at once and every time; writing over goes
 * on for ever, the cleaner makes its room; what is discarded can be written
 * again without reopening. Process death and power cuts at the brim lose
 * nothing, and recovery finds its room. */
static void test_full_capacity(void **state)
{
	struct world_shape shape = workload_shape;
	uint64_t end, syncs;
	struct world *w;
	int round, i;

	(void)state;
	shape.capacity_bytes = WORKLOAD_TIGHT_BYTES;
	w = check_made(&shape);
	assert_code(w, world_open(w, 0), 0);
	for (round = 0; round < 4; round++) {
		end = fill_blocks(w, 0);
		assert_true(end > 150);
		check_write_over(w, end, (uint64_t)round, 300);
		assert_code(w, world_write(w, 0, end * MODEL_BLOCK, 0), 0);
		assert_true(world_stat(w, LBS_STAT_CLEANED_SEGMENTS) > 10);
		/* At once: without so much as a sync, from the second on. */
		fill_blocks(w, end);
		syncs = world_stat(w, LBS_STAT_CARD_SYNCS);
		for (i = 0; i < 20; i++)
			fill_blocks(w, end);
		assert_int_equal(world_stat(w, LBS_STAT_CARD_SYNCS), syncs);
		if (round == 1)
			world_cut(w, SIM_KEEP_ALL, 0);
		if (round == 2)
			world_cut(w, SIM_SUBSET, 5);
		if (round == 1 || round == 2)
			assert_code(w, world_open(w, 0), 0);
		assert_model(w);
		check_write_over(w, end, (uint64_t)round + 50, 60);
		fill_blocks(w, end);
		/* Room for as many as were discarded. */
		assert_code(w, world_discard(w, 0, 256 * KIB, 0), 0);
		for (i = 0; i < 60; i++)
			assert_code(w, world_write(w, (uint64_t)i * MODEL_BLOCK,
						   MODEL_BLOCK, 0), 0);
		assert_code(w, world_discard(w, 0, 1024 * KIB, 0), 0);
		assert_code(w, world_discard(w, 1024 * KIB, 256 * KIB, 0), 0);
	}
	assert_code(w, world_close(w), 0);
	assert_code(w, world_open(w, 0), 0);
	assert_model(w);
	world_free(w);
}

/* The card fills up below the capacity, with files of others: new blocks are
 * refused while all that was let in can be written over for ever. */
static void test_full_card_written_over(void **state)
{
	struct world_shape shape = workload_shape;
	uint64_t end = 0, seed;
	struct world *w;
	int rc = 0;

	(void)state;
	shape.vdisk_bytes = 4 * 1024 * KIB;
	shape.capacity_bytes = 12 * 1024 * KIB;
	w = check_made(&shape);
	simdisk_capacity(w->disk, SIM_CARD, 7 * 1024 * KIB + 8 * KIB);
	assert_code(w, world_open(w, 0), 0);
	/* Long writes lie more densely than what is written over in single
	 * blocks later. */
	while (rc == 0 && end < 1000) {
		rc = world_write(w, end * MODEL_BLOCK, 15 * MODEL_BLOCK, 0);
		end += rc == 0 ? 15 : 0;
	}
	assert_code(w, rc, LBS_ENOSPC);
	assert_true(end > 300);
	for (seed = 0; seed < 6; seed++) {
		check_write_over(w, end, seed, 300);
		if (seed == 2)
			world_cut(w, SIM_KEEP_ALL, 0);
		if (seed == 4)
			world_cut(w, SIM_SUBSET, 5);
		if (seed == 2 || seed == 4)
			assert_code(w, world_open(w, 0), 0);
	}
	assert_true(world_stat(w, LBS_STAT_CLEANED_SEGMENTS) > 10);
	assert_model(w);
	world_free(w);
}

/* The process dies a few writes before one is refused: what is not anchored yet is
 * written again from the segments kept back. */
static void test_full_then_killed(void **state)
{
	struct world_shape shape = workload_shape;
	struct world *made, *w;
	uint64_t end, less, i;
	int rewrote = 0;

	(void)state;
	shape.capacity_bytes = WORKLOAD_TIGHT_BYTES;
	made = check_made(&shape);
	w = world_clone(made);
	assert_code(w, world_open(w, 0), 0);
	end = fill_blocks(w, 0);
	world_free(w);
	for (less = 0; less < 6; less++) {
		w = world_clone(made);
		assert_code(w, world_open(w, 0), 0);
		for (i = 0; i < end - less; i++)
			assert_code(w, world_write(w, i * MODEL_BLOCK,
						   MODEL_BLOCK, 0), 0);
		world_cut(w, SIM_KEEP_ALL, 0);
		assert_code(w, world_open(w, 0), 0);
		rewrote += world_stat(w, LBS_STAT_REPLAY_REWRITTEN_RECORDS) > 0;
		assert_model(w);
		check_write_over(w, end - less, less, 40);
		assert_model(w);
		world_free(w);
	}
	assert_true(rewrote > 2);
	world_free(made);
}

/* Processes that die on a full store use up what is kept back for recovery: what is
 * there can still be written over, and discards make room for more. */
static void test_deaths_on_full_card(void **state)
{
	struct world_shape shape = workload_shape;
	struct world *w;
	uint64_t end;
	int deaths, i;

	(void)state;
	shape.capacity_bytes = WORKLOAD_TIGHT_BYTES;
	w = check_made(&shape);
	assert_code(w, world_open(w, 0), 0);
	end = fill_blocks(w, 0);
	check_write_over(w, end, 1, 200);
	for (deaths = 0; deaths < 30; deaths++) {
		check_write_over(w, end, (uint64_t)deaths, 1 + deaths % 3);
		world_cut(w, SIM_KEEP_ALL, 0);
		assert_code(w, world_open(w, 0), 0);
	}
	assert_model(w);
	fill_blocks(w, end);
	/* A page each, over more than a segment. */
	for (i = 0; i < 20; i++)
		assert_code(w, world_discard(w, 302 * MODEL_BLOCK, 4 * KIB,
					     LBS_FUA), 0);
	check_write_over(w, end, 2, 200);
	assert_code(w, world_discard(w, 0, 1024 * KIB, 0), 0);
	assert_code(w, world_discard(w, 1024 * KIB, 256 * KIB, 0), 0);
	check_work(w, 3, 2);
	assert_model(w);
	world_free(w);
}

static void test_full_flash(void **state)
{
	struct world *w = check_made(NULL);
	int rc = 0, i, k;

	(void)state;
	for (k = 0; k < 4; k++) {
		assert_code(w, world_open(w, 0), 0);
		check_work(w, (uint64_t)k, 2);
		/* No write of SQLite's succeeds after the next few. */
		simdisk_fault(w->disk, SIM_FLASH, SIM_WRITE, (unsigned)k * 3, 0,
			      ENOSPC, 0);
		for (i = 0, rc = 0; i < 200 && rc == 0; i++) {
			rc = world_write(w, (uint64_t)(i % 70) * 16 * KIB,
					 16 * KIB, 0);
			if (rc == 0 && i % 4 == 3)
				rc = world_flush(w);
		}
		assert_code(w, rc, LBS_EMETAFULL);
		assert_true(lbs_errno(rc) == ENOSPC || lbs_errno(rc) == EIO);
		world_close(w);
		simdisk_clear_faults(w->disk);
		assert_code(w, world_open(w, 0), 0);
		assert_model(w);
		assert_code(w, world_close(w), 0);
	}
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_card),
		cmocka_unit_test(test_full_capacity),
		cmocka_unit_test(test_full_card_written_over),
		cmocka_unit_test(test_full_then_killed),
		cmocka_unit_test(test_deaths_on_full_card),
		cmocka_unit_test(test_full_flash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
