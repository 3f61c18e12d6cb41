/*
 * scan_test - reading a segment back: every record is found, in order, with its
 * data; what is torn, damaged, foreign or garbage ends the scan and nothing
 * else. The scanner is an attacker's first door: it must be total.
 */
#include "tests/unit/unit.h"

#include "crypto/secret.h"
#include "lbs.h"
#include "tests/unit/ram.h"

#define FIRST 100u /* record number */

static struct ram_log log_;

/* Segment 1: data, a hole, data on a fresh page, data; then closed. */
static int
setup(void **state)
{
	(void)state;
	ram_log_new(&log_);
	ram_segment_open(&log_, 1, FIRST);
	ram_append(&log_, 10, 2);
	ram_append(&log_, 500, 0);
	ram_fresh_page(&log_);
	ram_append(&log_, 20, 1);
	ram_append(&log_, 30, 4);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ram_log_free(&log_);
	return 0;
}

/* Scans segment 1 from its first record: how many records it finds. */
static uint32_t
scan(int *result)
{
	struct record_desc desc;
	struct scanner sc;
	uint32_t n = 0, offset;

	assert_int_equal(scanner_begin(&sc, &log_.src, 1, log_.key,
				       SEGMENT_HEADER_BYTES), 0);
	while ((*result = scanner_next(&sc, FIRST + n, &desc, &offset)) ==
	       SCAN_OK) {
		assert_int_equal(desc.recno, FIRST + n);
		assert_int_equal(offset, log_.at[n]);
		n++;
	}
	scanner_end(&sc);
	return n;
}

static void
records_are_found_in_order_over_page_gaps(void **state)
{
	int rc;

	(void)state;
	assert_int_equal(scan(&rc), 4);
	assert_int_equal(rc, SCAN_NONE);
	assert_true(log_.src.bytes_read <= 2 * RAM_SEGMENT_BYTES);
}

static void
a_record_with_another_number_is_not_the_next(void **state)
{
	struct record_desc desc;
	struct scanner sc;
	uint32_t offset;

	(void)state;
	assert_int_equal(scanner_begin(&sc, &log_.src, 1, log_.key,
				       SEGMENT_HEADER_BYTES), 0);
	assert_int_equal(scanner_next(&sc, FIRST + 1, &desc, &offset),
			 SCAN_NONE);
	/* The cursor did not move; any number will do if none is asked for. */
	assert_int_equal(scanner_next(&sc, 0, &desc, &offset), SCAN_OK);
	assert_int_equal(desc.recno, FIRST);
	scanner_end(&sc);
}

static void
a_record_gives_its_data(void **state)
{
	uint16_t stored[RECORD_BLOCKS_MAX];
	struct scan_blocks out = { malloc(RECORD_BLOCKS_MAX * BLOCK_BYTES),
				   stored };
	struct record_desc desc;

	(void)state;
	assert_int_equal(scan_record(&log_.src, 1, log_.key, log_.at[3], &desc,
				     &out), SCAN_OK);
	assert_int_equal(desc.frame_count, 4);
	for (uint32_t i = 0; i < 4; i++)
		assert_memory_equal(out.at + i * BLOCK_BYTES,
				    ram_block(&desc.recno, i), BLOCK_BYTES);
	/* There is none between, in the header, or behind the end. */
	assert_int_equal(scan_record(&log_.src, 1, log_.key, log_.at[3] + 8,
				     &desc, &out), SCAN_NONE);
	assert_int_equal(scan_record(&log_.src, 1, log_.key, 0, &desc, &out),
			 SCAN_NONE);
	assert_int_equal(scan_record(&log_.src, 1, log_.key, RAM_SEGMENT_BYTES,
				     &desc, &out), SCAN_NONE);
	assert_int_equal(scan_record(&log_.src, 1, log_.key, UINT32_MAX - 7,
				     &desc, &out), SCAN_NONE);
	free(out.at);
}

