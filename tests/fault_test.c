/*
 * fault_test.c - media that fail: nothing that was acknowledged is lost, failure is a
 * state that ends with reopening (promises 1, 2, 3); what is not synced is bounded
 * though nobody asks; two stores never share a card.
 */
#include "liblbs/store/internal.h"
#include "tests/lab/check.h"
#include "tests/lab/medium_sim.h"
#include "tests/lab/workload.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define KIB 1024u

static void test_failed_sync(void **state)
{
	struct world *w;
	int evict, rc;

	(void)state;
	for (evict = 0; evict < 2; evict++) {
		w = check_made(NULL);
		assert_code(w, world_open(w, 0), 0);
		check_work(w, 1, 3);
		assert_code(w, world_write(w, 0, 20 * KIB, 0), 0);
		simdisk_fault(w->disk, SIM_CARD, SIM_SYNC, 0, 1, EIO,
			      SIM_FAULT_DROP);
		assert_int_equal(lbs_store_events(w->store), 0);
		assert_code(w, world_flush(w), LBS_EIO);
		assert_int_equal(lbs_store_events(w->store),
				 LBS_EVENT_CARD_GONE | LBS_EVENT_FAILED);
		/* Failure is a state: no flush succeeds over lost pages. */
		assert_true(world_flush(w) < 0);
		assert_true(world_write(w, 0, 4096, 0) < 0);
		model_refused(w->model);
		assert_code(w, world_read(w, 0, 20 * KIB), 0);
		assert_true(world_close(w) < 0);
		if (evict)
			simdisk_evict(w->disk);
		rc = world_open(w, 0);
		if (rc == LBS_EDATAMISSING) {
			/* Acknowledged in this boot, and not on the card. */
			assert_true(evict);
			assert_code(w, world_open(w, LBS_ACCEPT_LOSS), 0);
			model_lost_power(w->model);
		} else {
			assert_code(w, rc, 0);
		}
		assert_model(w);
		/* What was served is durable now, whatever the cache held. */
		world_cut(w, SIM_DROP_ALL, 0);
		assert_code(w, world_open(w, 0), 0);
		assert_model(w);
		world_free(w);
	}
}

static void test_failed_commit(void **state)
{
	struct world *w = check_made(NULL);
	unsigned op;

	(void)state;
	for (op = SIM_WRITE; op <= SIM_SYNC; op += SIM_SYNC - SIM_WRITE) {
		assert_code(w, world_open(w, 0), 0);
		check_work(w, op, 3);
		assert_code(w, world_write(w, 0, 20 * KIB, 0), 0);
		simdisk_fault(w->disk, SIM_FLASH, op, 0, 1, EIO, SIM_FAULT_DROP);
		assert_code(w, world_flush(w), LBS_EIO);
		assert_true(world_flush(w) < 0);
		world_close(w);
		assert_code(w, world_open(w, 0), 0);
		assert_model(w);
		/* SQLite's log has no hole before what is flushed now. */
		check_work(w, op + 10, 2);
		world_cut(w, SIM_DROP_ALL, 0);
		assert_code(w, world_open(w, 0), 0);
		assert_model(w);
		assert_code(w, world_close(w), 0);
	}
	world_free(w);
}

/* The log begins in a commit and a write to the card file: the words, and whether the
 * card is gone, are as of the one that failed. */
static void test_failed_beginning(void **state)
{
	static const struct { enum sim_side side; unsigned events; } kinds[] = {
		{ SIM_FLASH, LBS_EVENT_FAILED },
		{ SIM_CARD, LBS_EVENT_FAILED | LBS_EVENT_CARD_GONE },
	};
	struct world *w;
	unsigned i, k;

	(void)state;
	for (i = 0; i < 2; i++) {
		w = check_made(NULL);
		assert_code(w, world_open(w, 0), 0);
		/* Nothing has to be filled first. */
		for (k = 0; k < 8; k++)
			assert_code(w, store_fill_one(w->store), 0);
		simdisk_fault(w->disk, kinds[i].side, SIM_WRITE, 0, 1, EIO, 0);
		assert_code(w, world_write(w, 0, 20 * KIB, 0), LBS_EIO);
		assert_int_equal(lbs_store_events(w->store), kinds[i].events);
		assert_int_equal(w->log_code, LBS_EIO);
		assert_non_null(strstr(lbs_store_failure(w->store),
				       kinds[i].side == SIM_CARD ? "the card"
								 : "internal flash"));
		assert_code(w, world_write(w, 0, 4096, 0), LBS_EFAILED);
		model_refused(w->model);
		assert_true(world_close(w) < 0);
		assert_code(w, world_open(w, 0), 0);
		assert_model(w);
		check_work(w, 1, 3);
		assert_code(w, world_close(w), 0);
		world_free(w);
	}
}

static void test_failed_append(void **state)
{
	struct world *w;
	unsigned partial, after;
	int rc = 0, i;

	(void)state;
	for (after = 0; after < 12; after++) {
		for (partial = 0; partial < 2; partial++) {
			w = check_made(NULL);
			assert_code(w, world_open(w, 0), 0);
			check_work(w, 1, 2);
			simdisk_fault(w->disk, SIM_CARD, SIM_WRITE, after, 1,
				      EIO, partial ? SIM_FAULT_PARTIAL : 0);
			for (i = 0, rc = 0; i < 20 && rc == 0; i++)
				rc = world_write(w, (uint64_t)i * 40960, 70000, 0);
			assert_code(w, rc, LBS_EIO);
			assert_int_equal(lbs_store_events(w->store),
					 LBS_EVENT_CARD_GONE | LBS_EVENT_FAILED);
			/* Nothing behind a failure is acknowledged. */
			assert_true(lbs_vdisk_write(w->vdisk, "x", 1, 0, 0) < 0);
			assert_true(world_flush(w) < 0);
			world_close(w);
			assert_code(w, world_open(w, 0), 0);
			assert_model(w);
			world_cut(w, SIM_DROP_ALL, 0);
			assert_code(w, world_open(w, 0), 0);
			assert_model(w);
			world_free(w);
		}
	}
}

