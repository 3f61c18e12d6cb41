/*
 * tamper_moves_test.c - authentic bytes where they do not belong: blocks,
 * records, segments and files swapped, duplicated, moved, taken from an older
 * copy of the card or from another store; files cut, zeroed, missing. The guest
 * gets each block right or an error, never old data, and opening gives the
 * verdict that fits (promises 6 and 7).
 * Must leave each victim as it found it.
 */
#include "tests/lab/simimage.h"
#include "tests/lab/victim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEGMENT (64u << 10)
#define CHUNKS 24u	/* of four segments each */

/* Verdicts that may come, as bits. */
#define OPENS (1u << 0)
#define DAMAGED (1u << -LBS_EDAMAGED)
#define MISSING (1u << -LBS_EDATAMISSING)
#define STALE_CARD (1u << -LBS_ESTALECARD)
#define STALE_META (1u << -LBS_ESTALEMETA)
#define OTHER_CARD (1u << -LBS_EOTHERCARD)
#define CARD_MISSING (1u << -LBS_ECARDMISSING)
/* What damage to one place may give. */
#define HURT (OPENS | DAMAGED | MISSING)

/* The third has compression. */
static struct victim *victims[3], *stranger;

static struct looked expect_at(struct victim *v, unsigned verdicts,
			       uint32_t errors_max, const char *what, int line)
{
	struct looked l = victim_look(v);

	if (!(verdicts >> -l.rc & 1) || l.wrong != 0 ||
	    l.errors > errors_max) {
		print_error("%s: opening gave %s; %u blocks gave an error, %u "
			    "were wrong\n", what,
			    l.rc ? lbs_error_word(l.rc) : "a store", l.errors,
			    l.wrong);
		_fail(__FILE__, line);
	}
	return l;
}
#define expect(v, verdicts, errors_max, what) \
	expect_at(v, verdicts, errors_max, what, __LINE__)

static void expect_whole(struct victim *v)
{
	struct looked l = expect(v, OPENS, 0, "put back");

	assert_int_equal(l.rc, 0);
}

/* Runs a test body on all of them. */
#define EACH_VICTIM(v) \
	for (struct victim **at_ = victims, *v; \
	     at_ < victims + 3 && (v = *at_) != NULL; at_++)

struct piece {
	uint32_t segment, offset, len;
	uint8_t *was;
};

static struct piece take(struct victim *v, uint32_t segment, uint32_t offset,
			 uint32_t len)
{
	struct piece p = { segment, offset, len, sim_alloc(len) };

	victim_get(v, segment, offset, p.was, len);
	return p;
}

static void put_back(struct victim *v, struct piece *p)
{
	victim_put(v, p->segment, p->offset, p->was, p->len);
	free(p->was);
}

static struct piece take_frame(struct victim *v, uint32_t block)
{
	uint32_t segment = position_segment(v->positions[block]);
	uint32_t offset = position_offset(v->positions[block]);

	return take(v, segment, offset, victim_frame_bytes(v, segment, offset));
}

/* As much of one piece as fits where another was. */
static void put_over(struct victim *v, const struct piece *there,
		     const struct piece *from)
{
	victim_put(v, there->segment, there->offset, from->was,
		   from->len < there->len ? from->len : there->len);
}

/* Live blocks, as many as wanted, spread over the disk. */
static uint32_t live_blocks(const struct victim *v, uint32_t *blocks,
			    uint32_t max)
{
	uint32_t n = 0, i;

	for (i = 0; i < v->blocks && n < max; i++)
		if (v->positions[i] != 0)
			blocks[n++] = i;
	return n;
}

/* ---- blocks ------------------------------------------------------------------ */

