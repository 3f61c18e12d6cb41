/*
 * restore_test.c - metadata and card that do not belong to the same moment, because
 * one of them was restored: each case has its own verdict, old data never passes for
 * new, and no (key, nonce) pair is sealed twice (promises 6, 7, 8).
 */
#include "liblbs/store/internal.h"
#include "tests/lab/check.h"
#include "tests/lab/nonce_audit.h"
#include "tests/lab/simimage.h"
#include "tests/lab/workload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KIB 1024u
#define MOMENTS 6
#define SEGMENT (64u * KIB)

/* Lives through some sessions, and has a side copied at several moments, each
 * with more to come behind it. The store of *w is closed or, with kill, has
 * lost its process. */
static void live(struct world *w, enum sim_side side, int kill,
		 struct sim_copy *copy[MOMENTS])
{
	copy[0] = simdisk_copy(w->disk, side);	/* only made */
	assert_code(w, world_open(w, 0), 0);
	check_work(w, 1, 4);
	copy[1] = simdisk_copy(w->disk, side);	/* in a first session */
	check_work(w, 2, 12);
	assert_code(w, world_close(w), 0);
	copy[2] = simdisk_copy(w->disk, side);	/* closed cleanly */
	assert_code(w, world_open(w, 0), 0);
	copy[3] = simdisk_copy(w->disk, side);	/* just opened again */
	check_work(w, 3, 6);
	assert_code(w, lbs_store_checkpoint(w->store), 0);
	copy[4] = simdisk_copy(w->disk, side);	/* after a checkpoint */
	check_work(w, 4, 3);
	copy[5] = simdisk_copy(w->disk, side);	/* in the last session */
	check_work(w, 5, 5);
	if (kill)
		world_cut(w, SIM_KEEP_ALL, 0);
	else
		assert_code(w, world_close(w), 0);
}

static void try_stale_metadata(const struct world *last,
			       const struct sim_copy *copy, int moment,
			       int with_wal)
{
	struct world *w = world_elsewhere(last);
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
	check_plausible(w);
	check_work(w, 77, 8);
	assert_code(w, world_close(w), 0);
	assert_code(w, world_open(w, 0), 0);
	check_plausible(w);
	check_work(w, 78, 8);
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
		w = check_made(NULL);
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
	struct world *w = check_made(NULL), *v;
	int i, k;

	(void)state;
	live(w, SIM_FLASH, 1, copy);
	for (i = 0; i < MOMENTS; i++)
		sim_copy_free(copy[i]);
	for (k = 0; k < 4; k++) {
		v = world_clone(w);
		assert_code(v, world_open(v, 0), 0);
		check_work(v, 9, 6);
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
		w = check_made(NULL);
		live(w, SIM_CARD, kill, copy);
		for (i = 0; i < MOMENTS; i++) {
			v = world_elsewhere(w);
			simdisk_restore(v->disk, copy[i]);
			rc = world_open(v, 0);
			if (rc != LBS_ESTALECARD && rc != LBS_EDATAMISSING)
				print_error("moment %d: ", i);
			if (rc != LBS_EDATAMISSING)
				assert_code(v, rc, LBS_ESTALECARD);
			/* With consent: what there is, never made-up data. */
			rc = world_open(v, LBS_ACCEPT_LOSS);
			assert_code(v, rc, 0);
			check_plausible(v);
			check_work(v, 55, 6);
			assert_code(v, world_close(v), 0);
			assert_code(v, world_open(v, 0), 0);
			check_plausible(v);
			world_free(v);
			sim_copy_free(copy[i]);
		}
		world_free(w);
	}
}

/* The newer session's name on the card is gone, too: the old metadata opens, and
 * finds out before it writes over anything newer. */
