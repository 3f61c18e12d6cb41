/*
 * tamper_replay_test.c - pieces of the card, or all of it, from an older copy or from
 * another store: old and foreign data is never read, and opening gives the verdict that
 * fits (promises 6 and 7).
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

/* ---- an older copy of the card ------------------------------------------------------ */

static void peek_old(struct victim *v, uint32_t old, uint32_t segment,
		     uint8_t *buf)
{
	char name[MEDIUM_NAME_BYTES];
	uint64_t at;

	victim_where(v, segment, name, &at);
	assert_int_equal(moves_peek_copy(v->old[old], name, buf, SEGMENT, at), 0);
}

static void test_replayed_pieces(void **state)
{
	uint32_t old, i, b, n;
	int differing = 0, older_use = 0;

	(void)state;
	EACH_VICTIM(v) {
		for (old = 0; old < v->old_count; old++) {
			for (i = 0; i < v->segment_count; i++) {
				uint32_t s = v->segments[i].segment;
				uint8_t *was = sim_alloc(SEGMENT);
				struct piece now = piece_take(v, s, 0, SEGMENT);

				peek_old(v, old, s, was);
				if (memcmp(was, now.was, SEGMENT) != 0) {
					differing++;
					older_use += memcmp(was + 32,
						now.was + 32, SALT_BYTES) != 0;
				}
				victim_put(v, s, 0, was, SEGMENT);
				expect(v, HURT | STALE_CARD, v->live[i],
				       "an older segment");
				victim_put(v, s, 0, now.was, SEGMENT);
				/* Only its header; all but its header. */
				victim_put(v, s, 0, was, PAGE_BYTES);
				expect(v, HURT | STALE_CARD, 0,
				       "an older header");
				victim_put(v, s, 0, now.was, PAGE_BYTES);
				victim_put(v, s, PAGE_BYTES, was + PAGE_BYTES,
					   SEGMENT - PAGE_BYTES);
				expect(v, HURT | STALE_CARD, v->live[i],
				       "older records");
				victim_put(v, s, 0, now.was, SEGMENT);
				/* Block by block. */
				for (b = 0; b < v->blocks; b++) {
					uint32_t at = position_offset(
						v->positions[b]);

					if (v->positions[b] == 0 ||
					    position_segment(v->positions[b])
						    != s)
						continue;
					n = victim_frame_bytes(v, s, at);
					victim_put(v, s, at, was + at, n);
					expect(v, HURT, 1, "an older block");
					victim_put(v, s, at, now.was + at, n);
				}
				free(was);
				free(now.was);
			}
		}
		moves_expect_whole(v);
	}
	assert_true(differing > 10 && older_use > 4);
}

static void test_replayed_files(void **state)
{
	uint8_t slots[CARD_FILE_BYTES];
	uint32_t old, chunk;
	char name[MEDIUM_NAME_BYTES];
	int replaced = 0;

	(void)state;
	EACH_VICTIM(v) {
		struct sim_copy *now = simdisk_copy(v->w->disk, SIM_CARD);
		uint32_t chunks = v->geometry.segment_count /
				  v->geometry.segments_per_chunk;

		for (old = 0; old < v->old_count; old++) {
			for (chunk = 0; chunk < chunks; chunk++) {
				uint8_t *was = sim_alloc(4 * SEGMENT);

				medium_file_name(chunk, name);
				if (moves_peek_copy(v->old[old], name, was,
					      4 * SEGMENT, 0) == 0) {
					simdisk_poke(v->w->disk, SIM_CARD, name,
						     was, 4 * SEGMENT, 0);
					expect(v, HURT | STALE_CARD,
					       moves_live_in_chunk(v, chunk),
					       "an older chunk file");
					replaced++;
				}
				simdisk_restore(v->w->disk, now);
				free(was);
			}
			simdisk_restore(v->w->disk, v->old[old]);
			expect(v, STALE_CARD | MISSING, 0, "an older card");
			/* All of it but the card file, which is newest. */
			assert_int_equal(moves_peek_copy(now, "card.lbs", slots,
						   sizeof(slots), 0), 0);
			simdisk_poke(v->w->disk, SIM_CARD, "card.lbs", slots,
				     sizeof(slots), 0);
			expect(v, STALE_CARD | MISSING, 0,
			       "an older card with the newest card file");
			/* Only the card file is old: nothing is missing. */
			simdisk_restore(v->w->disk, now);
			assert_int_equal(moves_peek_copy(v->old[old], "card.lbs",
						   slots, sizeof(slots), 0), 0);
			simdisk_poke(v->w->disk, SIM_CARD, "card.lbs", slots,
				     sizeof(slots), 0);
			expect(v, OPENS, 0, "an older card file");
			simdisk_restore(v->w->disk, now);
		}
		assert_true(replaced > 4);
		sim_copy_free(now);
		moves_expect_whole(v);
	}
}