static void test_swapped_blocks(void **state)
{
	uint32_t blocks[100], n, i, k;

	(void)state;
	EACH_VICTIM(v) {
		n = live_blocks(v, blocks, 100);
		assert_true(n > 20);
		for (i = 0; i < n; i++) {
			/* A neighbour, and one from far. */
			for (k = 1; k < n; k += n / 3) {
				struct piece a = take_frame(v, blocks[i]);
				struct piece b = take_frame(v,
					blocks[(i + k) % n]);
				struct looked l;

				put_over(v, &a, &b);
				put_over(v, &b, &a);
				l = expect(v, HURT, 2, "two blocks swapped");
				if (l.rc == 0)
					assert_int_equal(l.errors, 2);
				put_back(v, &a);
				/* Now one of them is there twice. */
				a = take_frame(v, blocks[i]);
				l = expect(v, HURT, 1, "a block duplicated");
				if (l.rc == 0)
					assert_int_equal(l.errors, 1);
				put_back(v, &a);
				put_back(v, &b);
			}
		}
		expect_whole(v);
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
			s->found[s->count++] = take(s->v, n, at,
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
			now = take_frame(v, b);
			for (k = 0; k < s.count; k++) {
				struct looked l;

				put_over(v, &now, &s.found[k]);
				l = expect(v, HURT, 1, "an older version");
				if (l.rc == 0)
					assert_int_equal(l.first_error, b);
				free(s.found[k].was);
				tried++;
			}
			put_back(v, &now);
		}
		expect_whole(v);
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
				a = take(v, list.at[i].segment,
					 list.at[i].offset, list.at[i].len);
				b = take(v, list.at[k].segment,
					 list.at[k].offset, list.at[k].len);
				victim_put(v, a.segment, a.offset, b.was, b.len);
				victim_put(v, b.segment, b.offset, a.was, a.len);
				expect(v, HURT, 8, "two records swapped");
				put_back(v, &a);
				expect(v, HURT, 4, "a record duplicated");
				put_back(v, &b);
				tried++;
			}
		}
		expect_whole(v);
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
				all = take(v, list.at[i].segment, 0, SEGMENT);
				victim_put(v, list.at[i].segment, (uint32_t)to,
					   all.was + list.at[i].offset,
					   list.at[i].len);
				expect(v, HURT, v->sealer.zip ? 100 : 12,
				       "a record moved");
				put_back(v, &all);
			}
		}
		expect_whole(v);
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
	tail = take(v, last, end, SEGMENT - end);
	for (i = 0; i < list.count; i++) {
		for (at = end; at <= end + 4096;
		     at = at == end ? (end + 4095) / 4096 * 4096 : at + 8192) {
			struct piece old = take(v, list.at[i].segment,
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
	put_back(v, &tail);
	expect_whole(v);
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
		p = take(v, list.at[i].segment, list.at[i].offset,
			 list.at[i].len);
		victim_put(v, p.segment, p.offset, stranger->truth, 16);
		l = expect(v, is_last ? MISSING : DAMAGED, 0,
			   "a record in the last segment damaged");
		middle += l.rc == LBS_EDAMAGED;
		tail += l.rc == LBS_EDATAMISSING;
		put_back(v, &p);
	}
	assert_true(middle >= 1 && tail == 1);
	expect_whole(v);
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
				struct piece a = take(v, v->segments[i].segment,
						      0, SEGMENT);
				struct piece b = take(v, v->segments[k].segment,
						      0, SEGMENT);

				victim_put(v, a.segment, 0, b.was, SEGMENT);
				victim_put(v, b.segment, 0, a.was, SEGMENT);
				expect(v, HURT, lost, "two segments swapped");
				put_back(v, &a);
				expect(v, HURT, v->live[k],
				       "a segment duplicated");
				put_back(v, &b);
			}
		}
		expect_whole(v);
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
			struct piece all = take(v, s, 0, SEGMENT);

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
		expect_whole(v);
	}
}

/* ---- an older copy of the card ------------------------------------------------------ */

/* What a copy of the card holds of a file; 0 if it has so much of it. */
static int peek_copy(const struct sim_copy *copy, const char *name, void *buf,
		     size_t len, uint64_t at)
{
	struct simdisk *past = simdisk_new();
	int rc;

	simdisk_restore(past, copy);
	rc = simdisk_peek(past, SIM_CARD, name, buf, len, at);
	simdisk_free(past);
	return rc;
}

static void peek_old(struct victim *v, uint32_t old, uint32_t segment,
		     uint8_t *buf)
{
	char name[MEDIUM_NAME_BYTES];
	uint64_t at;

	victim_where(v, segment, name, &at);
	assert_int_equal(peek_copy(v->old[old], name, buf, SEGMENT, at), 0);
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
				struct piece now = take(v, s, 0, SEGMENT);

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
		expect_whole(v);
	}
	assert_true(differing > 10 && older_use > 4);
}

