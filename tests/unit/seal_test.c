/*
 * seal_test - what lies on the card opens only as what it is, where it is, in
 * the store and the use of a segment that it was sealed for. FORMAT.md section 3.
 */
#include "tests/unit/unit.h"

#include "crypto/secret.h"
#include "tests/unit/ram.h"

#define OFFSET 8192u
#define BLOCKS 3u

static struct ram_log store, other_store;
static uint8_t record[RECORD_HEAD_MAX_BYTES + BLOCKS * FRAME_BYTES];
static struct record_desc desc;

static int
setup(void **state)
{
	uint64_t recno = 7;

	(void)state;
	ram_log_new(&store);
	ram_log_new(&other_store);
	memset(other_store.sealer.store_id, 0x22, STORE_ID_BYTES);
	ram_segment_open(&store, 1, 7);
	ram_segment_open(&other_store, 1, 7);
	desc = (struct record_desc){ .recno = 7, .durable_to = 3,
				     .kind = RECORD_DATA, .extent_count = 2,
				     .frame_count = BLOCKS,
				     .extents = { { 1, 2, 100 }, { 2, 1, 5 } } };
	seal_record(&store.sealer, store.key, OFFSET, &desc, ram_block, &recno,
		    NULL, record);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ram_log_free(&store);
	ram_log_free(&other_store);
	return 0;
}

static const uint8_t *
frame(uint32_t i)
{
	return record + record_frames_at(2) + i * FRAME_BYTES;
}

static uint32_t
frame_offset(uint32_t i)
{
	return OFFSET + record_frames_at(2) + i * FRAME_BYTES;
}

static int
opens(const uint8_t *key, uint32_t offset, uint32_t layer, uint64_t lba,
      const uint8_t *bytes)
{
	uint8_t block[BLOCK_BYTES], *in = exactly(bytes, FRAME_BYTES);
	int rc = open_frame(&store.sealer, key, offset, layer, lba, in,
			    FRAME_BYTES, block);

	free(in);
	return rc == SEAL_OK;
}

static int
head_opens(const uint8_t *key, uint32_t offset, const uint8_t *bytes,
	   uint32_t have, uint32_t room)
{
	uint8_t *in = exactly(bytes, have);
	struct record_prefix p;
	struct record_desc d;
	int rc = open_record_head(&store.sealer, key, offset, in, have, room,
				  &p, &d);

	free(in);
	return rc == SEAL_OK;
}

static void
a_record_opens_as_it_was_sealed(void **state)
{
	struct record_prefix p;
	struct record_desc d = { 0 };
	uint8_t block[BLOCK_BYTES];
	uint64_t recno = 7;

	(void)state;
	assert_int_equal(open_record_head(&store.sealer, store.key, OFFSET,
					  record, sizeof record, 60000, &p, &d),
			 SEAL_OK);
	assert_int_equal(p.record_bytes, record_bytes(2, BLOCKS));
	assert_int_equal(d.recno, 7);
	assert_int_equal(d.durable_to, 3);
	assert_int_equal(d.extent_count, 2);
	assert_int_equal(d.extents[1].layer, 2);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		uint32_t layer = i < 2 ? 1 : 2;
		uint64_t lba = i < 2 ? 100 + i : 5;

		assert_int_equal(open_frame(&store.sealer, store.key,
					    frame_offset(i), layer, lba,
					    frame(i), FRAME_BYTES, block), SEAL_OK);
		assert_memory_equal(block, ram_block(&recno, i), BLOCK_BYTES);
	}
}

