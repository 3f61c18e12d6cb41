/*
 * beside_test.c - several at once: writers side by side, with cleaning and reading, on
 * a card that fails or a store that is cut; a write in the middle of a checkpoint.
 * After any end a writer's slots hold what its first k writes left (promises 1, 2, 3).
 */
#include "liblbs/store/internal.h"
#include "tests/lab/check.h"
#include "tests/lab/simimage.h"
#include "tests/lab/workload.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define KIB 1024u

/* Each writer has slots of its own and goes round them; the contents of a slot
 * tell which of its writes that was. After any end the slots of a writer hold
 * what its first k writes left, for one k. */
#define WRITERS 4
#define SLOTS 40
#define SLOT_BYTES 6000		/* so that neighbours share blocks */
#define WRITES_MAX 4000

struct writer {
	struct world *w;
	int id, writes;		/* stops after so many */
	int issued, acked, flushed;
	int rc;			/* of the write that stopped it */
	lbs_queue *queue;	/* through which it writes, or NULL */
	pthread_t thread;
};

/* A plain call, or the same through the writer's queue. */
static int writer_asks(const struct writer *me, int op, void *buf, uint64_t at,
		       unsigned flags)
{
	struct iovec iov = { buf, SLOT_BYTES };
	struct lbs_request r = { .vdisk = me->w->vdisk, .op = op, .flags = flags,
				 .offset_bytes = at, .iov = &iov,
				 .iov_count = 1 };
	struct lbs_completion c = { NULL, LBS_EINTERNAL };

	if (me->queue)
		return lbs_queue_submit(me->queue, &r, 1) == 1 &&
				       lbs_queue_wait(me->queue, &c, 1) == 1
			       ? c.result
			       : LBS_EINTERNAL;
	return op == LBS_OP_FLUSH ? lbs_vdisk_flush(r.vdisk)
				  : lbs_vdisk_write(r.vdisk, buf, SLOT_BYTES,
						    at, flags);
}

static void slot_fill(const struct writer *me, int i, uint8_t *buf)
{
	model_fill((uint64_t)(me->id + 1) * WRITES_MAX + (uint64_t)i, 0, buf,
		   SLOT_BYTES);
}

static uint64_t slot_place(const struct writer *me, int i)
{
	return (uint64_t)((i % SLOTS) * WRITERS + me->id) * SLOT_BYTES;
}

static void *write_slots(void *arg)
{
	struct writer *me = arg;
	uint8_t buf[SLOT_BYTES];
	int i, flush, rc;

	for (i = 1; i <= me->writes; i++) {
		slot_fill(me, i, buf);
		me->issued = i;
		flush = i % 8 == 7;
		rc = writer_asks(me, LBS_OP_WRITE, buf, slot_place(me, i),
				 flush && i % 16 == 7 ? LBS_FUA : 0);
		if (rc != 0) {
			me->rc = rc;
			break;
		}
		me->acked = i;
		if (flush && i % 16 != 7 &&
		    writer_asks(me, LBS_OP_FLUSH, NULL, 0, 0) != 0)
			break;
		if (flush)
			me->flushed = i;
	}
	return NULL;
}

/* queues: every second one writes through a queue of its own. */
static void write_side_by_side(struct world *w, struct writer me[WRITERS],
			       int writes, int queues)
{
	struct lbs_queue_options options = { .struct_size = sizeof(options) };
	int k;

	for (k = 0; k < WRITERS; k++) {
		me[k] = (struct writer){ .w = w, .id = k, .writes = writes };
		options.workers = 1 + (uint32_t)k / 2;
		if (queues && k % 2)
			assert_code(w, lbs_queue_open(w->store, &options,
						      &me[k].queue), 0);
		assert_int_equal(pthread_create(&me[k].thread, NULL,
						write_slots, &me[k]), 0);
	}
	for (k = 0; k < WRITERS; k++) {
		pthread_join(me[k].thread, NULL);
		assert_code(w, lbs_queue_close(me[k].queue), 0);
	}
}