static uint32_t live_in_chunk(const struct victim *v, uint32_t chunk)
{
	uint32_t n = 0, i;

	for (i = 0; i < v->segment_count; i++)
		if (geometry_chunk(&v->geometry, v->segments[i].segment) == chunk)
			n += v->live[i];
	return n;
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
				if (peek_copy(v->old[old], name, was,
					      4 * SEGMENT, 0) == 0) {
					simdisk_poke(v->w->disk, SIM_CARD, name,
						     was, 4 * SEGMENT, 0);
					expect(v, HURT | STALE_CARD,
					       live_in_chunk(v, chunk),
					       "an older chunk file");
					replaced++;
				}
				simdisk_restore(v->w->disk, now);
				free(was);
			}
			simdisk_restore(v->w->disk, v->old[old]);
			expect(v, STALE_CARD | MISSING, 0, "an older card");
			/* All of it but the card file, which is newest. */
			assert_int_equal(peek_copy(now, "card.lbs", slots,
						   sizeof(slots), 0), 0);
			simdisk_poke(v->w->disk, SIM_CARD, "card.lbs", slots,
				     sizeof(slots), 0);
			expect(v, STALE_CARD | MISSING, 0,
			       "an older card with the newest card file");
			/* Only the card file is old: nothing is missing. */
			simdisk_restore(v->w->disk, now);
			assert_int_equal(peek_copy(v->old[old], "card.lbs",
						   slots, sizeof(slots), 0), 0);
			simdisk_poke(v->w->disk, SIM_CARD, "card.lbs", slots,
				     sizeof(slots), 0);
			expect(v, OPENS, 0, "an older card file");
			simdisk_restore(v->w->disk, now);
		}
		assert_true(replaced > 4);
		sim_copy_free(now);
		expect_whole(v);
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
		if (peek_copy(copy, name, buf, 4 * SEGMENT, 0) == 0)
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
		expect_whole(v);
	}
	assert_true(errors > 20);
}

/* ---- another store's ------------------------------------------------------------------ */

static void test_foreign_pieces(void **state)
{
	uint8_t *foreign = sim_alloc(SEGMENT);
	uint32_t blocks[100], theirs[100], n, m, i;

	(void)state;
	m = live_blocks(stranger, theirs, 100);
	EACH_VICTIM(v) {
		for (i = 0; i < v->segment_count; i++) {
			struct piece now = take(v, v->segments[i].segment, 0,
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
			put_back(v, &now);
		}
		n = live_blocks(v, blocks, 100);
		for (i = 0; i < n; i++) {
			struct piece now = take_frame(v, blocks[i]);
			struct piece other = take_frame(stranger, theirs[i % m]);
			struct looked l;

			put_over(v, &now, &other);
			l = expect(v, HURT, 1, "a foreign block");
			if (l.rc == 0)
				assert_int_equal(l.errors, 1);
			free(other.was);
			put_back(v, &now);
		}
		expect_whole(v);
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
		expect_whole(v);
	}
}

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
		expect_whole(v);
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
			for (b = 0; b < chunks && live_in_chunk(v, a); b++) {
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
				l = expect(v, HURT, live_in_chunk(v, a) +
					   live_in_chunk(v, b),
					   "two chunk files swapped");
				lost += l.rc != 0 || l.errors != 0;
				simdisk_restore(v->w->disk, now);
			}
		}
		sim_copy_free(now);
		expect_whole(v);
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
		peek_copy(before, name, was, 4 * SEGMENT, 0);
		peek_copy(after, name, now, 4 * SEGMENT, 0);
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

/* ---- the whole ------------------------------------------------------------------------------ */

static int make(void **state)
{
	(void)state;
	victims[VICTIM_CLOSED] = victim_new(VICTIM_CLOSED, 5);
	victims[VICTIM_KILLED] = victim_new(VICTIM_KILLED, 6);
	victims[2] = victim_new_zip(VICTIM_KILLED, 8, LBS_COMPRESS_LZ4);
	stranger = victim_new(VICTIM_KILLED, 7);
	return 0;
}

static int unmake(void **state)
{
	(void)state;
	victim_free(victims[0]);
	victim_free(victims[1]);
	victim_free(victims[2]);
	victim_free(stranger);
	return 0;
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
		cmocka_unit_test(test_replayed_pieces),
		cmocka_unit_test(test_replayed_files),
		cmocka_unit_test(test_replayed_while_open),
		cmocka_unit_test(test_foreign_pieces),
		cmocka_unit_test(test_foreign_files),
		cmocka_unit_test(test_cut_files),
		cmocka_unit_test(test_swapped_files),
		cmocka_unit_test(test_damaged_tail),
	};

	return cmocka_run_group_tests(tests, make, unmake);
}