static void
a_frame_is_bound_to_its_place_and_block(void **state)
{
	(void)state;
	assert_true(opens(store.key, frame_offset(0), 1, 100, frame(0)));
	/* Moved within its segment. */
	assert_false(opens(store.key, frame_offset(0) + 8, 1, 100, frame(0)));
	assert_false(opens(store.key, frame_offset(1), 1, 100, frame(0)));
	/* Swapped with its neighbour, or taken for another disk's block. */
	assert_false(opens(store.key, frame_offset(0), 1, 101, frame(1)));
	assert_false(opens(store.key, frame_offset(0), 1, 101, frame(0)));
	assert_false(opens(store.key, frame_offset(0), 2, 100, frame(0)));
	/* The same place of another store's segment. */
	assert_false(opens(other_store.key, frame_offset(0), 1, 100, frame(0)));
	/* The same place of another segment, or of a later use of this one. */
	ram_segment_open(&store, 2, 7);
	assert_false(opens(store.key, frame_offset(0), 1, 100, frame(0)));
}

static void
a_record_head_is_bound_to_its_place(void **state)
{
	uint32_t n = sizeof record;

	(void)state;
	assert_true(head_opens(store.key, OFFSET, record, n, n));
	assert_false(head_opens(store.key, OFFSET + 8, record, n, n));
	assert_false(head_opens(other_store.key, OFFSET, record, n, n));
	/* A head that is not all there; a record that leaves its segment. */
	for (uint32_t have = 0; have < record_frames_at(2); have++)
		assert_false(head_opens(store.key, OFFSET, record, have, n));
	assert_true(head_opens(store.key, OFFSET, record, record_frames_at(2),
			       record_bytes(2, BLOCKS)));
	assert_false(head_opens(store.key, OFFSET, record, n,
				record_bytes(2, BLOCKS) - 1));
}