static void test_beacon_lost(void **state)
{
	struct world *w = check_made(NULL), *v;
	uint8_t nothing[8192] = { 0 };
	char name[MEDIUM_NAME_BYTES];
	struct sim_copy *copy;
	struct sim_count before, after;
	int i, rc = 0;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	check_work(w, 1, 4);
	assert_code(w, world_close(w), 0);
	copy = simdisk_copy(w->disk, SIM_FLASH);
	for (i = 2; i < 8; i++) {
		assert_code(w, world_open(w, 0), 0);
		check_work(w, (uint64_t)i, 4);
		assert_code(w, world_close(w), 0);
	}
	v = world_elsewhere(w);
	simdisk_restore(v->disk, copy);
	medium_file_name(MEDIUM_CARD_FILE, name);
	assert_int_equal(simdisk_poke(v->disk, SIM_CARD, name, nothing,
				      sizeof(nothing), 0), 0);
	assert_code(v, world_open(v, 0), 0);
	medium_file_name(0, name);
	simdisk_count(v->disk, SIM_CARD, name, &before);
	assert_code(v, world_write(v, 0, 4096, 0), LBS_ESTALEMETA);
	assert_code(v, world_write(v, 0, 4096, 0), LBS_EFAILED);
	simdisk_count(v->disk, SIM_CARD, name, &after);
	assert_int_equal(before.bytes, after.bytes);
	/* Opened again it knows no better; with the loss accepted it does, once and
	 * for all, in each segment. */
	assert_code(v, world_close(v), LBS_EFAILED);
	assert_code(v, world_open(v, LBS_ACCEPT_LOSS | LBS_RDONLY), 0);
	assert_code(v, world_close(v), 0);
	assert_code(v, world_open(v, 0), 0);
	while (rc == 0)
		rc = world_write(v, 0, 48 * KIB, LBS_FUA);
	assert_code(v, rc, LBS_ESTALEMETA);
	assert_code(v, world_close(v), LBS_EFAILED);
	assert_code(v, world_open(v, LBS_ACCEPT_LOSS), 0);
	check_plausible(v);
	check_round(v);
	assert_code(v, world_close(v), 0);
	assert_code(v, world_open(v, 0), 0);
	check_round(v);
	sim_copy_free(copy);
	world_free(v);
	world_free(w);
}

/* The newer file had filled the card further, and all that tells lies there: it is
 * not written over with zeroes either. */
static void test_filled_by_newer(void **state)
{
	struct world *w = check_made(NULL), *v;
	uint8_t nothing[8192] = { 0 }, *card, *now;
	uint64_t size = w->shape.chunk_bytes;
	uint32_t segment, filled;
	struct sim_copy *meta;
	char name[MEDIUM_NAME_BYTES];
	int i;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	filled = (uint32_t)world_stat(w, LBS_STAT_SEGMENTS_FILLED);
	meta = simdisk_copy(w->disk, SIM_FLASH);
	assert_code(w, world_close(w), 0);
	assert_code(w, world_open(w, 0), 0);
	for (i = 0; i < 8; i++)
		assert_code(w, store_fill_one(w->store), 0);
	check_round(w);
	assert_code(w, world_close(w), 0);
	v = world_elsewhere(w);
	simdisk_restore(v->disk, meta);
	medium_file_name(MEDIUM_CARD_FILE, name);
	assert_int_equal(simdisk_poke(v->disk, SIM_CARD, name, nothing,
				      sizeof(nothing), 0), 0);
	/* And nothing in what this file knows to be filled. */
	for (segment = 0; segment < filled; segment++) {
		medium_file_name(segment / 16, name);
		assert_int_equal(simdisk_poke(v->disk, SIM_CARD, name, nothing,
					      4096, segment % 16 * SEGMENT), 0);
	}
	card = sim_alloc((size_t)size);
	now = sim_alloc((size_t)size);
	medium_file_name(filled / 16, name);
	assert_true(simdisk_peek(v->disk, SIM_CARD, name, card, (size_t)size, 0) >= 0);
	assert_code(v, world_open(v, 0), 0);
	assert_code(v, store_fill_one(v->store), LBS_ESTALEMETA);
	assert_true(simdisk_peek(v->disk, SIM_CARD, name, now, (size_t)size, 0) >= 0);
	segment = filled % 16 * SEGMENT;
	assert_memory_equal(card + segment, now + segment, size - segment);
	assert_code(v, world_close(v), LBS_EFAILED);
	assert_code(v, world_open(v, LBS_ACCEPT_LOSS), 0);
	check_round(v);
	assert_code(v, world_close(v), 0);
	free(card);
	free(now);
	sim_copy_free(meta);
	world_free(v);
	world_free(w);
}

