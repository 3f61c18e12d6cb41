/*
 * recover_test.c - opening after media that lied, lost or fail meanwhile: what is
 * missing is noticed and said, a loss is accepted once and for good, and a recovery
 * that dies is begun again (promises 2, 7, 8).
 */
#include "liblbs/log/stream.h"
#include "liblbs/store/internal.h"
#include "tests/lab/check.h"
#include "tests/lab/nonce_audit.h"
#include "tests/lab/simimage.h"
#include "tests/lab/workload.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KIB 1024u

/* ---- what the card lost ----------------------------------------------------- */

static void test_lying_card(void **state)
{
	struct world *w;
	uint64_t seed;
	int rc, refused = 0;

	(void)state;
	for (seed = 0; seed < 12; seed++) {
		w = check_made(NULL);
		assert_code(w, world_open(w, 0), 0);
		check_work(w, 1, 3);
		simdisk_lie(w->disk, SIM_CARD, 1);
		check_work(w, seed, 5);
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
	struct world *w = check_made(NULL), *v;
	struct sim_copy *card;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	check_work(w, 1, 3);
	/* The card is not filled further by what comes. */
	assert_code(w, world_write(w, 512 * KIB, 256 * KIB, 0), 0);
	assert_code(w, world_discard(w, 512 * KIB, 256 * KIB, LBS_FUA), 0);
	assert_code(w, lbs_store_checkpoint(w->store), 0);
	card = simdisk_copy(w->disk, SIM_CARD);
	assert_code(w, world_write(w, 0, 12 * KIB, 0), 0);
	assert_code(w, world_write(w, 64 * KIB, 12 * KIB, 0), 0);
	/* The process dies, and the card never got what the kernel held. */
	world_cut(w, SIM_KEEP_ALL, 0);
	v = world_elsewhere(w);
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

/* The same where the lost tail had begun a segment that was used before: the
 * older use in its place does not make it an older card. */
static void test_pulled_card_reused(void **state)
{
	struct world *w = check_made(NULL);
	uint64_t begun;
	int round, i;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	begun = world_stat(w, LBS_STAT_SEGMENTS_TOTAL);
	/* Round the log until every segment has been used. */
	for (i = 0; i < (int)begun * 5; i++)
		assert_code(w, world_write(w, (uint64_t)(i % 20) * 16 * KIB,
					   16 * KIB, 0), 0);
	for (round = 0; round < 8; round++) {
		assert_code(w, world_flush(w), 0);
		for (i = 0; i < 4; i++)
			assert_code(w, world_write(w, (uint64_t)i * 16 * KIB,
						   12 * KIB, 0), 0);
		simdisk_pull(w->disk, SIM_CARD, SIM_DROP_ALL, 0);
		simdisk_insert(w->disk, SIM_CARD);
		world_cut(w, SIM_KEEP_ALL, 0);
		assert_code(w, world_open(w, 0), LBS_EDATAMISSING);
		assert_code(w, world_open(w, LBS_ACCEPT_LOSS), 0);
		model_lost_power(w->model);
		assert_model(w);
	}
	world_free(w);
}

/* What was never synced is missing, and given up: the anchor, whose record is there,
 * goes on to say which card is an older one. Also when nothing was replayed. */
static void test_loss_keeps_anchor(void **state)
{
	struct world *w = check_made(NULL);
	struct sim_copy *older;
	int rc;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	check_work(w, 1, 3);
	older = simdisk_copy(w->disk, SIM_CARD);
	check_work(w, 2, 3);
	assert_code(w, world_close(w), 0);
	assert_code(w, world_open(w, 0), 0);
	assert_code(w, world_write(w, 0, 12 * KIB, 0), 0);
	simdisk_pull(w->disk, SIM_CARD, SIM_DROP_ALL, 0);
	simdisk_insert(w->disk, SIM_CARD);
	world_cut(w, SIM_KEEP_ALL, 0);
	assert_code(w, world_open(w, 0), LBS_EDATAMISSING);
	assert_code(w, world_open(w, LBS_ACCEPT_LOSS), 0);
	world_cut(w, SIM_KEEP_ALL, 0);
	simdisk_restore(w->disk, older);
	rc = world_open(w, 0);
	if (rc != LBS_EDATAMISSING)
		assert_code(w, rc, LBS_ESTALECARD);
	sim_copy_free(older);
	world_free(w);
}

/* ---- trouble while recovering ----------------------------------------------- */

static const uint8_t *same_block(void *ctx, uint32_t i)
{
	(void)i;
	return ctx;
}

/* Sealed by whoever holds the key, longer than any group of ours, and beyond the
 * anchor: it would have to be written again. */
static void test_group_too_long(void **state)
{
	static const uint8_t zeroes[MODEL_BLOCK];
	struct world_shape shape = workload_shape;
	struct record_desc desc = { .kind = RECORD_DATA, .extent_count = 1 };
	uint32_t blocks[] = { GROUP_BLOCKS_MAX, GROUP_BLOCKS_MAX + 1,
			      RECORD_BLOCKS_MAX };
	char name[MEDIUM_NAME_BYTES];
	struct world *w, *v;
	struct stream *st;
	uint32_t i, at;
	uint8_t *buf;
	size_t len;

	(void)state;
	shape.segment_bytes = 4096 * KIB;
	shape.chunk_bytes = 2 * shape.segment_bytes;
	shape.capacity_bytes = 24 * shape.segment_bytes;
	shape.vdisk_bytes = 4096 * KIB;
	w = check_made(&shape);
	assert_code(w, world_open(w, 0), 0);
	assert_code(w, world_write(w, 0, 8 * KIB, LBS_FUA), 0);
	st = w->store->stream;
	at = st->cursor;
	buf = sim_alloc(record_bytes(1, RECORD_BLOCKS_MAX));
	for (i = 0; i < 3; i++) {
		v = world_elsewhere(w);
		desc.recno = st->next_recno;
		desc.frame_count = blocks[i];
		desc.extents[0] = (struct extent){ 1, blocks[i], 0 };
		len = seal_record(&w->store->sealer,
				  segtab_key(w->store->segtab, st->segment), at,
				  &desc, same_block, (void *)zeroes, NULL, buf);
		medium_file_name(st->segment / 2, name);
		assert_int_equal(simdisk_poke(v->disk, SIM_CARD, name, buf,
					      (uint32_t)len,
					      st->segment % 2 * shape.segment_bytes +
						      at), 0);
		assert_code(v, world_open(v, 0), i == 0 ? 0 : LBS_EDAMAGED);
		world_free(v);
	}
	free(buf);
	world_free(w);
}

/* Accepts the loss unless that is done, and sees that nobody is asked again. */
static void settle_accepted(struct world *w)
{
	int rc = world_open(w, 0);

	if (rc != 0) {
		assert_code(w, rc, LBS_ESTALEMETA);
		assert_code(w, world_open(w, LBS_ACCEPT_LOSS), 0);
		check_round(w);
	}
	check_plausible(w);
	assert_code(w, world_close(w), 0);
	assert_code(w, world_open(w, 0), 0);
	check_work(w, 5, 3);
	assert_code(w, world_close(w), 0);
}

/* A loss is accepted, and in the midst of it the power goes or a medium fails, at
 * each place there is: whatever it had come to, accepting it again works, and then it
 * is accepted for good. */
static void test_trouble_while_accepting(void **state)
{
	static const struct { enum sim_side side; enum sim_op op; } kinds[] = {
		{ SIM_CARD, SIM_WRITE }, { SIM_CARD, SIM_SYNC },
		{ SIM_FLASH, SIM_WRITE }, { SIM_FLASH, SIM_SYNC },
	};
	uint64_t repeats = nonce_audit_repeats(), tick;
	struct world *w = check_made(NULL), *v;
	struct sim_copy *meta;
	unsigned kind, nth;
	int done, rc, i;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	check_work(w, 1, 4);
	assert_code(w, world_flush(w), 0);
	meta = simdisk_copy(w->disk, SIM_FLASH);
	for (i = 2; i < 6; i++) {
		check_work(w, (uint64_t)i, 4);
		assert_code(w, world_close(w), 0);
		assert_code(w, world_open(w, 0), 0);
	}
	assert_code(w, world_write(w, 0, 100 * KIB, 0), 0);
	world_cut(w, SIM_KEEP_ALL, 0);
	simdisk_restore(w->disk, meta);
	for (tick = 1, done = 0; !done; tick++) {
		v = world_elsewhere(w);
		simdisk_arm(v->disk, simdisk_ticks(v->disk) + tick);
		done = world_open(v, LBS_ACCEPT_LOSS) == 0 &&
		       !simdisk_is_off(v->disk);
		simdisk_arm(v->disk, 0);
		if (done)
			assert_code(v, world_close(v), 0);
		else
			world_cut(v, tick % 2 ? SIM_DROP_ALL : SIM_SUBSET, tick);
		settle_accepted(v);
		world_free(v);
	}
	assert_true(tick > 8);
	for (kind = 0; kind < 4; kind++)
		for (nth = 1, done = 0; !done; nth++) {
			v = world_elsewhere(w);
			simdisk_fault(v->disk, kinds[kind].side, kinds[kind].op,
				      nth, 1, EIO, kind % 2 ? SIM_FAULT_DROP : 0);
			rc = world_open(v, LBS_ACCEPT_LOSS);
			done = simdisk_fault_hits(v->disk) == 0;
			simdisk_clear_faults(v->disk);
			if (rc == 0)
				(void)world_close(v);
			else
				world_cut(v, SIM_KEEP_ALL, 0);
			settle_accepted(v);
			world_free(v);
		}
	assert_int_equal(nonce_audit_repeats(), repeats);
	sim_copy_free(meta);
	world_free(w);
}

/* The process dies again and again while it recovers, in one boot: each time
 * what was acknowledged is still known, and still there. */
static void test_dying_recoveries(void **state)
{
	struct world *w = check_made(NULL), *v;
	uint64_t tick, begun;
	int deaths, done;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	check_work(w, 1, 3);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lying_card),
		cmocka_unit_test(test_pulled_card),
		cmocka_unit_test(test_pulled_card_reused),
		cmocka_unit_test(test_loss_keeps_anchor),
		cmocka_unit_test(test_group_too_long),
		cmocka_unit_test(test_trouble_while_accepting),
		cmocka_unit_test(test_dying_recoveries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