static void
any_changed_bit_of_a_record_is_found_out(void **state)
{
	uint32_t head_bits = record_frames_at(2) * 8;

	(void)state;
	for (uint32_t bit = 0; bit < head_bits; bit++) {
		record[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(head_opens(store.key, OFFSET, record,
					sizeof record, 60000));
		record[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	/* Of a frame each byte, in one drawn bit. */
	for (uint32_t i = 0; i < FRAME_BYTES; i++) {
		uint8_t *p = (uint8_t *)frame(1) + i, old = *p;

		*p ^= (uint8_t)(1u << draw(8));
		assert_false(opens(store.key, frame_offset(1), 1, 101,
				   frame(1)));
		*p = old;
	}
}

static void
the_same_data_never_looks_the_same(void **state)
{
	uint8_t again[sizeof record];
	uint64_t recno = 7;

	(void)state;
	seal_record(&store.sealer, store.key, OFFSET, &desc, ram_block, &recno,
		    NULL, again);
	assert_memory_not_equal(again + 16, record + 16, 8);
	assert_memory_not_equal(again + 24, record + 24, 64);
	assert_memory_not_equal(again + record_frames_at(2) + 8, frame(0) + 8,
				BLOCK_BYTES);
}

/* Sealed by whoever holds the key, and yet nonsense: a bug of another writer
 * must not become a crash of this reader. */
static void
authentic_nonsense_is_refused(void **state)
{
	struct record_desc bad;
	uint64_t recno = 7;

	(void)state;
	bad = desc, bad.durable_to = 7;
	seal_record(&store.sealer, store.key, OFFSET, &bad, ram_block, &recno,
		    NULL, record);
	assert_false(head_opens(store.key, OFFSET, record, sizeof record,
				60000));
	bad = desc, bad.extents[1].layer = 0;
	seal_record(&store.sealer, store.key, OFFSET, &bad, ram_block, &recno,
		    NULL, record);
	assert_false(head_opens(store.key, OFFSET, record, sizeof record,
				60000));
	bad = desc, bad.frame_count = 2;
	seal_record(&store.sealer, store.key, OFFSET, &bad, ram_block, &recno,
		    NULL, record);
	assert_false(head_opens(store.key, OFFSET, record, sizeof record,
				60000));
}

static void
a_header_opens_in_its_segment_and_store_only(void **state)
{
	uint8_t *page = ram_segment(&store, 1), salt[SALT_BYTES];
	struct segment_sealed out;

	(void)state;
	assert_int_equal(open_header(&store.sealer, 1, page, salt, &out),
			 SEAL_OK);
	assert_int_equal(out.first_recno, 7);
	assert_memory_equal(salt, store.salt, SALT_BYTES);
	assert_int_equal(open_header(&store.sealer, 2, page, salt, &out),
			 SEAL_NO);
	assert_int_equal(open_header(&other_store.sealer, 1, page, salt, &out),
			 SEAL_NO);
	for (uint32_t bit = 0;
	     bit < (SEGMENT_PLAIN_BYTES + SEGMENT_SEALED_BYTES + TAG_BYTES) * 8;
	     bit++) {
		page[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(open_header(&store.sealer, 1, page, salt, &out),
				 SEAL_NO);
		page[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void
a_card_slot_tells_its_store_even_to_strangers(void **state)
{
	struct card_sealed in = { .session = 5, .checkpoint = 3 }, out;
	uint8_t slot[CARD_SLOT_BYTES], id[STORE_ID_BYTES];
	int is_card;

	(void)state;
	seal_card(&store.sealer, &in, slot);
	assert_int_equal(open_card(&store.sealer, slot, &is_card, id, &out),
			 SEAL_OK);
	assert_int_equal(out.session, 5);
	assert_int_equal(out.checkpoint, 3);
	assert_int_equal(open_card(&other_store.sealer, slot, &is_card, id,
				   &out), SEAL_NO);
	assert_true(is_card);
	assert_memory_equal(id, store.sealer.store_id, STORE_ID_BYTES);
	for (uint32_t bit = 0;
	     bit < (CARD_PLAIN_BYTES + CARD_SEALED_BYTES + TAG_BYTES) * 8;
	     bit++) {
		slot[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(open_card(&store.sealer, slot, &is_card, id,
					   &out), SEAL_NO);
		slot[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	memset(slot, 0, sizeof slot);
	assert_int_equal(open_card(&store.sealer, slot, &is_card, id, &out),
			 SEAL_NO);
	assert_false(is_card);
}

static void
an_index_is_bound_to_its_segment_and_trailer(void **state)
{
	uint8_t *end, plain[4096];
	uint32_t n, sealed;

	(void)state;
	ram_append(&store, 10, 2);
	ram_append(&store, 20, 0);
	ram_segment_close(&store, 3);
	n = index_bytes(store.entries);
	sealed = n + TAG_BYTES;
	end = ram_segment(&store, 1) + RAM_SEGMENT_BYTES;
#define INDEX_OPENS(key, len) \
	(open_index(&store.sealer, key, end - TRAILER_BYTES, \
		    end - TRAILER_BYTES - sealed, len, plain) == SEAL_OK)
	assert_true(INDEX_OPENS(store.key, sealed));
	assert_memory_equal(plain, store.index, n);
	assert_false(INDEX_OPENS(other_store.key, sealed));
	assert_false(INDEX_OPENS(store.key, sealed - INDEX_ENTRY_BYTES));
	for (uint32_t bit = 0; bit < (sealed + TRAILER_BYTES) * 8; bit++) {
		uint8_t *p = end - TRAILER_BYTES - sealed + bit / 8;

		*p ^= (uint8_t)(1u << bit % 8);
		assert_false(INDEX_OPENS(store.key, sealed));
		*p ^= (uint8_t)(1u << bit % 8);
	}
}

int
main(int argc, char **argv)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_record_opens_as_it_was_sealed),
		STORY(a_frame_is_bound_to_its_place_and_block),
		STORY(a_record_head_is_bound_to_its_place),
		STORY(any_changed_bit_of_a_record_is_found_out),
		STORY(the_same_data_never_looks_the_same),
		STORY(authentic_nonsense_is_refused),
		STORY(a_header_opens_in_its_segment_and_store_only),
		STORY(a_card_slot_tells_its_store_even_to_strangers),
		STORY(an_index_is_bound_to_its_segment_and_trailer),
	};

	unit_seed(argc, argv);
	if (secret_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