/* Promise 4 of a write that is longer than one group and begins in the middle of a
 * block: whichever of the card's writes fails, a block is as it was or as it should be. */
static void test_failed_long_write(void **state)
{
	enum { AT = 1001, LEN = 1200 * 1024, END = AT + LEN, BLOCK = 4096 };
	static uint8_t data[END];
	int rc = LBS_EIO, between = 0;

	(void)state;
	for (unsigned after = 0; rc; after++) {
		struct world *w = check_made(NULL);

		assert_code(w, world_open(w, 0), 0);
		memset(data, 1, sizeof data);
		assert_code(w, lbs_vdisk_write(w->vdisk, data, END, 0, LBS_FUA),
			    0);
		simdisk_fault(w->disk, SIM_CARD, SIM_WRITE, after, 0, EIO, 0);
		memset(data, 2, sizeof data);
		rc = lbs_vdisk_write(w->vdisk, data, LEN, AT, 0);
		(void)world_close(w);
		simdisk_clear_faults(w->disk);
		assert_code(w, world_open(w, 0), 0);
		assert_code(w, lbs_vdisk_read(w->vdisk, data, END, 0), 0);
		for (unsigned at = AT; at < END; at++)
			if (at > AT && at % BLOCK)
				assert_int_equal(data[at], data[at - 1]);
		if (rc == 0)
			assert_true(data[AT] == 2 && data[END - 1] == 2);
		between += data[AT] != data[END - 1];
		world_free(w);
	}
	assert_true(between > 0);
}

/* A guest that never flushes: what a cut may take is bounded all the same. */
static void test_bounded_tail(void **state)
{
	struct world *w = check_made(NULL);
	int i;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	for (i = 0; i < 300; i++) {
		assert_code(w, world_write(w, (uint64_t)(i % 100) * MODEL_BLOCK,
					   MODEL_BLOCK, 0), 0);
		assert_true(world_stat(w, LBS_STAT_UNSYNCED_BYTES) <=
			    w->shape.sync_bytes + 64 * KIB);
	}
	assert_true(world_stat(w, LBS_STAT_CARD_SYNCS) >= 3);
	world_free(w);
}

/* DESIGN.md condition 18: after a while what was written is synced and anchored
 * though nobody flushes; then a power cut that drops all else loses none of it. */
static void test_unasked_sync(void **state)
{
	struct world_shape shape = workload_shape;
	struct world *w;
	int tries, waited;

	(void)state;
	shape.threads = 1;
	shape.sync_seconds = 1;
	w = check_made(&shape);
	assert_code(w, world_open(w, 0), 0);
	/* Not at once; but the second may be over before we look. */
	for (tries = 0; tries < 20; tries++) {
		assert_code(w, world_write(w, 0, 4 * KIB, 0), 0);
		if (world_stat(w, LBS_STAT_DURABLE_RECORD) <
		    world_stat(w, LBS_STAT_LAST_RECORD))
			break;
	}
	assert_true(tries < 20);
	for (waited = 0; waited < 1200; waited++) {
		if (world_stat(w, LBS_STAT_DURABLE_RECORD) ==
		    world_stat(w, LBS_STAT_LAST_RECORD))
			break;
		usleep(50000);
	}
	assert_int_equal(world_stat(w, LBS_STAT_DURABLE_RECORD),
			 world_stat(w, LBS_STAT_LAST_RECORD));
	model_flushed(w->model); /* as if it had been asked for */
	world_cut(w, SIM_DROP_ALL, 0);
	assert_code(w, world_open(w, 0), 0);
	assert_model(w);
	world_free(w);
}

static void test_two_metadata_one_card(void **state)
{
	struct lbs_open_options o = { .struct_size = sizeof(o) };
	struct world *w = check_made(NULL);
	lbs_store *other = NULL;
	struct store_env env;

	(void)state;
	assert_int_equal(simdisk_copy_file(w->disk, SIM_FLASH, WORLD_META,
					   "copy.lbs"), 0);
	assert_code(w, world_open(w, 0), 0);
	/* A second process on the same files: SQLite's lock says no. */
	env = w->env;
	assert_code(w, store_open_env(&env, &o, &other), LBS_EBUSY);
	/* A copy of the metadata, whose lock nobody holds: the card's does. */
	env.meta_path = "copy.lbs";
	env.card = medium_sim_new(w->disk);
	assert_code(w, store_open_env(&env, &o, &other), LBS_EBUSY);
	env.card->ops->close(env.card);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed_sync),
		cmocka_unit_test(test_failed_commit),
		cmocka_unit_test(test_failed_beginning),
		cmocka_unit_test(test_failed_append),
		cmocka_unit_test(test_failed_long_write),
		cmocka_unit_test(test_bounded_tail),
		cmocka_unit_test(test_unasked_sync),
		cmocka_unit_test(test_two_metadata_one_card),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