/* Which write a slot shows; 0 = none, -1 = no write of this writer. */
static int slot_shows(struct world *w, const struct writer *me, int slot)
{
	uint8_t got[SLOT_BYTES], want[SLOT_BYTES];
	int i;

	assert_code(w, lbs_vdisk_read(w->vdisk, got, sizeof(got),
				      slot_place(me, slot)), 0);
	memset(want, 0, sizeof(want));
	if (memcmp(got, want, sizeof(got)) == 0)
		return 0;
	for (i = me->issued; i > 0; i--) {
		if (i % SLOTS != slot)
			continue;
		slot_fill(me, i, want);
		if (memcmp(got, want, sizeof(got)) == 0)
			return i;
	}
	return -1;
}

static void assert_slots(struct world *w, const struct writer *me, int least)
{
	int shows[SLOTS], slot, k = 0, want;

	for (slot = 0; slot < SLOTS; slot++) {
		shows[slot] = slot_shows(w, me, slot);
		assert_true(shows[slot] >= 0);
		if (shows[slot] > k)
			k = shows[slot];
	}
	if (k < least)
		print_error("writer %d: %d of its writes are there, not %d\n",
			    me->id, k, least);
	assert_true(k >= least);
	for (slot = 0; slot < SLOTS; slot++) {
		want = k - ((k - slot) % SLOTS + SLOTS) % SLOTS;
		assert_int_equal(shows[slot], want > 0 ? want : 0);
	}
}

static void test_failed_append_threads(void **state)
{
	struct writer me[WRITERS];
	struct world *w;
	unsigned after;
	int k;

	(void)state;
	for (after = 3; after < 60; after += 4) {
		int on_write = after % 8 == 3;

		w = check_made(NULL);
		assert_code(w, world_open(w, 0), 0);
		simdisk_fault(w->disk, SIM_CARD, on_write ? SIM_WRITE : SIM_SYNC,
			      on_write ? after : after / 8, 1, EIO,
			      SIM_FAULT_PARTIAL | SIM_FAULT_DROP);
		write_side_by_side(w, me, 60, after % 3 == 0);
		world_close(w);
		assert_code(w, world_open(w, 0), 0);
		for (k = 0; k < WRITERS; k++)
			assert_slots(w, &me[k], me[k].acked);
		world_free(w);
	}
}

/* The store with its own threads, as in production, loses its process or its
 * power under load, wherever that happens to be. */
static void test_cuts_under_load(void **state)
{
	struct world_shape shape = workload_shape;
	struct writer me[WRITERS];
	struct world *w;
	uint64_t round;
	enum sim_variant v;
	int k;

	(void)state;
	shape.threads = 1;
	for (round = 0; round < 30; round++) {
		v = round % SIM_VARIANTS;
		w = check_made(&shape);
		assert_code(w, world_open(w, 0), 0);
		simdisk_arm(w->disk, simdisk_ticks(w->disk) +
				     sim_mix(round, 3) % 500);
		write_side_by_side(w, me, 200, round % 2 == 0);
		world_cut(w, v, round);
		assert_code(w, world_open(w, 0), 0);
		for (k = 0; k < WRITERS; k++)
			assert_slots(w, &me[k], v == SIM_KEEP_ALL
							? me[k].acked
							: me[k].flushed);
		assert_code(w, world_close(w), 0);
		world_free(w);
	}
}

/* Writers, a reader, checkpoints and cleaning by hand, all at once, on a card
 * so small that the store's own cleaner works, too; then a cut. */
struct others {
	struct world *w;
	atomic_int stop;
	int rounds, rc;
};

static void *clean_again(void *arg)
{
	struct others *o = arg;

	while (!o->stop && o->rc == 0) {
		o->rc = lbs_store_clean(o->w->store,
					o->rounds % 3 ? LBS_CLEAN_SHRINK : 0,
					NULL, NULL);
		if (o->rc == 0 && o->rounds++ % 2)
			o->rc = lbs_store_checkpoint(o->w->store);
	}
	return NULL;
}

static void *read_again(void *arg)
{
	struct others *o = arg;
	uint8_t buf[64 * KIB];
	uint64_t at = 0;

	for (; !o->stop && o->rc == 0; at = (at + 48 * KIB) % (900 * KIB))
		o->rc = lbs_vdisk_read(o->w->vdisk, buf, sizeof(buf), at);
	return NULL;
}

