/*
 * tamper_moves_test.c - blocks, records and segments swapped, duplicated, moved, zeroed,
 * older versions of a block in its place: the guest gets each block right or an error,
 * never old data, and opening gives the verdict that fits (promises 6 and 7).
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

/* ---- blocks ------------------------------------------------------------------ */

static void test_swapped_blocks(void **state)
{
	uint32_t blocks[100], n, i, k;

	(void)state;
	EACH_VICTIM(v) {
		n = moves_live_blocks(v, blocks, 100);
		assert_true(n > 20);
		for (i = 0; i < n; i++) {
			/* A neighbour, and one from far. */
			for (k = 1; k < n; k += n / 3) {
				struct piece a = piece_take_frame(v, blocks[i]);
				struct piece b = piece_take_frame(v,
					blocks[(i + k) % n]);
				struct looked l;

				piece_put_over(v, &a, &b);
				piece_put_over(v, &b, &a);
				l = expect(v, HURT, 2, "two blocks swapped");
				if (l.rc == 0)
					assert_int_equal(l.errors, 2);
				piece_put_back(v, &a);
				/* Now one of them is there twice. */
				a = piece_take_frame(v, blocks[i]);
				l = expect(v, HURT, 1, "a block duplicated");
				if (l.rc == 0)
					assert_int_equal(l.errors, 1);
				piece_put_back(v, &a);
				piece_put_back(v, &b);
			}
		}
		moves_expect_whole(v);
	}
}

struct versions {
	struct victim *v;
	uint32_t block;
	struct piece found[16];
	int count;
};

static void find_versions(void *ctx, const struct victim_segment *segment,
			  const struct victim_record *record)
{
	struct versions *s = ctx;
	uint32_t i, at, n = segment->segment;

	for (i = 0; i < record->entry_count; i++) {
		const struct index_entry *e = &record->entries[i];

		if (e->kind != RECORD_DATA || s->block < e->extent.lba ||
		    s->block >= e->extent.lba + e->extent.count_blocks ||
		    s->count == 16)
			continue;
		at = e->offset +
		     (uint32_t)(s->block - e->extent.lba) * FRAME_BYTES;
		if (position_make(n, at) != s->v->positions[s->block])
			s->found[s->count++] = piece_take(s->v, n, at,
				victim_frame_bytes(s->v, n, at));
	}
}

/* The same block, as it was before, over its newest frame: the plainest way to
 * take a guest back in time. */
static void test_older_versions(void **state)
{
	uint32_t i, b;
	int tried = 0, k;

	(void)state;
	EACH_VICTIM(v) {
		for (b = 0; b < v->blocks; b++) {
			struct versions s = { .v = v, .block = b };
			struct piece now;

			if (v->positions[b] == 0)
				continue;
			for (i = 0; i < v->segment_count; i++)
				victim_records(v, &v->segments[i],
					       find_versions, &s);
			now = piece_take_frame(v, b);
			for (k = 0; k < s.count; k++) {
				struct looked l;

				piece_put_over(v, &now, &s.found[k]);
				l = expect(v, HURT, 1, "an older version");
				if (l.rc == 0)
					assert_int_equal(l.first_error, b);
				free(s.found[k].was);
				tried++;
			}
			piece_put_back(v, &now);
		}
		moves_expect_whole(v);
	}
	assert_true(tried > 20);
}

/* ---- records -------------------------------------------------------------------- */

struct record_list {
	struct { uint32_t segment, offset, len; } at[200];
	int count;
};

static void list_record(void *ctx, const struct victim_segment *segment,
			const struct victim_record *record)
{
	struct record_list *list = ctx;

	if (list->count == 200)
		return;
	list->at[list->count].segment = segment->segment;
	list->at[list->count].offset = record->offset;
	list->at[list->count++].len = record->bytes;
}

static void list_records(struct victim *v, struct record_list *list)
{
	uint32_t i;

	list->count = 0;
	for (i = 0; i < v->segment_count; i++)
		victim_records(v, &v->segments[i], list_record, list);
	assert_true(list->count > 20);
}

static void test_swapped_records(void **state)
{
	struct record_list list;
	int i, k, tried = 0;

	(void)state;
	EACH_VICTIM(v) {
		list_records(v, &list);
		for (i = 0; i < list.count; i++) {
			for (k = i + 1; k < list.count; k++) {
				struct piece a, b;

				if (list.at[i].len != list.at[k].len ||
				    (i + k) % 7)
					continue;
				a = piece_take(v, list.at[i].segment,
					 list.at[i].offset, list.at[i].len);
				b = piece_take(v, list.at[k].segment,
					 list.at[k].offset, list.at[k].len);
				victim_put(v, a.segment, a.offset, b.was, b.len);
				victim_put(v, b.segment, b.offset, a.was, a.len);
				expect(v, HURT, 8, "two records swapped");
				piece_put_back(v, &a);
				expect(v, HURT, 4, "a record duplicated");
				piece_put_back(v, &b);
				tried++;
			}
		}
		moves_expect_whole(v);
	}
	assert_true(tried > 50);
}

/* Records moved a little, as a card that writes to the wrong place would. */
static void test_moved_records(void **state)
{
	static const int steps[] = { -4096, -8, 8, 512, 4096 };
	struct record_list list;
	unsigned s;
	int i;

	(void)state;
	EACH_VICTIM(v) {
		list_records(v, &list);
		for (i = 0; i < list.count; i++) {
			for (s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
				int64_t to = (int64_t)list.at[i].offset +
					     steps[s];
				struct piece all;

				if (to < 0 || to + list.at[i].len > SEGMENT)
					continue;
				all = piece_take(v, list.at[i].segment, 0, SEGMENT);
				victim_put(v, list.at[i].segment, (uint32_t)to,
					   all.was + list.at[i].offset,
					   list.at[i].len);
				expect(v, HURT, v->sealer.zip ? 100 : 12,
				       "a record moved");
				piece_put_back(v, &all);
			}
		}
		moves_expect_whole(v);
	}
}