/* Gives the card's chunk files the contents they have in a copy, as they are. */
static void pour(struct victim *v, const struct sim_copy *copy)
{
	uint8_t *buf = sim_alloc(4 * SEGMENT);
	char name[MEDIUM_NAME_BYTES];
	uint32_t chunk;

	for (chunk = 0; chunk < CHUNKS; chunk++) {
		medium_file_name(chunk, name);
		if (moves_peek_copy(copy, name, buf, 4 * SEGMENT, 0) == 0)
			simdisk_poke(v->w->disk, SIM_CARD, name, buf,
				     4 * SEGMENT, 0);
	}
	free(buf);
}

/* The card changes behind an open store's back. */
static void test_replayed_while_open(void **state)
{
	uint8_t buf[BLOCK_BYTES];
	uint32_t old, b, errors = 0;

	(void)state;
	EACH_VICTIM(v) {
		struct sim_copy *now = simdisk_copy(v->w->disk, SIM_CARD);

		assert_int_equal(world_open(v->w, LBS_RDONLY), 0);
		for (old = 0; old < v->old_count; old++) {
			pour(v, v->old[old]);
			for (b = 0; b < v->blocks; b++) {
				int rc = lbs_vdisk_read(v->w->vdisk, buf,
					sizeof(buf), (uint64_t)b * BLOCK_BYTES);

				errors += rc != 0;
				if (rc == 0)
					assert_memory_equal(buf, v->truth +
						(size_t)b * BLOCK_BYTES,
						sizeof(buf));
				else if (rc != LBS_EDAMAGED)
					assert_int_equal(rc, LBS_EIO);
			}
		}
		pour(v, now);
		sim_copy_free(now);
		assert_int_equal(world_close(v->w), 0);
		moves_expect_whole(v);
	}
	assert_true(errors > 20);
}

/* ---- another store's ------------------------------------------------------------------ */

static void test_foreign_pieces(void **state)
{
	uint8_t *foreign = sim_alloc(SEGMENT);
	uint32_t blocks[100], theirs[100], n, m, i;

	(void)state;
	m = moves_live_blocks(stranger, theirs, 100);
	EACH_VICTIM(v) {
		for (i = 0; i < v->segment_count; i++) {
			struct piece now = piece_take(v, v->segments[i].segment, 0,
						SEGMENT);
			uint32_t k = i % stranger->segment_count;

			/* The same place of the other store, and a full one. */
			victim_get(stranger, v->segments[i].segment, 0, foreign,
				   SEGMENT);
			victim_put(v, now.segment, 0, foreign, SEGMENT);
			expect(v, HURT, v->live[i], "a foreign segment");
			victim_get(stranger, stranger->segments[k].segment, 0,
				   foreign, SEGMENT);
			victim_put(v, now.segment, 0, foreign, SEGMENT);
			expect(v, HURT, v->live[i], "another foreign segment");
			piece_put_back(v, &now);
		}
		n = moves_live_blocks(v, blocks, 100);
		for (i = 0; i < n; i++) {
			struct piece now = piece_take_frame(v, blocks[i]);
			struct piece other = piece_take_frame(stranger, theirs[i % m]);
			struct looked l;

			piece_put_over(v, &now, &other);
			l = expect(v, HURT, 1, "a foreign block");
			if (l.rc == 0)
				assert_int_equal(l.errors, 1);
			free(other.was);
			piece_put_back(v, &now);
		}
		moves_expect_whole(v);
	}
	free(foreign);
}

static void test_foreign_files(void **state)
{
	uint8_t slots[CARD_FILE_BYTES], ours[CARD_FILE_BYTES];

	(void)state;
	simdisk_peek(stranger->w->disk, SIM_CARD, "card.lbs", slots,
		     sizeof(slots), 0);
	EACH_VICTIM(v) {
		struct sim_copy *now = simdisk_copy(v->w->disk, SIM_CARD);
		struct sim_copy *other = simdisk_copy(stranger->w->disk,
						      SIM_CARD);

		simdisk_peek(v->w->disk, SIM_CARD, "card.lbs", ours,
			     sizeof(ours), 0);
		simdisk_restore(v->w->disk, other);
		expect(v, OTHER_CARD, 0, "another store's card");
		/* With our own card file put over it. */
		simdisk_poke(v->w->disk, SIM_CARD, "card.lbs", ours,
			     sizeof(ours), 0);
		expect(v, MISSING, 0, "another store's chunk files");
		simdisk_restore(v->w->disk, now);
		simdisk_poke(v->w->disk, SIM_CARD, "card.lbs", slots,
			     sizeof(slots), 0);
		expect(v, OTHER_CARD, 0, "another store's card file");
		simdisk_restore(v->w->disk, now);
		sim_copy_free(now);
		sim_copy_free(other);
		moves_expect_whole(v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replayed_pieces),
		cmocka_unit_test(test_replayed_files),
		cmocka_unit_test(test_replayed_while_open),
		cmocka_unit_test(test_foreign_pieces),
		cmocka_unit_test(test_foreign_files),
	};

	return cmocka_run_group_tests(tests, moves_make, moves_unmake);
}