static void
header_and_index_are_read_back(void **state)
{
	struct segment_sealed header;
	struct index_entry *entries;
	struct index_head head;
	uint8_t salt[SALT_BYTES];

	(void)state;
	assert_int_equal(scan_header(&log_.src, 1, salt, &header), SCAN_OK);
	assert_int_equal(header.first_recno, FIRST);
	assert_int_equal(scan_header(&log_.src, 2, salt, &header), SCAN_NONE);

	assert_int_equal(scan_index(&log_.src, 1, log_.key, &head, &entries),
			 SCAN_NONE); /* not closed yet */
	assert_null(entries);
	ram_segment_close(&log_, 2);
	assert_int_equal(scan_index(&log_.src, 1, log_.key, &head, &entries),
			 SCAN_OK);
	assert_int_equal(head.entry_count, 4);
	assert_int_equal(head.last_recno, FIRST + 3);
	assert_int_equal(entries[1].kind, RECORD_UNMAP);
	assert_int_equal(entries[2].extent.lba, 20);
	assert_int_equal(entries[2].offset, log_.at[2] + record_frames_at(1));
	free(entries);
	/* Named by an index, but not a segment of this store. */
	ram_segment_close(&log_, RAM_SEGMENTS);
	assert_int_equal(scan_index(&log_.src, 1, log_.key, &head, &entries),
			 SCAN_NONE);
}

/* Which record holds the byte; 4 if none does. */
static uint32_t
record_with(uint32_t at)
{
	static const uint32_t frames[] = { 2, 0, 1, 4 };

	for (uint32_t i = 0; i < 4; i++)
		if (at >= log_.at[i] &&
		    at < log_.at[i] + record_bytes(1, frames[i]))
			return i;
	return 4;
}

static void
damage_ends_the_scan_at_the_damaged_record(void **state)
{
	uint8_t *segment = ram_segment(&log_, 1);
	int rc;

	(void)state;
	for (int i = 0; i < 300; i++) {
		uint32_t at = (uint32_t)draw_between(SEGMENT_HEADER_BYTES,
						     log_.cursor - 1);
		uint8_t old = segment[at];

		segment[at] ^= (uint8_t)(1u << draw(8));
		assert_int_equal(scan(&rc), record_with(at));
		assert_int_equal(rc, SCAN_NONE);
		segment[at] = old;
	}
}

static void
a_torn_tail_ends_the_scan(void **state)
{
	uint32_t left = 4;
	int rc;

	(void)state;
	/* Sectors from some place on never reached the card. */
	for (uint32_t at = log_.cursor / 512 * 512; at >= SEGMENT_HEADER_BYTES;
	     at -= 512) {
		memset(ram_segment(&log_, 1) + at, 0, 512);
		for (uint32_t b = at; b < at + 512; b++)
			if (record_with(b) < left)
				left = record_with(b);
		assert_int_equal(scan(&rc), left);
		assert_int_equal(rc, SCAN_NONE);
	}
	assert_int_equal(scan(&rc), 0);
}

static void
a_short_file_or_a_failing_card_is_told_apart(void **state)
{
	struct segment_sealed header;
	uint8_t salt[SALT_BYTES];
	int rc;

	(void)state;
	log_.card.len = RAM_SEGMENT_BYTES + 100;
	assert_int_equal(scan(&rc), 0);
	assert_int_equal(rc, SCAN_NONE);
	assert_int_equal(scan_header(&log_.src, 1, salt, &header), SCAN_NONE);
	log_.card.error = -EIO;
	assert_int_equal(scan(&rc), 0);
	assert_int_equal(rc, LBS_EIO);
	assert_int_equal(scan_header(&log_.src, 1, salt, &header), LBS_EIO);
}

