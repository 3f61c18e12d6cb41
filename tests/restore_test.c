/*
 * restore_test.c - metadata and card that do not belong to the same moment, and
 * cards that lie or forget: each has its own verdict, old data never passes for
 * new, and no (key, nonce) pair is sealed twice whatever was restored (promises
 * 2, 6, 7, 8).
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
#define MOMENTS 6
#define SEGMENT (64u * KIB)

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
	check_work(w, 77, 8);
	assert_code(w, world_close(w), 0);
	assert_code(w, world_open(w, 0), 0);
	assert_plausible(w);
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

static const uint8_t *same_block(void *ctx, uint32_t i)
{
	(void)i;
	return ctx;
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
			check_work(v, 55, 6);
			assert_code(v, world_close(v), 0);
			assert_code(v, world_open(v, 0), 0);
			assert_plausible(v);
			world_free(v);
			sim_copy_free(copy[i]);
		}
		world_free(w);
	}
}

/* The log goes round the whole card. */
static void write_round(struct world *w)
{
	uint64_t n = w->shape.capacity_bytes / (16 * KIB) * 2, i;

	for (i = 0; i < n; i++)
		assert_code(w, world_write(w, i % 20 * 16 * KIB, 16 * KIB,
					   i % 7 == 0 ? LBS_FUA : 0), 0);
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
	v = elsewhere(w);
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
	assert_plausible(v);
	write_round(v);
	assert_code(v, world_close(v), 0);
	assert_code(v, world_open(v, 0), 0);
	write_round(v);
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
	write_round(w);
	assert_code(w, world_close(w), 0);
	v = elsewhere(w);
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
	write_round(v);
	assert_code(v, world_close(v), 0);
	free(card);
	free(now);
	sim_copy_free(meta);
	world_free(v);
	world_free(w);
}

/* ---- a segment as it was in an earlier use ----------------------------------- */

#define SEGMENTS 112
#define ROUNDS 60

struct uses {
	uint8_t *now, *was;	/* whole segments; NULL when never used */
};

/* Notes which segments have begun another use since the last look. */
static void look_at_uses(struct world *w, struct uses uses[SEGMENTS])
{
	uint32_t per_chunk = (uint32_t)(w->shape.chunk_bytes / SEGMENT), i;
	uint8_t *bytes = sim_alloc(SEGMENT);
	char name[MEDIUM_NAME_BYTES];

	for (i = 0; i < SEGMENTS; i++) {
		medium_file_name(i / per_chunk, name);
		if (simdisk_peek(w->disk, SIM_CARD, name, bytes, SEGMENT,
				 i % per_chunk * SEGMENT) < 0)
			break;
		if (memcmp(bytes, "LBSseg1", 8) != 0)
			continue;
		if (uses[i].now == NULL ||
		    memcmp(uses[i].now, bytes, MODEL_BLOCK) != 0) {
			free(uses[i].was);
			uses[i].was = uses[i].now;
			uses[i].now = sim_alloc(SEGMENT);
		}
		memcpy(uses[i].now, bytes, SEGMENT);
	}
	free(bytes);
}

/* Puts a segment's earlier use back and reads all. Returns the errors. */
static int try_earlier_use(const struct world *w, uint32_t segment,
			   const uint8_t *was)
{
	struct world *v = elsewhere(w);
	uint32_t per_chunk = (uint32_t)(w->shape.chunk_bytes / SEGMENT);
	char name[MEDIUM_NAME_BYTES];
	int errors = 0, rc;
	uint64_t at;

	medium_file_name(segment / per_chunk, name);
	assert_int_equal(simdisk_poke(v->disk, SIM_CARD, name, was, SEGMENT,
				      segment % per_chunk * SEGMENT), 0);
	rc = world_open(v, 0);
	for (at = 0; rc == 0 && at < 24 * MODEL_BLOCK; at += MODEL_BLOCK) {
		int got = world_read(v, at, MODEL_BLOCK);

		if (got != LBS_EDAMAGED)
			assert_code(v, got, 0);
		errors += got != 0;
	}
	errors += rc != 0;
	world_free(v);
	return errors;
}

/* The guest does the same again and again, so that the uses of a segment have the
 * same blocks at the same places: an earlier one is the best forgery there is. */
