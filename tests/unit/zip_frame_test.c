/*
 * zip_frame_test - frames in a store with compression: as long as they say, bound to
 * what they say, found one behind the other. FORMAT.md section 6.1.
 */
#include "tests/unit/unit.h"

#include "crypto/secret.h"
#include "tests/unit/ram.h"

#define OFFSET 8192u
#define BLOCKS 3u
#define FIRST 100u

static struct ram_log store;
static uint8_t record[RECORD_HEAD_MAX_BYTES + BLOCKS * ZIP_FRAME_BYTES_MAX];
static uint32_t record_len;
static struct record_desc desc;
static uint8_t blocks[BLOCKS][BLOCK_BYTES];
static uint32_t at[BLOCKS], len[BLOCKS]; /* of each frame, in the record */

static const uint8_t *
block_of(void *ctx, uint32_t i)
{
	(void)ctx;
	return blocks[i];
}

/* One that compresses, one that does not, one that nearly vanishes. */
static int
setup(void **state)
{
	uint32_t next = record_frames_at(1);

	(void)state;
	ram_log_new(&store);
	store.sealer.zip = zip_new(draw(2) ? ZIP_LZ4 : ZIP_ZSTD);
	ram_segment_open(&store, 1, 7);
	memset(blocks, 0x61, sizeof blocks);
	draw_bytes(blocks[0], 1500);
	draw_bytes(blocks[1], BLOCK_BYTES);
	desc = (struct record_desc){ .recno = 7, .durable_to = 3,
				     .kind = RECORD_DATA, .extent_count = 1,
				     .frame_count = BLOCKS,
				     .extents = { { 1, BLOCKS, 50 } } };
	record_len = seal_record(&store.sealer, store.key, OFFSET, &desc,
				 block_of, NULL, NULL, record);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		at[i] = next;
		len[i] = frame_bytes(1, get16(record + next + 8));
		next += len[i];
	}
	assert_int_equal(next, record_len);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	zip_free(store.sealer.zip);
	ram_log_free(&store);
	return 0;
}

static int
opens(uint32_t offset, uint64_t lba, const uint8_t *frame, uint32_t have,
      uint8_t block[BLOCK_BYTES])
{
	uint8_t *in = exactly(frame, have);
	int rc = open_frame(&store.sealer, store.key, offset, 1, lba, in, have,
			    block);

	free(in);
	return rc == SEAL_OK;
}

static void
each_frame_is_as_long_as_its_block_needs(void **state)
{
	uint8_t block[BLOCK_BYTES];

	(void)state;
	assert_in_range(len[0], 1500, 1700);
	assert_int_equal(len[1], ZIP_FRAME_BYTES_MAX);
	assert_in_range(len[2], ZIP_FRAME_BYTES_MIN, 72);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		assert_true(opens(OFFSET + at[i], 50 + i, record + at[i], len[i],
				  block));
		assert_memory_equal(block, blocks[i], BLOCK_BYTES);
		/* More bytes than it has do no harm, fewer do. */
		assert_true(opens(OFFSET + at[i], 50 + i, record + at[i],
				  record_len - at[i], block));
		assert_false(opens(OFFSET + at[i], 50 + i, record + at[i],
				   len[i] - 8, block));
		assert_false(opens(OFFSET + at[i], 50 + i, record + at[i],
				   (uint32_t)draw(27), block));
	}
}

static void
any_changed_byte_but_padding_is_found_out(void **state)
{
	uint8_t block[BLOCK_BYTES];

	(void)state;
	for (uint32_t i = 0; i < BLOCKS; i++) {
		uint32_t used = 26u + get16(record + at[i] + 8);

		for (uint32_t k = 0; k < len[i]; k++) {
			uint8_t *p = record + at[i] + k, old = *p;

			*p ^= (uint8_t)(1u << draw(8));
			assert_int_equal(opens(OFFSET + at[i], 50 + i,
					       record + at[i], record_len - at[i],
					       block), k >= used);
			*p = old;
		}
		assert_false(opens(OFFSET + at[i] + 8, 50 + i, record + at[i],
				   len[i], block));
		assert_false(opens(OFFSET + at[i], 51 + i, record + at[i],
				   len[i], block));
	}
}

/* What only the holder of the key could make: it must not open, nor harm. */
static void
authentic_nonsense_does_not_expand(void **state)
{
	uint8_t out[RECORD_HEAD_MAX_BYTES + ZIP_FRAME_BYTES_MAX];
	uint8_t block[BLOCK_BYTES];
	struct record_desc one = desc;
	int opened = 0;

	(void)state;
	one.frame_count = one.extents[0].count_blocks = 1;
	for (int i = 0; i < 300; i++) {
		uint16_t n = (uint16_t)draw_between(1, BLOCK_BYTES - 1);

		draw_bytes(out + at[0] + 10, n);
		seal_record(&store.sealer, store.key, OFFSET, &one, NULL, NULL,
			    &n, out);
		opened += opens(OFFSET + at[0], 50, out + at[0],
				frame_bytes(1, n), block);
	}
	/* Chance may hit the length, once in some thousand runs of this. */
	assert_in_range(opened, 0, 1);
}

