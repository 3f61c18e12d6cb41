/*
 * fault_test.c - media that fail or are full, and writers side by side: nothing
 * that was acknowledged is lost, failure is a state that ends with reopening,
 * and "no space" is not a failure (promises 1, 2, 3, 9).
 */
#include "liblbs/store/internal.h"
#include "tests/lab/check.h"
#include "tests/lab/medium_sim.h"
#include "tests/lab/simimage.h"
#include "tests/lab/workload.h"
#include "liblbs/store/internal.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define KIB 1024u

/* ---- failures ---------------- */

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

/* ---- writers side by side ---------------- */

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

/* ---- cleaning ---------------- */

static void pin_nothing(void *ctx, uint32_t segment)
{
	(void)ctx;
	(void)segment;
}

/* The place of a block by the store's own map. */
static uint64_t position_of(struct world *w, uint64_t block)
{
	uint64_t position = 0;

	assert_code(w, map_lookup(w->store->map, w->vdisk->layer, block, 1,
				  &position, pin_nothing, NULL), 0);
	assert_true(position != 0);
	return position;
}

/* A block of a victim that does not open stays an error, and its neighbours are
 * moved; nothing else is lost, the store serves on, and its segment is tried once
 * only. By index and, for a segment in which a session ended, by records. */
static void test_damaged_victim(void **state)
{
	uint8_t buf[MODEL_BLOCK];
	char name[MEDIUM_NAME_BYTES];
	struct world *w;
	uint64_t at, errors, i;
	int killed, rc, lost;

	(void)state;
	for (killed = 0; killed < 2; killed++) {
		w = check_made(NULL);
		assert_code(w, world_open(w, 0), 0);
		/* Four segments of new blocks, of which each third dies. */
		for (i = 0; i < 52; i++)
			assert_code(w, world_write(w, i * MODEL_BLOCK,
						   MODEL_BLOCK, 0), 0);
		if (killed) {
			world_cut(w, SIM_KEEP_ALL, 0);
			assert_code(w, world_open(w, 0), 0);
		}
		for (i = 0; i < 52; i += 3)
			assert_code(w, world_write(w, i * MODEL_BLOCK,
						   MODEL_BLOCK, 0), 0);
		for (i = 60; i < 80; i++)
			assert_code(w, world_write(w, i * MODEL_BLOCK,
						   MODEL_BLOCK, 0), 0);
		assert_code(w, lbs_store_checkpoint(w->store), 0);
		at = position_of(w, 16);
		medium_file_name(geometry_chunk(&w->store->geometry,
						position_segment(at)), name);
		assert_int_equal(simdisk_flip(
			w->disk, SIM_CARD, name,
			geometry_offset(&w->store->geometry,
					position_segment(at)) +
				position_offset(at) + 100, 4), 0);
		assert_code(w, lbs_store_clean(w->store, 0, NULL, NULL), 0);
		assert_true(world_stat(w, LBS_STAT_CLEANED_BLOCKS) > 10);
		errors = world_stat(w, LBS_STAT_INTEGRITY_ERRORS);
		assert_true(errors > 0 || killed);
		/* Told once. */
		assert_code(w, lbs_store_clean(w->store, 0, NULL, NULL), 0);
		assert_int_equal(world_stat(w, LBS_STAT_INTEGRITY_ERRORS),
				 errors);
		for (rc = 0; rc < 2; rc++) {
			for (i = 0, lost = 0; i < 80; i++)
				if (lbs_vdisk_read(w->vdisk, buf, sizeof(buf),
						   i * MODEL_BLOCK) != 0) {
					assert_int_equal(i, 16);
					lost++;
				}
			assert_int_equal(lost, 1);
			if (rc == 0) {
				assert_code(w, world_close(w), 0);
				assert_code(w, world_open(w, 0), 0);
			}
		}
		/* A whole block heals it, and then all can be cleaned. */
		assert_code(w, world_write(w, 16 * MODEL_BLOCK, MODEL_BLOCK, 0), 0);
		assert_code(w, lbs_store_clean(w->store, 0, NULL, NULL), 0);
		assert_model(w);
		assert_code(w, world_close(w), 0);
		world_free(w);
	}
}