static void test_earlier_use(void **state)
{
	struct world *w = check_made(NULL);
	struct uses uses[SEGMENTS] = { { 0 } };
	int round, tried = 0, noticed = 0;
	uint32_t i;

	(void)state;
	for (round = 0; round < ROUNDS; round++) {
		assert_code(w, world_open(w, 0), 0);
		assert_code(w, world_write(w, 0, 12 * MODEL_BLOCK, LBS_FUA), 0);
		assert_code(w, world_write(w, 12 * MODEL_BLOCK, 12 * MODEL_BLOCK,
					   LBS_FUA), 0);
		assert_code(w, world_close(w), 0);
		look_at_uses(w, uses);
	}
	for (i = 0; i < SEGMENTS; i++) {
		if (uses[i].was != NULL) {
			tried++;
			noticed += try_earlier_use(w, i, uses[i].was) > 0;
		}
		free(uses[i].was);
		free(uses[i].now);
	}
	assert_true(tried >= 3);
	/* Those that hold live blocks, and the anchor's. */
	assert_true(noticed >= 2);
	world_free(w);
}

/* ---- media that lie or lose ------------------------------------------------ */

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

/* The process dies again and again while it recovers, in one boot: each time
 * what was acknowledged is still known, and still there. */
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
		v = elsewhere(w);
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
		assert_true(assert_plausible(v) > 0);
		world_cut(v, SIM_DROP_ALL, 0);
		/* Accepted once, accepted for good. */
		assert_code(v, world_open(v, 0), 0);
		assert_plausible(v);
		check_work(v, 5, 5);
		world_free(v);
	}
	/* The card as it should be. */
	v = elsewhere(w);
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
		v = elsewhere(w);
		simdisk_restore(v->disk, meta[i]);
		assert_code(v, world_open(v, 0), LBS_ESTALEMETA);
		assert_code(v, world_open(v, LBS_ACCEPT_LOSS), 0);
		assert_plausible(v);
		world_free(v);
		v = elsewhere(w);
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
		v = elsewhere(w);
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

/* A loss is accepted, and in the midst of it the power goes or a medium fails, at
 * each place there is: whatever it had come to, accepting it again works, and then it
 * is accepted for good. */
static void settle_accepted(struct world *w)
{
	int rc = world_open(w, 0);

	if (rc != 0) {
		assert_code(w, rc, LBS_ESTALEMETA);
		assert_code(w, world_open(w, LBS_ACCEPT_LOSS), 0);
		write_round(w);
	}
	assert_plausible(w);
	assert_code(w, world_close(w), 0);
	assert_code(w, world_open(w, 0), 0);
	check_work(w, 5, 3);
	assert_code(w, world_close(w), 0);
}

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
		v = elsewhere(w);
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
			v = elsewhere(w);
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

/* More records in a session than its numbers hold: they go on into the next
 * session's, and the next session is beyond those. */
static void test_numbers_run_over(void **state)
{
	struct world *w = check_made(NULL), *v;
	uint64_t session, n;
	int round;

	(void)state;
	for (round = 0; round < 2; round++) {
		assert_code(w, world_open(w, 0), 0);
		assert_code(w, world_write(w, 0, 8 * KIB, LBS_FUA), 0);
		session = w->store->session;
		w->store->stream->next_recno =
			(session << 32 | (round ? UINT32_MAX : INT32_MAX)) - 3;
		/* What the last record was is told by its successor alone. */
		for (n = 0; n < 40; n++)
			assert_code(w, world_write(w, n * 8 * KIB, 8 * KIB,
						   n % 5 == 0 ? LBS_FUA : 0), 0);
		assert_code(w, lbs_store_checkpoint(w->store), 0);
		write_round(w);
		v = world_clone(w);
		world_cut(v, SIM_DROP_ALL, 0);
		assert_code(v, world_open(v, 0), 0);
		assert_true(v->store->session > session + (uint64_t)round);
		assert_model(v);
		write_round(v);
		assert_code(v, world_close(v), 0);
		assert_code(v, world_open(v, 0), 0);
		assert_model(v);
		world_free(v);
		world_cut(w, SIM_KEEP_ALL, 0);
		assert_code(w, world_open(w, 0), 0);
		assert_model(w);
		assert_code(w, world_close(w), 0);
	}
	world_free(w);
}

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
		cmocka_unit_test(test_stale_metadata),
		cmocka_unit_test(test_forked_metadata),
		cmocka_unit_test(test_beacon_lost),
		cmocka_unit_test(test_filled_by_newer),
		cmocka_unit_test(test_earlier_use),
		cmocka_unit_test(test_stale_card),
		cmocka_unit_test(test_lying_card),
		cmocka_unit_test(test_pulled_card),
		cmocka_unit_test(test_pulled_card_reused),
		cmocka_unit_test(test_loss_keeps_anchor),
		cmocka_unit_test(test_stale_card_cleaned),
		cmocka_unit_test(test_stale_card_cleaned_before),
		cmocka_unit_test(test_shrunk),
		cmocka_unit_test(test_group_too_long),
		cmocka_unit_test(test_trouble_while_accepting),
		cmocka_unit_test(test_numbers_run_over),
		cmocka_unit_test(test_dying_recoveries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