static void
as_it_is_stored_it_can_be_sealed_elsewhere(void **state)
{
	static uint8_t out[sizeof record];
	uint8_t block[BLOCK_BYTES];
	uint16_t stored[BLOCKS];

	(void)state;
	for (uint32_t i = 0; i < BLOCKS; i++)
		assert_int_equal(open_stored(&store.sealer, store.key,
					     OFFSET + at[i], 1, 50 + i,
					     record + at[i], len[i],
					     out + at[i] + 10, &stored[i]),
				 SEAL_OK);
	assert_int_equal(seal_record(&store.sealer, store.key, 2 * OFFSET, &desc,
				     NULL, NULL, stored, out), record_len);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		assert_true(opens(2 * OFFSET + at[i], 50 + i, out + at[i], len[i],
				  block));
		assert_memory_equal(block, blocks[i], BLOCK_BYTES);
		assert_false(opens(OFFSET + at[i], 50 + i, out + at[i], len[i],
				   block));
	}
}

static void
a_scan_tells_where_each_frame_is(void **state)
{
	struct record_desc d;
	struct scanner sc;
	uint32_t offset, place;

	(void)state;
	memcpy(ram_segment(&store, 1) + OFFSET, record, record_len);
	assert_int_equal(scanner_begin(&sc, &store.src, 1, store.key, OFFSET), 0);
	assert_int_equal(scanner_next(&sc, 7, &d, &offset), SCAN_OK);
	assert_int_equal(offset, OFFSET);
	assert_int_equal(sc.cursor, OFFSET + record_len);
	assert_int_equal(sc.entry_count, BLOCKS);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		place = OFFSET + at[i];
		assert_int_equal(sc.entries[i].offset, place);
		assert_int_equal(sc.entries[i].extent.count_blocks, 1);
		assert_int_equal(sc.entries[i].extent.lba, 50 + i);
		assert_int_equal(sc.entries[i].flags,
				 i + 1 < BLOCKS ? RECORD_GROUP_CONTINUES : 0);
	}
	assert_int_equal(scanner_next(&sc, 8, &d, &offset), SCAN_NONE);
	scanner_end(&sc);
	/* Damage to any frame, and the record is none. */
	ram_segment(&store, 1)[OFFSET + at[BLOCKS - 1] + 12] ^= 1;
	assert_int_equal(scan_record(&store.src, 1, store.key, OFFSET, &d, NULL),
			 SCAN_NONE);
}

/* A block that cannot expand is lost by itself: the record is whole. */
static void
a_record_is_valid_whatever_its_blocks_expand_to(void **state)
{
	uint16_t stored[BLOCKS] = { 30, 30, 30 };
	struct record_desc d;

	(void)state;
	seal_record(&store.sealer, store.key, OFFSET, &desc, NULL, NULL, stored,
		    ram_segment(&store, 1) + OFFSET);
	assert_int_equal(scan_record(&store.src, 1, store.key, OFFSET, &d, NULL),
			 SCAN_OK);
}

static void
no_record_ends_in_the_last_page(void **state)
{
	uint32_t from, limit = RAM_SEGMENT_BYTES - PAGE_BYTES;
	struct record_desc d;
	uint32_t bytes;

	(void)state;
	for (int over = 0; over < 2; over++) {
		from = limit - record_len + 8 * (uint32_t)over;
		bytes = seal_record(&store.sealer, store.key, from, &desc,
				    block_of, NULL, NULL,
				    ram_segment(&store, 1) + from);
		assert_int_equal(bytes, record_len);
		assert_int_equal(scan_record(&store.src, 1, store.key, from, &d,
					     NULL),
				 over ? SCAN_NONE : SCAN_OK);
	}
}

static void
a_prefix_is_bounded_by_what_frames_can_be(void **state)
{
	uint8_t bytes[RECORD_PREFIX_BYTES];
	struct record_prefix p = { .desc_bytes = (uint16_t)record_desc_bytes(1) };
	uint32_t most = 512 * ZIP_FRAME_BYTES_MAX, head = record_frames_at(1);

	(void)state;
#define DECODES(frames_bytes, room)                                           \
	(p.record_bytes = head + (frames_bytes), record_prefix_encode(&p, bytes), \
	 record_prefix_decode(bytes, room, 1, &p) == 0)
	assert_true(DECODES(0, UINT64_MAX));
	assert_true(DECODES(32, UINT64_MAX));
	assert_false(DECODES(33, UINT64_MAX));
	assert_true(DECODES(most, UINT64_MAX));
	assert_false(DECODES(most + 8, UINT64_MAX));
	assert_true(DECODES(320, head + 320));
	assert_false(DECODES(320, head + 319));
}

int
main(int argc, char **argv)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(each_frame_is_as_long_as_its_block_needs),
		STORY(any_changed_byte_but_padding_is_found_out),
		STORY(authentic_nonsense_does_not_expand),
		STORY(as_it_is_stored_it_can_be_sealed_elsewhere),
		STORY(a_scan_tells_where_each_frame_is),
		STORY(a_record_is_valid_whatever_its_blocks_expand_to),
		STORY(no_record_ends_in_the_last_page),
		STORY(a_prefix_is_bounded_by_what_frames_can_be),
	};

	unit_seed(argc, argv);
	if (secret_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