/* ---- sessions that only clean, or give room back --------------------------- */

/* A card from before a session that only cleaned, or from the midst of it: no
 * anchor has moved since, and it is refused all the same. With its newest card file,
 * too. But a header that is merely damaged costs nothing. */
static void test_stale_card_cleaned(void **state)
{
	struct world *w = check_made(&workload_wide_shape), *v;
	struct sim_copy *card[3];
	uint8_t card_file[8192];
	char name[MEDIUM_NAME_BYTES];
	struct segment_info info, newest = { 0 };
	uint32_t segment = 0, i;
	uint64_t recno;
	int own_file, rc;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	assert_code(w, workload_spread(w), 0);
	assert_code(w, world_close(w), 0);
	card[0] = simdisk_copy(w->disk, SIM_CARD);
	assert_code(w, world_open(w, 0), 0);
	recno = world_stat(w, LBS_STAT_DURABLE_RECORD);
	card[1] = simdisk_copy(w->disk, SIM_CARD);
	assert_code(w, lbs_store_clean(w->store, 0, NULL, NULL), 0);
	assert_true(world_stat(w, LBS_STAT_CLEANED_BLOCKS) > 50);
	card[2] = simdisk_copy(w->disk, SIM_CARD);
	assert_int_equal(world_stat(w, LBS_STAT_DURABLE_RECORD), recno);
	for (i = 0; i < w->store->geometry.segment_count; i++) {
		segtab_info(w->store->segtab, i, &info);
		if (info.used && info.live && info.serial & SERIAL_CLEANER &&
		    info.serial > newest.serial) {
			newest = info;
			segment = i;
		}
	}
	assert_true(newest.serial != 0);
	assert_code(w, world_close(w), 0);
	medium_file_name(MEDIUM_CARD_FILE, name);
	simdisk_peek(w->disk, SIM_CARD, name, card_file, sizeof(card_file), 0);
	for (i = 0; i < 4; i++) {
		v = world_elsewhere(w);
		own_file = i % 2;
		simdisk_restore(v->disk, card[i / 2]);
		if (!own_file)
			simdisk_poke(v->disk, SIM_CARD, name, card_file,
				     sizeof(card_file), 0);
		rc = world_open(v, 0);
		if (rc != LBS_EDATAMISSING)
			assert_code(v, rc, LBS_ESTALECARD);
		rc = world_open(v, LBS_RDONLY);
		assert_true(rc == LBS_EDATAMISSING || rc == LBS_ESTALECARD);
		assert_code(v, world_open(v, LBS_ACCEPT_LOSS), 0);
		assert_true(check_plausible(v) > 0);
		world_cut(v, SIM_DROP_ALL, 0);
		/* Accepted once, accepted for good. */
		assert_code(v, world_open(v, 0), 0);
		check_plausible(v);
		check_work(v, 5, 5);
		world_free(v);
	}
	/* The card as it should be. */
	v = world_elsewhere(w);
	simdisk_restore(v->disk, card[2]);
	assert_code(v, world_open(v, 0), 0);
	assert_model(v);
	world_free(v);
	medium_file_name(segment / 16, name);
	simdisk_flip(w->disk, SIM_CARD, name,
		     segment % 16 * w->shape.segment_bytes + 70, 1);
	assert_code(w, world_open(w, 0), 0);
	assert_model(w);
	world_free(w);
	for (i = 0; i < 3; i++)
		sim_copy_free(card[i]);
}

/* The anchor lies where the cleaner had written earlier in the same session, and the
 * card is from then: the cleaner's serials are beyond all of the log's, and yet what
 * lies there is older. */