/* ---- space ---------------- */

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

/* Writes over blocks below end, of one block and of many. */
static void write_over(struct world *w, uint64_t end, uint64_t seed, int writes)
{
	uint64_t rng = sim_mix(seed, 11), block, count;
	int i;

	for (i = 0; i < writes; i++) {
		block = sim_random(&rng) % end;
		count = i % 16 ? 1 : 1 + sim_random(&rng) % (end - block);
		assert_code(w, world_write(w, block * MODEL_BLOCK,
					   count * MODEL_BLOCK,
					   i % 64 == 5 ? LBS_FUA : 0), 0);
	}
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
		write_over(w, end, (uint64_t)round, 300);
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
		write_over(w, end, (uint64_t)round + 50, 60);
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
		write_over(w, end, seed, 300);
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

static uint64_t chunk_files(struct world *w)
{
	char name[MEDIUM_NAME_BYTES];
	uint32_t i, n = 0;

	for (i = 0; i < 16; i++) {
		medium_file_name(i, name);
		n += (uint32_t)simdisk_exists(w->disk, SIM_CARD, name);
	}
	return n;
}

/* Chunk files are given back, and others take the room: what lives can be written
 * over for ever, new blocks are refused, and when the card has room again the
 * files come back. */
static void test_shrunk_then_full(void **state)
{
	struct world_shape shape = workload_wide_shape;
	uint64_t files, left, end, seed, given, room;
	struct world *w;

	(void)state;
	shape.vdisk_bytes = 4 * 1024 * KIB;
	w = check_made(&shape);
	assert_code(w, world_open(w, 0), 0);
	assert_code(w, workload_spread(w), 0);
	files = chunk_files(w);
	assert_code(w, lbs_store_clean(w->store, LBS_CLEAN_SHRINK, NULL, NULL), 0);
	left = chunk_files(w);
	given = world_stat(w, LBS_STAT_CARD_GIVEN_BACK_BYTES);
	assert_true(left + 3 <= files);
	assert_true(given > (files - left - 1) * shape.chunk_bytes);
	assert_model(w);
	/* Not twice. */
	assert_code(w, lbs_store_clean(w->store, LBS_CLEAN_SHRINK, NULL, NULL), 0);
	assert_int_equal(world_stat(w, LBS_STAT_CARD_GIVEN_BACK_BYTES), given);
	room = simdisk_used(w->disk, SIM_CARD);
	simdisk_capacity(w->disk, SIM_CARD, room);
	for (seed = 0; seed < 4; seed++) {
		write_over(w, 310, seed, 300);
		if (seed == 1)
			world_cut(w, SIM_KEEP_ALL, 0);
		if (seed == 2)
			world_cut(w, SIM_SUBSET, 5);
		if (seed == 1 || seed == 2)
			assert_code(w, world_open(w, 0), 0);
	}
	for (end = 310; end < 1000; end++)
		if (world_write(w, end * MODEL_BLOCK, MODEL_BLOCK, 0) != 0)
			break;
	assert_true(end < 900);
	assert_code(w, world_write(w, end * MODEL_BLOCK, MODEL_BLOCK, 0),
		    LBS_ENOSPC);
	write_over(w, end, seed, 300);
	assert_true(simdisk_used(w->disk, SIM_CARD) <= room);
	simdisk_capacity(w->disk, SIM_CARD, 0);
	assert_code(w, world_write(w, end * MODEL_BLOCK, 80 * MODEL_BLOCK, 0), 0);
	assert_true(simdisk_used(w->disk, SIM_CARD) > room);
	assert_model(w);
	assert_code(w, world_close(w), 0);
	assert_code(w, world_open(w, 0), 0);
	assert_model(w);
	world_free(w);
}

/* A block in the last chunk file that does not open stays an error, and its file
 * stays with it: those behind it go all the same. */
static void test_shrink_keeps_damaged(void **state)
{
	uint8_t buf[MODEL_BLOCK];
	char name[MEDIUM_NAME_BYTES];
	struct world *w = check_made(&workload_wide_shape);
	uint64_t position, lba, at;
	uint32_t segment, file;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	assert_code(w, workload_spread(w), 0);
	assert_code(w, lbs_store_checkpoint(w->store), 0);
	/* In the third chunk file from the end. */
	for (lba = 0; lba < 300; lba++) {
		position = position_of(w, lba);
		segment = position_segment(position);
		file = segment / 16;
		if (file == 9)
			break;
	}
	assert_true(lba < 300);
	at = segment % 16 * w->shape.segment_bytes + position_offset(position);
	medium_file_name(file, name);
	assert_int_equal(simdisk_flip(w->disk, SIM_CARD, name, at + 100, 1), 0);
	assert_code(w, lbs_store_clean(w->store, LBS_CLEAN_SHRINK, NULL, NULL), 0);
	assert_int_equal(chunk_files(w), 10);
	assert_code(w, lbs_vdisk_read(w->vdisk, buf, sizeof(buf),
				      lba * MODEL_BLOCK), LBS_EDAMAGED);
	/* Written over, it goes. */
	assert_code(w, world_write(w, lba * MODEL_BLOCK, MODEL_BLOCK, 0), 0);
	assert_code(w, lbs_store_clean(w->store, LBS_CLEAN_SHRINK, NULL, NULL), 0);
	assert_true(chunk_files(w) < 10);
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
		write_over(w, end - less, less, 40);
		assert_model(w);
		world_free(w);
	}
	assert_true(rewrote > 2);
	world_free(made);
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
	write_over(w, end, 1, 200);
	for (deaths = 0; deaths < 30; deaths++) {
		write_over(w, end, (uint64_t)deaths, 1 + deaths % 3);
		world_cut(w, SIM_KEEP_ALL, 0);
		assert_code(w, world_open(w, 0), 0);
	}
	assert_model(w);
	fill_blocks(w, end);
	/* A page each, over more than a segment. */
	for (i = 0; i < 20; i++)
		assert_code(w, world_discard(w, 302 * MODEL_BLOCK, 4 * KIB,
					     LBS_FUA), 0);
	write_over(w, end, 2, 200);
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

/* ---- what nobody asked for ---------------- */

/* DESIGN.md condition 18: after a while what was written is synced and anchored
 * though nobody flushes; then a power cut that drops all else loses none of it. */
static void test_unasked_sync(void **state)
{
	struct world_shape shape = workload_shape;
	struct world *w;
	int waited;

	(void)state;
	shape.threads = 1;
	shape.sync_seconds = 1;
	w = check_made(&shape);
	assert_code(w, world_open(w, 0), 0);
	assert_code(w, world_write(w, 0, 4 * KIB, 0), 0);
	assert_true(world_stat(w, LBS_STAT_DURABLE_RECORD) <
		    world_stat(w, LBS_STAT_LAST_RECORD));
	for (waited = 0; waited < 200; waited++) {
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

/* ---- two at once ---------------- */

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
		cmocka_unit_test(test_failed_append),
		cmocka_unit_test(test_failed_append_threads),
		cmocka_unit_test(test_cuts_under_load),
		cmocka_unit_test(test_clean_beside_writers),
		cmocka_unit_test(test_damaged_victim),
		cmocka_unit_test(test_full_card),
		cmocka_unit_test(test_full_capacity),
		cmocka_unit_test(test_full_card_written_over),
		cmocka_unit_test(test_shrunk_then_full),
		cmocka_unit_test(test_shrink_keeps_damaged),
		cmocka_unit_test(test_full_then_killed),
		cmocka_unit_test(test_bounded_tail),
		cmocka_unit_test(test_deaths_on_full_card),
		cmocka_unit_test(test_full_flash),
		cmocka_unit_test(test_unasked_sync),
		cmocka_unit_test(test_writes_during_checkpoint),
		cmocka_unit_test(test_two_metadata_one_card),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