/* What follows damage proves that it was not the end of the log. */
static void
evidence_is_found_behind_damage(void **state)
{
	struct record_desc desc;
	struct scanner sc;
	uint32_t offset;
	int rc;

	(void)state;
	memset(ram_segment(&log_, 1) + log_.at[1], 0xff, 64);
	assert_int_equal(scan(&rc), 1);
	assert_int_equal(scanner_begin(&sc, &log_.src, 1, log_.key, log_.at[1]),
			 0);
	assert_int_equal(scanner_search(&sc, FIRST + 2, &desc, &offset),
			 SCAN_OK);
	assert_int_equal(desc.recno, FIRST + 2);
	assert_int_equal(offset, log_.at[2]);
	assert_int_equal(scanner_search(&sc, FIRST + 4, &desc, &offset),
			 SCAN_NONE);
	scanner_end(&sc);
}

static void
a_segment_of_another_use_holds_nothing(void **state)
{
	uint8_t key[AEAD_KEY_BYTES];
	int rc;

	(void)state;
	/* The same bytes under the key of the segment's next use. */
	memcpy(key, log_.key, sizeof key);
	log_.salt[0] ^= 1;
	kdf_segment_key(log_.data_key, log_.sealer.store_id, 1, log_.salt,
			log_.key);
	assert_int_equal(scan(&rc), 0);
	/* The same bytes in another segment's place. */
	memcpy(log_.key, key, sizeof key);
	memcpy(ram_segment(&log_, 2), ram_segment(&log_, 1), RAM_SEGMENT_BYTES);
	struct segment_sealed header;
	uint8_t salt[SALT_BYTES];

	assert_int_equal(scan_header(&log_.src, 2, salt, &header), SCAN_NONE);
}

/* Prefixes that look right, with every kind of length, and no key behind them. */
static void
garbage_is_total(void **state)
{
	uint8_t *segment = ram_segment(&log_, 1);
	struct index_entry *entries;
	struct record_desc desc;
	struct index_head head;
	struct scanner sc;
	uint32_t offset;

	(void)state;
	for (int i = 0; i < 60; i++) {
		draw_bytes(segment, RAM_SEGMENT_BYTES);
		for (uint32_t at = SEGMENT_HEADER_BYTES;
		     at < RAM_SEGMENT_BYTES; at += 8 * (1 + (uint32_t)draw(64))) {
			struct record_prefix p = {
				.record_bytes = record_bytes(
					1, (uint32_t)draw_between(0, 600)),
				.desc_bytes = (uint16_t)record_desc_bytes(
					(uint32_t)draw_between(0, 70)),
			};
			struct trailer t = { .index_bytes = (uint32_t)
						     draw_between(0, 66000) };

			if (at + 64 < RAM_SEGMENT_BYTES)
				record_prefix_encode(&p, segment + at);
			trailer_encode(&t, segment + RAM_SEGMENT_BYTES -
						   TRAILER_BYTES);
		}
		assert_int_equal(scanner_begin(&sc, &log_.src, 1, log_.key,
					       SEGMENT_HEADER_BYTES), 0);
		assert_int_equal(scanner_next(&sc, 0, &desc, &offset),
				 SCAN_NONE);
		assert_int_equal(scanner_search(&sc, 0, &desc, &offset),
				 SCAN_NONE);
		scanner_end(&sc);
		assert_int_equal(scan_index(&log_.src, 1, log_.key, &head,
					    &entries), SCAN_NONE);
	}
}

int
main(int argc, char **argv)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(records_are_found_in_order_over_page_gaps),
		STORY(a_record_with_another_number_is_not_the_next),
		STORY(a_record_gives_its_data),
		STORY(header_and_index_are_read_back),
		STORY(damage_ends_the_scan_at_the_damaged_record),
		STORY(a_torn_tail_ends_the_scan),
		STORY(a_short_file_or_a_failing_card_is_told_apart),
		STORY(evidence_is_found_behind_damage),
		STORY(a_segment_of_another_use_holds_nothing),
		STORY(garbage_is_total),
	};

	unit_seed(argc, argv);
	if (secret_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
