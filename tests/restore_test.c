/*
 * restore_test.c - metadata and card that do not belong to the same moment, and
 * media that fail or lie: each has its own verdict, nothing acknowledged as
 * durable is lost unnoticed, old data never passes for new, and no (key, nonce)
 * pair is sealed twice whatever was restored (promises 1, 2, 6, 7, 8, 9).
 */
#include "tests/lab/nonce_audit.h"
#include "tests/lab/simimage.h"
#include "tests/lab/workload.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KIB 1024u
#define MOMENTS 6

/* Fails the test with the store's own words. */
#define assert_code(w, rc, want) \
	assert_code_at(w, rc, want, #rc, __FILE__, __LINE__)

static void assert_code_at(const struct world *w, int rc, int want,
			   const char *what, const char *file, int line)
{
	if (rc == want)
		return;
	print_error("%s gave %s, not %s [%s]\n", what,
		    rc > 0 ? "wrong bytes" : rc ? lbs_error_word(rc) : "ok",
		    want ? lbs_error_word(want) : "ok", w->log_text);
	_fail(file, line);
}

static void assert_model(struct world *w)
{
	char why[500];

	if (world_check(w, why, sizeof(why)) == 0)
		return;
	print_error("%s [%s]\n", why, w->log_text);
	fail();
}

static struct world *made(void)
{
	struct world *w = world_new(&workload_shape);

	nonce_audit_reset();
	assert_code(w, world_create(w), 0);
	return w;
}

/* Word-aligned writes here and there, each pair flushed. */
static void work(struct world *w, uint64_t salt, int rounds)
{
	int i;

	for (i = 0; i < rounds; i++) {
		uint64_t at = sim_mix(salt, (uint64_t)i) % 250 * MODEL_BLOCK;

		assert_code(w, world_write(w, at, 12 * KIB, 0), 0);
		assert_code(w, world_write(w, at + 4 * KIB + 512, 24, 0), 0);
		assert_code(w, world_flush(w), 0);
	}
}

/* Everything that can be read is something the guest once wrote there. Returns
 * how many of the blocks cannot be read. */
static int assert_plausible(struct world *w)
{
	uint8_t buf[MODEL_BLOCK];
	uint64_t at;
	int unreadable = 0, rc;

	for (at = 0; at + MODEL_BLOCK <= w->shape.vdisk_bytes; at += MODEL_BLOCK) {
		rc = lbs_vdisk_read(w->vdisk, buf, sizeof(buf), at);
		if (rc == 0)
			assert_true(model_plausible(w->model, buf, sizeof(buf),
						    at));
		else
			unreadable++;
	}
	return unreadable;
}

/* A copy of the machine in another boot. */
static struct world *elsewhere(const struct world *w)
{
	struct world *v = world_clone(w);

	world_cut(v, SIM_KEEP_ALL, 0);
	v->boot = (uint8_t)(w->boot + 100);
	memset(v->env.boot_id, v->boot, sizeof(v->env.boot_id));
	return v;
}

/* ---- restored metadata, restored card ------------------------------------- */

/* Lives through some sessions, and has a side copied at several moments, each
 * with more to come behind it. The store of *w is closed or, with kill, has
 * lost its process. */
static void live(struct world *w, enum sim_side side, int kill,
		 struct sim_copy *copy[MOMENTS])
{
	copy[0] = simdisk_copy(w->disk, side);	/* only made */
	assert_code(w, world_open(w, 0), 0);
	work(w, 1, 4);
	copy[1] = simdisk_copy(w->disk, side);	/* in a first session */
	work(w, 2, 12);
	assert_code(w, world_close(w), 0);
	copy[2] = simdisk_copy(w->disk, side);	/* closed cleanly */
	assert_code(w, world_open(w, 0), 0);
	copy[3] = simdisk_copy(w->disk, side);	/* just opened again */
	work(w, 3, 6);
	assert_code(w, lbs_store_checkpoint(w->store), 0);
	copy[4] = simdisk_copy(w->disk, side);	/* after a checkpoint */
	work(w, 4, 3);
	copy[5] = simdisk_copy(w->disk, side);	/* in the last session */
	work(w, 5, 5);
	if (kill)
		world_cut(w, SIM_KEEP_ALL, 0);
	else
		assert_code(w, world_close(w), 0);
}

static void try_stale_metadata(const struct world *last,
			       const struct sim_copy *copy, int moment,
			       int with_wal)
{
	struct world *w = elsewhere(last);
	struct sim_count before, after;
	int rc;

	simdisk_restore(w->disk, copy);
	if (!with_wal)
		simdisk_drop_file(w->disk, SIM_FLASH, WORLD_WAL);
	simdisk_count(w->disk, SIM_CARD, NULL, &before);
	rc = world_open(w, 0);
	if (rc != LBS_ESTALEMETA)
		print_error("moment %d, %s WAL: ", moment,
			    with_wal ? "with" : "without");
	assert_code(w, rc, LBS_ESTALEMETA);
	/* Refused means: the card is as it was. */
	simdisk_count(w->disk, SIM_CARD, NULL, &after);
	assert_int_equal(before.bytes, after.bytes);
	assert_code(w, world_open(w, LBS_ACCEPT_LOSS), 0);
	assert_plausible(w);
	work(w, 77, 8);
	assert_code(w, world_close(w), 0);
	assert_code(w, world_open(w, 0), 0);
	assert_plausible(w);
	work(w, 78, 8);
	assert_code(w, world_read(w, sim_mix(78, 7) % 250 * MODEL_BLOCK,
				  12 * KIB), 0);
	assert_code(w, world_close(w), 0);
	world_free(w);
}

static void test_stale_metadata(void **state)
{
	struct sim_copy *copy[MOMENTS];
	uint64_t repeats = nonce_audit_repeats();
	struct world *w;
	int kill, i;

	(void)state;
	for (kill = 0; kill < 2; kill++) {
		w = made();
		live(w, SIM_FLASH, kill, copy);
		for (i = 0; i < MOMENTS; i++) {
			try_stale_metadata(w, copy[i], i, 1);
			try_stale_metadata(w, copy[i], i, 0);
			sim_copy_free(copy[i]);
		}
		world_free(w);
	}
	assert_int_equal(nonce_audit_repeats(), repeats);
}

/* Both from one copy: two machines go on from the same moment, and neither
 * seals with what the other used. */
static void test_forked_metadata(void **state)
{
	struct sim_copy *copy[MOMENTS];
	uint64_t repeats = nonce_audit_repeats();
	struct world *w = made(), *v;
	int i, k;

	(void)state;
	live(w, SIM_FLASH, 1, copy);
	for (i = 0; i < MOMENTS; i++)
		sim_copy_free(copy[i]);
	for (k = 0; k < 4; k++) {
		v = world_clone(w);
		assert_code(v, world_open(v, 0), 0);
		work(v, 9, 6);
		assert_code(v, world_close(v), 0);
		world_free(v);
	}
	world_free(w);
	assert_int_equal(nonce_audit_repeats(), repeats);
}

static void test_stale_card(void **state)
{
	struct sim_copy *copy[MOMENTS];
	struct world *w, *v;
	int kill, i, rc;

	(void)state;
	for (kill = 0; kill < 2; kill++) {
		w = made();
		live(w, SIM_CARD, kill, copy);
		for (i = 0; i < MOMENTS; i++) {
			v = elsewhere(w);
			simdisk_restore(v->disk, copy[i]);
			rc = world_open(v, 0);
			if (rc != LBS_ESTALECARD && rc != LBS_EDATAMISSING)
				print_error("moment %d: ", i);
			if (rc != LBS_EDATAMISSING)
				assert_code(v, rc, LBS_ESTALECARD);
			/* With consent: what there is, never made-up data. */
			rc = world_open(v, LBS_ACCEPT_LOSS);
			assert_code(v, rc, 0);
			assert_plausible(v);
			work(v, 55, 6);
			assert_code(v, world_close(v), 0);
			assert_code(v, world_open(v, 0), 0);
			assert_plausible(v);
			world_free(v);
			sim_copy_free(copy[i]);
		}
		world_free(w);
	}
}

/* ---- media that lie or lose ------------------------------------------------ */

static void test_lying_card(void **state)
{
	struct world *w;
	uint64_t seed;
	int rc, refused = 0;

	(void)state;
	for (seed = 0; seed < 12; seed++) {
		w = made();
		assert_code(w, world_open(w, 0), 0);
		work(w, 1, 3);
		simdisk_lie(w->disk, SIM_CARD, 1);
		work(w, seed, 5);
		if (seed % 3 == 2)
			assert_code(w, lbs_store_checkpoint(w->store), 0);
		world_cut(w, seed % 2 ? SIM_SUBSET : SIM_DROP_ALL,
			  seed % 2 ? seed : 0);
		simdisk_lie(w->disk, SIM_CARD, 0);
		rc = world_open(w, 0);
		if (rc == 0) {
			/* Only when the card happened to keep it all. */
			assert_true(seed % 2);
			assert_model(w);
		} else {
			refused++;
			if (rc != LBS_EDAMAGED && rc != LBS_ESTALECARD)
				assert_code(w, rc, LBS_EDATAMISSING);
		}
		world_free(w);
	}
	assert_true(refused >= 6);
}

static void test_pulled_card(void **state)
{
	struct world *w = made(), *v;
	struct sim_copy *card;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	work(w, 1, 3);
	card = simdisk_copy(w->disk, SIM_CARD);
	assert_code(w, world_write(w, 0, 12 * KIB, 0), 0);
	assert_code(w, world_write(w, 64 * KIB, 12 * KIB, 0), 0);
	/* The process dies, and the card never got what the kernel held. */
	world_cut(w, SIM_KEEP_ALL, 0);
	v = elsewhere(w);
	simdisk_restore(w->disk, card);
	assert_code(w, world_open(w, 0), LBS_EDATAMISSING);
	assert_code(w, world_open(w, LBS_ACCEPT_LOSS), 0);
	model_lost_power(w->model);
	assert_model(w);
	/* After a power cut the same is a torn tail, and normal. */
	simdisk_restore(v->disk, card);
	model_lost_power(v->model);
	assert_code(v, world_open(v, 0), 0);
	assert_model(v);
	sim_copy_free(card);
	world_free(v);
	world_free(w);
}

/* The process dies again and again while it recovers, in one boot: each time
 * what was acknowledged is still known, and still there. */
static void test_dying_recoveries(void **state)
{
	struct world *w = made(), *v;
	uint64_t tick, begun;
	int deaths, done;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	work(w, 1, 3);
	assert_code(w, world_write(w, 0, 150 * KIB, 0), 0);
	assert_code(w, world_discard(w, 40 * KIB, 20 * KIB, 0), 0);
	world_cut(w, SIM_KEEP_ALL, 0);
	for (tick = 1, done = 0; !done; tick++) {
		v = world_clone(w);
		for (deaths = 0; deaths < 3 && !done; deaths++) {
			begun = simdisk_ticks(v->disk);
			simdisk_arm(v->disk, begun + tick);
			done = world_open(v, 0) == 0 &&
			       !simdisk_is_off(v->disk);
			simdisk_arm(v->disk, 0);
			if (!done)
				world_cut(v, SIM_KEEP_ALL, 0);
		}
		if (!done)
			assert_code(v, world_open(v, 0), 0);
		assert_model(v);
		world_free(v);
	}
	assert_true(tick > 10);
	world_free(w);
}

/* ---- failures --------------------------------------------------------------- */

static void test_failed_sync(void **state)
{
	struct world *w;
	int evict, rc;

	(void)state;
	for (evict = 0; evict < 2; evict++) {
		w = made();
		assert_code(w, world_open(w, 0), 0);
		work(w, 1, 3);
		assert_code(w, world_write(w, 0, 20 * KIB, 0), 0);
		simdisk_fault(w->disk, SIM_CARD, SIM_SYNC, 0, 1, EIO,
			      SIM_FAULT_DROP);
		assert_code(w, world_flush(w), LBS_EIO);
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
	struct world *w = made();
	unsigned op;

	(void)state;
	for (op = SIM_WRITE; op <= SIM_SYNC; op += SIM_SYNC - SIM_WRITE) {
		assert_code(w, world_open(w, 0), 0);
		work(w, op, 3);
		assert_code(w, world_write(w, 0, 20 * KIB, 0), 0);
		simdisk_fault(w->disk, SIM_FLASH, op, 0, 1, EIO, SIM_FAULT_DROP);
		assert_code(w, world_flush(w), LBS_EIO);
		assert_true(world_flush(w) < 0);
		world_close(w);
		assert_code(w, world_open(w, 0), 0);
		assert_model(w);
		assert_code(w, world_close(w), 0);
	}
	world_free(w);
}

static void test_failed_append(void **state)
{
	struct world *w;
	unsigned partial, after;
	int rc = 0, i;

	(void)state;
	for (after = 0; after < 12; after++) {
		for (partial = 0; partial < 2; partial++) {
			w = made();
			assert_code(w, world_open(w, 0), 0);
			work(w, 1, 2);
			simdisk_fault(w->disk, SIM_CARD, SIM_WRITE, after, 1,
				      EIO, partial ? SIM_FAULT_PARTIAL : 0);
			for (i = 0, rc = 0; i < 20 && rc == 0; i++)
				rc = world_write(w, (uint64_t)i * 40960, 70000, 0);
			assert_code(w, rc, LBS_EIO);
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

/* Writers side by side, one of whom meets the failure: each knows what was
 * acknowledged to it. */
#define WRITERS 4
#define SLOTS 40

struct writer {
	struct world *w;
	int id, acked;
	pthread_t thread;
};

static void *write_slots(void *arg)
{
	struct writer *me = arg;
	uint8_t buf[MODEL_BLOCK];
	int i;

	for (i = 0; i < SLOTS; i++) {
		model_fill((uint64_t)me->id * 1000 + (uint64_t)i, 0, buf,
			   sizeof(buf));
		if (lbs_vdisk_write(me->w->vdisk, buf, sizeof(buf),
				    (uint64_t)(i * WRITERS + me->id) *
					    MODEL_BLOCK, 0) != 0)
			break;
		me->acked = i + 1;
		if (i % 8 == 7 && lbs_vdisk_flush(me->w->vdisk) != 0)
			break;
	}
	return NULL;
}

static void test_failed_append_threads(void **state)
{
	struct writer me[WRITERS];
	uint8_t buf[MODEL_BLOCK], want[MODEL_BLOCK];
	struct world *w;
	unsigned after;
	int i, k;

	(void)state;
	for (after = 3; after < 60; after += 8) {
		w = made();
		assert_code(w, world_open(w, 0), 0);
		simdisk_fault(w->disk, SIM_CARD, after % 16 == 3 ? SIM_WRITE
								 : SIM_SYNC,
			      after % 16 == 3 ? after : after / 16, 1, EIO,
			      SIM_FAULT_PARTIAL | SIM_FAULT_DROP);
		for (k = 0; k < WRITERS; k++) {
			me[k] = (struct writer){ .w = w, .id = k };
			assert_int_equal(pthread_create(&me[k].thread, NULL,
							write_slots, &me[k]), 0);
		}
		for (k = 0; k < WRITERS; k++)
			pthread_join(me[k].thread, NULL);
		world_close(w);
		assert_code(w, world_open(w, 0), 0);
		for (k = 0; k < WRITERS; k++) {
			for (i = 0; i < me[k].acked; i++) {
				model_fill((uint64_t)k * 1000 + (uint64_t)i, 0,
					   want, sizeof(want));
				assert_code(w, lbs_vdisk_read(w->vdisk, buf,
					sizeof(buf), (uint64_t)(i * WRITERS + k)
					* MODEL_BLOCK), 0);
				assert_memory_equal(buf, want, sizeof(buf));
			}
		}
		world_free(w);
	}
}

/* ---- space ------------------------------------------------------------------ */

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
	struct world *w = made();
	int i;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	work(w, 1, 2);
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
	work(w, 2, 2);
	assert_model(w);
	assert_code(w, world_close(w), 0);
	assert_code(w, world_open(w, 0), 0);
	assert_model(w);
	world_free(w);
}

/* The capacity itself is used up (there is no cleaner): ENOSPC, never a
 * failure, and a full discard brings all of it back. Process death and power
 * cuts at the brim lose nothing. */
static void test_full_capacity(void **state)
{
	struct world *w = made();
	int round;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	for (round = 0; round < 4; round++) {
		int i, rc = 0;

		/* One block of each segment stays live. */
		for (i = 0; i < 2000 && rc == 0; i++)
			rc = world_write(w, (uint64_t)(i % 13 ? 300
				: i / 13 % 280) * MODEL_BLOCK, 4 * KIB, 0);
		assert_code(w, rc, LBS_ENOSPC);
		assert_true(i > 100);
		assert_code(w, world_flush(w), 0);
		if (round == 1)
			world_cut(w, SIM_KEEP_ALL, 0);
		if (round == 2)
			world_cut(w, SIM_SUBSET, 5);
		if (round == 1 || round == 2)
			assert_code(w, world_open(w, 0), 0);
		assert_model(w);
		assert_code(w, world_discard(w, 0, 1024 * KIB, 0), 0);
		assert_code(w, world_discard(w, 1024 * KIB, 256 * KIB, 0), 0);
		assert_code(w, lbs_store_checkpoint(w->store), 0);
	}
	assert_code(w, world_close(w), 0);
	assert_code(w, world_open(w, 0), 0);
	assert_model(w);
	world_free(w);
}

static void test_full_flash(void **state)
{
	struct world *w = made();
	int rc = 0, i, k;

	(void)state;
	for (k = 0; k < 4; k++) {
		assert_code(w, world_open(w, 0), 0);
		work(w, (uint64_t)k, 2);
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

/* ---- two at once ------------------------------------------------------------ */

static void test_two_metadata_one_card(void **state)
{
	struct world *w = made();
	struct store_env env;
	struct lbs_open_options o = { .struct_size = sizeof(o) };
	lbs_store *other = NULL;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	/* A second process on the same files: SQLite's lock says no. */
	env = w->env;
	assert_code(w, store_open_env(&env, &o, &other), LBS_EBUSY);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stale_metadata),
		cmocka_unit_test(test_forked_metadata),
		cmocka_unit_test(test_stale_card),
		cmocka_unit_test(test_lying_card),
		cmocka_unit_test(test_pulled_card),
		cmocka_unit_test(test_dying_recoveries),
		cmocka_unit_test(test_failed_sync),
		cmocka_unit_test(test_failed_commit),
		cmocka_unit_test(test_failed_append),
		cmocka_unit_test(test_failed_append_threads),
		cmocka_unit_test(test_full_card),
		cmocka_unit_test(test_full_capacity),
		cmocka_unit_test(test_full_flash),
		cmocka_unit_test(test_two_metadata_one_card),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