static void test_clean_beside_writers(void **state)
{
	struct world_shape shape = workload_shape;
	struct writer me[WRITERS];
	pthread_t cleaner, reader;
	struct others clean, read;
	uint64_t moved = 0;
	struct world *w;
	int round, k;

	(void)state;
	shape.threads = 1;
	for (round = 0; round < 6; round++) {
		w = check_made(&shape);
		assert_code(w, world_open(w, 0), 0);
		clean = read = (struct others){ .w = w };
		pthread_create(&cleaner, NULL, clean_again, &clean);
		pthread_create(&reader, NULL, read_again, &read);
		write_side_by_side(w, me, 400, 0);
		clean.stop = read.stop = 1;
		pthread_join(cleaner, NULL);
		pthread_join(reader, NULL);
		assert_code(w, clean.rc, 0);
		assert_code(w, read.rc, 0);
		for (k = 0; k < WRITERS; k++) {
			assert_code(w, me[k].rc, 0);
			assert_slots(w, &me[k], me[k].issued);
		}
		moved += world_stat(w, LBS_STAT_CLEANED_BLOCKS);
		world_cut(w, (enum sim_variant)(round % SIM_VARIANTS),
			  (uint64_t)round);
		assert_code(w, world_open(w, 0), 0);
		for (k = 0; k < WRITERS; k++)
			assert_slots(w, &me[k], me[k].flushed);
		assert_int_equal(world_stat(w, LBS_STAT_INTEGRITY_ERRORS), 0);
		assert_code(w, world_close(w), 0);
		world_free(w);
	}
	assert_true(moved > 200);
}

/* ---- a write in the middle of a checkpoint ---------------- */

/* A write at a tick of a checkpoint, by another thread: the checkpoint waits for it
 * meanwhile. */
struct intruder {
	struct world *w;
	uint64_t tick;
	int rc, came;
};

static void *intruder_writes(void *arg)
{
	struct intruder *me = arg;

	/* Over a segment's end; without a sync, which would wait for us. */
	me->rc = world_write(me->w, 200 * MODEL_BLOCK, 20 * MODEL_BLOCK, 0);
	return NULL;
}

static void intrude(void *ctx)
{
	struct intruder *me = ctx;
	pthread_t t;

	if (simdisk_ticks(me->w->disk) + 1 != me->tick)
		return;
	simdisk_watch(me->w->disk, NULL, NULL);
	me->came = pthread_create(&t, NULL, intruder_writes, me) == 0 &&
		   pthread_join(t, NULL) == 0;
}

/* Writes until every segment that is free has been taken, far from the intruder. */
static void go_round(struct world *w)
{
	int i;

	for (i = 0; i < 140; i++) {
		assert_code(w, world_write(w, (uint64_t)(i % 10) * 12 * MODEL_BLOCK,
					   12 * MODEL_BLOCK, 0), 0);
		if (i % 5 == 4)
			assert_code(w, lbs_store_checkpoint(w->store), 0);
	}
}

/* Segments that are opened while a checkpoint runs hold nothing that it knows of:
 * they are in use all the same. At every tick of a checkpoint. */
static void test_writes_during_checkpoint(void **state)
{
	struct world_shape shape = workload_shape;
	struct intruder me = { .tick = 0 };
	struct world *made, *w;
	uint64_t at;

	(void)state;
	shape.checkpoint_log_bytes = 1u << 30;
	made = check_made(&shape);
	/* All room is there: making more would wait for the checkpoint. */
	assert_code(made, world_open(made, 0), 0);
	while (store_fill_one(made->store) == 0)
		;
	assert_code(made, world_close(made), 0);
	for (at = 1;; at++) {
		me.w = w = world_clone(made);
		me.came = 0;
		assert_code(w, world_open(w, 0), 0);
		check_work(w, 1, 3);
		me.tick = simdisk_ticks(w->disk) + at;
		simdisk_watch(w->disk, intrude, &me);
		assert_code(w, lbs_store_checkpoint(w->store), 0);
		simdisk_watch(w->disk, NULL, NULL);
		if (me.came) {
			assert_code(w, me.rc, 0);
			go_round(w);
			assert_model(w);
			world_cut(w, SIM_KEEP_ALL, 0);
			assert_code(w, world_open(w, 0), 0);
			assert_model(w);
		}
		world_free(w);
		if (!me.came)
			break;
	}
	assert_true(at > 10);
	world_free(made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed_append_threads),
		cmocka_unit_test(test_cuts_under_load),
		cmocka_unit_test(test_clean_beside_writers),
		cmocka_unit_test(test_writes_during_checkpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
