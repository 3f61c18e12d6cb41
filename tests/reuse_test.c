/*
 * reuse_test.c - segments and numbers that were used before: what an earlier use of a
 * segment left never passes for the present one, and record numbers that run over into
 * the next session's are not given out again (promises 6, 7).
 */
#include "liblbs/log/stream.h"
#include "liblbs/store/internal.h"
#include "tests/lab/check.h"
#include "tests/lab/simimage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KIB 1024u
#define SEGMENT (64u * KIB)
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
	struct world *v = world_elsewhere(w);
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
		check_round(w);
		v = world_clone(w);
		world_cut(v, SIM_DROP_ALL, 0);
		assert_code(v, world_open(v, 0), 0);
		assert_true(v->store->session > session + (uint64_t)round);
		assert_model(v);
		check_round(v);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_earlier_use),
		cmocka_unit_test(test_numbers_run_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
