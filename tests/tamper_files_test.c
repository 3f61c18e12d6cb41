/*
 * tamper_files_test.c - the card's files cut, missing and swapped; and a tail that was
 * not flushed, damaged: the log ends there, as after a power cut (promises 3, 6, 7).
 */
#include "tests/lab/moves.h"
#include "tests/lab/simimage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- files ------------------------------------------------------------------------------ */

static void test_cut_files(void **state)
{
	static const uint64_t cuts[] = { 0, 1, 511, 4095, 4096, 65535, 65536,
					 65537, 200000, 262143 };
	char name[MEDIUM_NAME_BYTES];
	uint32_t chunk, i;

	(void)state;
	EACH_VICTIM(v) {
		struct sim_copy *now = simdisk_copy(v->w->disk, SIM_CARD);
		uint32_t chunks = v->geometry.segment_count /
				  v->geometry.segments_per_chunk;

		for (chunk = 0; chunk < chunks; chunk++) {
			uint8_t last;

			medium_file_name(chunk, name);
			/* The last chunk may not be filled to its end. */
			if (simdisk_peek(v->w->disk, SIM_CARD, name, &last, 1,
					 4 * SEGMENT - 1) != 0)
				continue;
			for (i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
				simdisk_cut_file(v->w->disk, SIM_CARD, name,
						 cuts[i]);
				expect(v, MISSING, 0, "a chunk file cut");
				simdisk_restore(v->w->disk, now);
			}
			simdisk_cut_file(v->w->disk, SIM_CARD, name,
					 5 * SEGMENT + 7);
			expect(v, OPENS, 0, "a chunk file longer");
			simdisk_drop_file(v->w->disk, SIM_CARD, name);
			expect(v, CARD_MISSING, 0, "a chunk file missing");
			simdisk_restore(v->w->disk, now);
		}
		/* The card file says whose card it is, and little more. */
		for (i = 0; i < 6; i++) {
			simdisk_cut_file(v->w->disk, SIM_CARD, "card.lbs",
					 cuts[i]);
			expect(v, OPENS, 0, "the card file cut");
			simdisk_restore(v->w->disk, now);
		}
		simdisk_drop_file(v->w->disk, SIM_CARD, "card.lbs");
		expect(v, CARD_MISSING, 0, "the card file missing");
		simdisk_restore(v->w->disk, now);
		sim_copy_free(now);
		moves_expect_whole(v);
	}
}

static void test_swapped_files(void **state)
{
	char name[MEDIUM_NAME_BYTES], other[MEDIUM_NAME_BYTES];
	uint32_t a, b;
	int lost = 0;

	(void)state;
	EACH_VICTIM(v) {
		struct sim_copy *now = simdisk_copy(v->w->disk, SIM_CARD);

		uint32_t chunks = v->geometry.segment_count /
				  v->geometry.segments_per_chunk;

		for (a = 0; a < chunks; a++) {
			for (b = 0; b < chunks && moves_live_in_chunk(v, a); b++) {
				struct looked l;

				if (b == a)
					continue;

				medium_file_name(a, name);
				medium_file_name(b, other);
				simdisk_copy_file(v->w->disk, SIM_CARD, name,
						  "aside");
				simdisk_copy_file(v->w->disk, SIM_CARD, other,
						  name);
				simdisk_copy_file(v->w->disk, SIM_CARD, "aside",
						  other);
				l = expect(v, HURT, moves_live_in_chunk(v, a) +
					   moves_live_in_chunk(v, b),
					   "two chunk files swapped");
				lost += l.rc != 0 || l.errors != 0;
				simdisk_restore(v->w->disk, now);
			}
		}
		sim_copy_free(now);
		moves_expect_whole(v);
	}
	assert_true(lost > 4);
}

/* ---- the tail that was not flushed -------------------------------------------------------- */

/* Damage behind the last flush ends the log there: a prefix, as after a power
 * cut, and never an error. */
static void test_damaged_tail(void **state)
{
	struct victim *v = victim_new(VICTIM_KILLED, 9);
	struct world *w = v->w, *x;
	struct sim_copy *before, *after;
	char name[MEDIUM_NAME_BYTES], why[400];
	uint32_t chunk, at, tried = 0, i;

	(void)state;
	assert_int_equal(world_open(w, 0), 0);
	before = simdisk_copy(w->disk, SIM_CARD);
	/* Less than what is synced unasked. */
	for (i = 0; i < 8; i++)
		assert_int_equal(world_write(w, i * 5 % 70 * 4096u,
					     i % 4 ? 4096 : 9000, 0), 0);
	world_cut(w, SIM_KEEP_ALL, 0);
	w->boot++;
	memset(w->env.boot_id, w->boot, sizeof(w->env.boot_id));
	model_lost_power(w->model);
	after = simdisk_copy(w->disk, SIM_CARD);
	for (chunk = 0; chunk < CHUNKS; chunk++) {
		uint8_t *was = sim_alloc(4 * SEGMENT);
		uint8_t *now = sim_alloc(4 * SEGMENT);

		medium_file_name(chunk, name);
		moves_peek_copy(before, name, was, 4 * SEGMENT, 0);
		moves_peek_copy(after, name, now, 4 * SEGMENT, 0);
		for (at = 0; at < 4 * SEGMENT; at += 163) {
			if (was[at] == now[at])
				continue;
			x = world_clone(w);
			simdisk_flip(x->disk, SIM_CARD, name, at, 4);
			assert_int_equal(world_open(x, tried % 2 ? LBS_RDONLY
								 : 0), 0);
			if (world_check(x, why, sizeof(why)) != 0) {
				print_error("%s at %u: %s\n", name, at, why);
				fail();
			}
			world_free(x);
			tried++;
		}
		free(was);
		free(now);
	}
	assert_true(tried > 100);
	sim_copy_free(before);
	sim_copy_free(after);
	victim_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_files),
		cmocka_unit_test(test_swapped_files),
		cmocka_unit_test(test_damaged_tail),
	};

	return cmocka_run_group_tests(tests, moves_make, moves_unmake);
}