static void test_stale_card_cleaned_before(void **state)
{
	struct world *w = check_made(&workload_wide_shape);
	uint8_t cold[200] = { 0 };
	struct segment_info info;
	struct sim_copy *card;
	uint32_t i, n = 0;
	int rc;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	assert_code(w, workload_spread(w), 0);
	assert_code(w, lbs_store_clean(w->store, 0, NULL, NULL), 0);
	for (i = 0; i < 200; i++) {
		segtab_info(w->store->segtab, i, &info);
		cold[i] = info.used && info.serial & SERIAL_CLEANER;
	}
	card = simdisk_copy(w->disk, SIM_CARD);
	/* It dies, and the log comes round to it. */
	do {
		assert_true(n < 800);
		assert_code(w, world_write(w, n++ * 11 % 300 * MODEL_BLOCK,
					   12 * MODEL_BLOCK, LBS_FUA), 0);
		if (n % 40 == 0)
			assert_code(w, lbs_store_checkpoint(w->store), 0);
	} while (!cold[w->store->anchor.segment]);
	segtab_info(w->store->segtab, w->store->anchor.segment, &info);
	assert_true((info.serial & SERIAL_CLEANER) == 0);
	assert_code(w, lbs_store_checkpoint(w->store), 0);
	world_cut(w, SIM_DROP_ALL, 0);
	simdisk_restore(w->disk, card);
	rc = world_open(w, 0);
	if (rc != LBS_EDATAMISSING)
		assert_code(w, rc, LBS_ESTALECARD);
	sim_copy_free(card);
	world_free(w);
}

/* Chunk files were given back: a metadata file from before that counts on them is
 * an old one, whether the card file says so by its session or its checkpoint; a
 * card from before that is an old one though it has all files. */
static void test_shrunk(void **state)
{
	struct world *w = check_made(&workload_wide_shape), *v;
	struct sim_copy *meta[3], *card[3];
	int i, rc;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	assert_code(w, workload_spread(w), 0);
	assert_code(w, lbs_store_checkpoint(w->store), 0);
	meta[0] = simdisk_copy(w->disk, SIM_FLASH);
	card[0] = simdisk_copy(w->disk, SIM_CARD);
	assert_code(w, world_close(w), 0);
	assert_code(w, world_open(w, 0), 0);
	meta[1] = simdisk_copy(w->disk, SIM_FLASH);
	card[1] = simdisk_copy(w->disk, SIM_CARD);
	check_work(w, 1, 2);
	meta[2] = simdisk_copy(w->disk, SIM_FLASH);
	card[2] = simdisk_copy(w->disk, SIM_CARD);
	assert_code(w, lbs_store_clean(w->store, LBS_CLEAN_SHRINK, NULL, NULL), 0);
	assert_true(world_stat(w, LBS_STAT_CARD_GIVEN_BACK_BYTES) > 0);
	world_cut(w, SIM_DROP_ALL, 0);
	for (i = 0; i < 3; i++) {
		v = world_elsewhere(w);
		simdisk_restore(v->disk, meta[i]);
		assert_code(v, world_open(v, 0), LBS_ESTALEMETA);
		assert_code(v, world_open(v, LBS_ACCEPT_LOSS), 0);
		check_plausible(v);
		world_free(v);
		v = world_elsewhere(w);
		simdisk_restore(v->disk, card[i]);
		rc = world_open(v, 0);
		if (rc != LBS_EDATAMISSING)
			assert_code(v, rc, LBS_ESTALECARD);
		world_free(v);
		sim_copy_free(meta[i]);
		sim_copy_free(card[i]);
	}
	assert_code(w, world_open(w, 0), 0);
	assert_model(w);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stale_metadata),
		cmocka_unit_test(test_forked_metadata),
		cmocka_unit_test(test_beacon_lost),
		cmocka_unit_test(test_filled_by_newer),
		cmocka_unit_test(test_stale_card),
		cmocka_unit_test(test_stale_card_cleaned),
		cmocka_unit_test(test_stale_card_cleaned_before),
		cmocka_unit_test(test_shrunk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