/* Where the log ends: old and foreign records behind it are no continuation. */
static void test_appended_records(void **state)
{
	struct victim *v = victims[VICTIM_KILLED];
	struct record_list list;
	uint32_t end = 0, last = 0, at;
	struct piece tail;
	int i;

	(void)state;
	list_records(v, &list);
	/* The record with the highest number lies in the segment that has no
	 * index of its own use: the last one that replay came to. */
	for (i = 0; i < list.count; i++) {
		if (list.at[i].segment != v->last_segment)
			continue;
		last = list.at[i].segment;
		end = list.at[i].offset + list.at[i].len;
	}
	assert_true(end != 0);
	tail = piece_take(v, last, end, SEGMENT - end);
	for (i = 0; i < list.count; i++) {
		for (at = end; at <= end + 4096;
		     at = at == end ? (end + 4095) / 4096 * 4096 : at + 8192) {
			struct piece old = piece_take(v, list.at[i].segment,
						list.at[i].offset,
						list.at[i].len);

			if (at + old.len > SEGMENT) {
				free(old.was);
				continue;
			}
			victim_put(v, last, at, old.was, old.len);
			free(old.was);
			expect(v, OPENS, 0, "an old record appended");
			victim_put(v, last, end, tail.was, tail.len);
		}
	}
	piece_put_back(v, &tail);
	moves_expect_whole(v);
}

/* A record in the middle of what was flushed is not the end of the log. */
static void test_damage_in_the_middle(void **state)
{
	struct victim *v = victims[VICTIM_KILLED];
	struct record_list list;
	int i, middle = 0, tail = 0;

	(void)state;
	list_records(v, &list);
	for (i = 0; i < list.count; i++) {
		struct piece p;
		struct looked l;
		int is_last = i + 1 == list.count ||
			      list.at[i + 1].segment != list.at[i].segment;

		if (list.at[i].segment != v->last_segment)
			continue;
		p = piece_take(v, list.at[i].segment, list.at[i].offset,
			 list.at[i].len);
		victim_put(v, p.segment, p.offset, stranger->truth, 16);
		l = expect(v, is_last ? MISSING : DAMAGED, 0,
			   "a record in the last segment damaged");
		middle += l.rc == LBS_EDAMAGED;
		tail += l.rc == LBS_EDATAMISSING;
		piece_put_back(v, &p);
	}
	assert_true(middle >= 1 && tail == 1);
	moves_expect_whole(v);
}

/* ---- segments --------------------------------------------------------------------- */

static void test_swapped_segments(void **state)
{
	uint32_t i, k;

	(void)state;
	EACH_VICTIM(v) {
		for (i = 0; i < v->segment_count; i++) {
			for (k = i + 1; k < v->segment_count; k++) {
				uint32_t lost = v->live[i] + v->live[k];
				struct piece a = piece_take(v, v->segments[i].segment,
						      0, SEGMENT);
				struct piece b = piece_take(v, v->segments[k].segment,
						      0, SEGMENT);

				victim_put(v, a.segment, 0, b.was, SEGMENT);
				victim_put(v, b.segment, 0, a.was, SEGMENT);
				expect(v, HURT, lost, "two segments swapped");
				piece_put_back(v, &a);
				expect(v, HURT, v->live[k],
				       "a segment duplicated");
				piece_put_back(v, &b);
			}
		}
		moves_expect_whole(v);
	}
}

static void zero(struct victim *v, uint32_t segment, uint32_t offset,
		 uint32_t len)
{
	uint8_t *none = sim_alloc(len);

	victim_put(v, segment, offset, none, len);
	free(none);
}

static void test_zeroed(void **state)
{
	uint32_t i, at;

	(void)state;
	EACH_VICTIM(v) {
		for (i = 0; i < v->segment_count; i++) {
			uint32_t s = v->segments[i].segment;
			struct piece all = piece_take(v, s, 0, SEGMENT);

			zero(v, s, 0, SEGMENT);
			expect(v, HURT, v->live[i], "a segment zeroed");
			victim_put(v, s, 0, all.was, SEGMENT);
			for (at = 0; at < SEGMENT; at += 512) {
				zero(v, s, at, 512);
				/* Short frames: more of them in it. */
				expect(v, HURT, v->sealer.zip ? 10 : 2,
				       "a sector zeroed");
				victim_put(v, s, at, all.was + at, 512);
				zero(v, s, at, SEGMENT - at);
				expect(v, HURT, v->live[i],
				       "the end of a segment zeroed");
				victim_put(v, s, at, all.was + at, SEGMENT - at);
			}
			free(all.was);
		}
		moves_expect_whole(v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_swapped_blocks),
		cmocka_unit_test(test_older_versions),
		cmocka_unit_test(test_swapped_records),
		cmocka_unit_test(test_moved_records),
		cmocka_unit_test(test_appended_records),
		cmocka_unit_test(test_damage_in_the_middle),
		cmocka_unit_test(test_swapped_segments),
		cmocka_unit_test(test_zeroed),
	};

	return cmocka_run_group_tests(tests, moves_make, moves_unmake);
}
