/*
 * format_test - the codecs of the card's structures: what is encoded decodes to
 * the same, nothing decodes that its encoder would not have written, and no
 * input of any kind does more than be refused. FORMAT.md sections 4 to 7.
 */
#include "tests/unit/unit.h"

#include "liblbs/format/bytes.h"
#include "liblbs/format/card.h"
#include "liblbs/format/index.h"
#include "liblbs/format/record.h"
#include "liblbs/format/segment.h"

#define ROOM (1u << 22) /* of the segment behind a record, or its size */
#define BYTES_MAX (DESC_FIXED_BYTES + RECORD_EXTENTS_MAX * EXTENT_BYTES)

/* ---- a valid value of each kind, drawn ---------------------------------- */

static struct extent
draw_extent(uint32_t blocks_max)
{
	struct extent e = { .layer = (uint32_t)draw_between(1, LAYER_MAX),
			    .count_blocks = (uint32_t)draw_between(1, blocks_max),
			    .lba = draw_between(0, LBA_MAX) };

	if (e.lba + e.count_blocks > LBA_MAX + 1)
		e.lba = LBA_MAX + 1 - e.count_blocks;
	return e;
}

static struct record_desc
draw_desc(void)
{
	struct record_desc d = { .recno = draw_between(1, UINT64_MAX),
				 .checkpoint = draw64(),
				 .kind = draw(2) ? RECORD_DATA : RECORD_UNMAP,
				 .flags = draw(2) ? RECORD_GROUP_CONTINUES : 0 };

	d.durable_to = draw_between(0, d.recno - 1);
	d.extent_count = (uint16_t)draw_between(1, RECORD_EXTENTS_MAX);
	for (uint32_t i = 0; i < d.extent_count; i++) {
		d.extents[i] = draw_extent(
			d.kind == RECORD_DATA
				? RECORD_BLOCKS_MAX / d.extent_count
				: UINT32_MAX);
		if (d.kind == RECORD_DATA)
			d.frame_count += d.extents[i].count_blocks;
	}
	return d;
}

static struct record_prefix
prefix_of(const struct record_desc *d)
{
	struct record_prefix p = {
		.record_bytes = record_bytes(d->extent_count, d->frame_count),
		.desc_bytes = (uint16_t)record_desc_bytes(d->extent_count),
	};

	draw_bytes(p.random, sizeof p.random);
	return p;
}

static struct trailer
draw_trailer(void)
{
	uint32_t most = (ROOM - SEGMENT_HEADER_BYTES - index_tail_bytes(0)) /
			INDEX_ENTRY_BYTES;
	struct trailer t = {
		.index_bytes = index_bytes((uint32_t)draw_between(0, most))
	};

	draw_bytes(t.random, sizeof t.random);
	return t;
}

#define HEAD_ENTRIES 7u

static struct index_head
draw_head(void)
{
	struct index_head h = { .segment = (uint32_t)draw64(),
				.stream = (uint32_t)draw(2),
				.serial = draw64(),
				.first_recno = draw_between(1, UINT64_MAX / 2),
				.next_segment = (uint32_t)draw64(),
				.entry_count = HEAD_ENTRIES };

	h.last_recno = h.first_recno - 1 + draw(100);
	draw_bytes(h.next_salt, SALT_BYTES);
	return h;
}

static struct index_entry
draw_entry(void)
{
	struct index_entry e = { .kind = draw(2) ? RECORD_DATA : RECORD_UNMAP,
				 .flags = draw(2) ? RECORD_GROUP_CONTINUES : 0 };
	uint32_t frames;

	e.extent = draw_extent(e.kind == RECORD_DATA ? RECORD_BLOCKS_MAX
						     : UINT32_MAX);
	frames = e.kind == RECORD_DATA ? e.extent.count_blocks : 0;
	e.offset = (uint32_t)draw_between(SEGMENT_HEADER_BYTES / POSITION_UNIT,
					  (ROOM - frames * FRAME_BYTES) /
							  POSITION_UNIT -
						  1) * POSITION_UNIT;
	return e;
}

/* ---- each codec behind one face ----------------------------------------- */

/* make: encodes a drawn valid value, gives its length. again: decodes len bytes
 * and encodes the result into out; -1 if refused. */
struct codec {
	const char *name;
	size_t (*make)(uint8_t *out);
	int (*again)(const uint8_t *in, size_t len, uint8_t *out);
};

static size_t
make_card_plain(uint8_t *out)
{
	struct card_plain v;

	draw_bytes(&v, sizeof v);
	card_plain_encode(&v, out);
	return CARD_PLAIN_BYTES;
}

static int
again_card_plain(const uint8_t *in, size_t len, uint8_t *out)
{
	struct card_plain v;

	if (len != CARD_PLAIN_BYTES || card_plain_decode(in, &v))
		return -1;
	card_plain_encode(&v, out);
	return 0;
}

static size_t
make_card_sealed(uint8_t *out)
{
	struct card_sealed v;

	draw_bytes(&v, sizeof v);
	v.session %= SESSION_MAX + 1ull;
	v.begun %= SESSION_MAX + 1ull;
	card_sealed_encode(&v, out);
	return CARD_SEALED_BYTES;
}

static int
again_card_sealed(const uint8_t *in, size_t len, uint8_t *out)
{
	struct card_sealed v;

	if (len != CARD_SEALED_BYTES || card_sealed_decode(in, &v))
		return -1;
	card_sealed_encode(&v, out);
	return 0;
}

static size_t
make_segment_plain(uint8_t *out)
{
	struct segment_plain v;

	draw_bytes(&v, sizeof v);
	segment_plain_encode(&v, out);
	return SEGMENT_PLAIN_BYTES;
}

static int
again_segment_plain(const uint8_t *in, size_t len, uint8_t *out)
{
	struct segment_plain v;

	if (len != SEGMENT_PLAIN_BYTES || segment_plain_decode(in, &v))
		return -1;
	segment_plain_encode(&v, out);
	return 0;
}

static size_t
make_segment_sealed(uint8_t *out)
{
	struct segment_sealed v;

	draw_bytes(&v, sizeof v);
	v.stream = draw(2) ? STREAM_LOG : STREAM_CLEANER;
	segment_sealed_encode(&v, out);
	return SEGMENT_SEALED_BYTES;
}

static int
again_segment_sealed(const uint8_t *in, size_t len, uint8_t *out)
{
	struct segment_sealed v;

	if (len != SEGMENT_SEALED_BYTES || segment_sealed_decode(in, &v))
		return -1;
	segment_sealed_encode(&v, out);
	return 0;
}

static size_t
make_prefix(uint8_t *out)
{
	struct record_desc d = draw_desc();
	struct record_prefix v = prefix_of(&d);

	record_prefix_encode(&v, out);
	return RECORD_PREFIX_BYTES;
}

static int
again_prefix(const uint8_t *in, size_t len, uint8_t *out)
{
	struct record_prefix v;

	if (len != RECORD_PREFIX_BYTES || record_prefix_decode(in, ROOM, 0, &v))
		return -1;
	record_prefix_encode(&v, out);
	return 0;
}

/* The prefix that goes with the description in hand. */
static struct record_prefix prefix;

static size_t
make_desc(uint8_t *out)
{
	struct record_desc v = draw_desc();

	prefix = prefix_of(&v);
	record_desc_encode(&v, out);
	return prefix.desc_bytes;
}

static int
again_desc(const uint8_t *in, size_t len, uint8_t *out)
{
	struct record_desc v;

	if (len != prefix.desc_bytes || record_desc_decode(in, &prefix, &v))
		return -1;
	record_desc_encode(&v, out);
	return 0;
}

static size_t
make_trailer(uint8_t *out)
{
	struct trailer v = draw_trailer();

	trailer_encode(&v, out);
	return TRAILER_BYTES;
}

static int
again_trailer(const uint8_t *in, size_t len, uint8_t *out)
{
	struct trailer v;

	if (len != TRAILER_BYTES || trailer_decode(in, ROOM, &v))
		return -1;
	trailer_encode(&v, out);
	return 0;
}

static size_t
make_head(uint8_t *out)
{
	struct index_head v = draw_head();

	index_head_encode(&v, out);
	return INDEX_FIXED_BYTES;
}

static int
again_head(const uint8_t *in, size_t len, uint8_t *out)
{
	struct index_head v;

	/* The entries behind it are not the head's business: len stands for
	 * what the trailer said. */
	if (index_head_decode(in,
			      len == INDEX_FIXED_BYTES
				      ? index_bytes(HEAD_ENTRIES)
				      : (uint32_t)len,
			      &v))
		return -1;
	index_head_encode(&v, out);
	return 0;
}

static size_t
make_entry(uint8_t *out)
{
	struct index_entry v = draw_entry();

	index_entry_encode(&v, out);
	return INDEX_ENTRY_BYTES;
}

static int
again_entry(const uint8_t *in, size_t len, uint8_t *out)
{
	struct index_entry v;

	if (len != INDEX_ENTRY_BYTES || index_entry_decode(in, ROOM, &v))
		return -1;
	index_entry_encode(&v, out);
	return 0;
}

static const struct codec codecs[] = {
	{ "card plain", make_card_plain, again_card_plain },
	{ "card sealed", make_card_sealed, again_card_sealed },
	{ "segment plain", make_segment_plain, again_segment_plain },
	{ "segment sealed", make_segment_sealed, again_segment_sealed },
	{ "record prefix", make_prefix, again_prefix },
	{ "record description", make_desc, again_desc },
	{ "trailer", make_trailer, again_trailer },
	{ "index head", make_head, again_head },
	{ "index entry", make_entry, again_entry },
};

#define EACH_CODEC(c) \
	(const struct codec *c = codecs; \
	 c < codecs + sizeof codecs / sizeof codecs[0]; c++)

/* ---- what holds for all of them ------------------------------------------ */

static void
valid_values_round_trip(void **state)
{
	uint8_t bytes[BYTES_MAX], back[BYTES_MAX];

	(void)state;
	for EACH_CODEC (c)
		for (int i = 0; i < 300; i++) {
			size_t len = c->make(bytes);

			if (c->again(bytes, len, back))
				fail_msg("%s: a valid value is refused", c->name);
			assert_memory_equal(bytes, back, len);
		}
}

/* Refused, or exactly what an encoder would have written: then no two inputs
 * mean the same, and no bit of the input goes unread. */
static int
refused_or_canonical(const struct codec *c, const uint8_t *bytes, size_t len)
{
	uint8_t back[BYTES_MAX], *in = exactly(bytes, len);
	int refused = c->again(in, len, back) != 0;

	if (!refused && memcmp(in, back, len))
		fail_msg("%s: bytes decode that no encoder writes", c->name);
	free(in);
	return refused;
}

static void
every_single_bit_is_read(void **state)
{
	uint8_t bytes[BYTES_MAX];

	(void)state;
	for EACH_CODEC (c) {
		size_t len = c->make(bytes);
		int refused = 0;

		for (size_t bit = 0; bit < len * 8; bit++) {
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
			refused += refused_or_canonical(c, bytes, len);
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		assert_true(refused > 0);
	}
}

static void
garbage_is_refused_or_canonical(void **state)
{
	uint8_t bytes[BYTES_MAX];

	(void)state;
	for EACH_CODEC (c)
		for (int i = 0; i < 2000; i++) {
			size_t len = c->make(bytes);

			/* Noise in one place, so that what stands before it
			 * still leads the decoder there. */
			size_t at = draw(len), n = 1 + draw(len - at);

			draw_bytes(bytes + at, n < 9 || draw(2) ? n : 8);
			refused_or_canonical(c, bytes, len);
		}
}

static void
other_lengths_are_refused(void **state)
{
	uint8_t bytes[BYTES_MAX], back[BYTES_MAX];

	(void)state;
	for EACH_CODEC (c) {
		size_t len = c->make(bytes);

		for (size_t n = 0; n < len; n++) {
			uint8_t *in = exactly(bytes, n);

			assert_int_equal(c->again(in, n, back), -1);
			free(in);
		}
	}
}

/* ---- bounds, one by one --------------------------------------------------- */

static void
a_record_must_fit_where_it_lies(void **state)
{
	uint8_t bytes[RECORD_PREFIX_BYTES];
	struct record_desc d = draw_desc();
	struct record_prefix v = prefix_of(&d), back;

	(void)state;
	record_prefix_encode(&v, bytes);
	assert_int_equal(record_prefix_decode(bytes, v.record_bytes, 0, &back), 0);
	assert_int_equal(record_prefix_decode(bytes, v.record_bytes - 1, 0,
					      &back), -1);
	assert_int_equal(record_prefix_decode(bytes, 0, 0, &back), -1);
}

static int
prefix_decodes(uint32_t bytes_of_record, uint32_t bytes_of_desc)
{
	struct record_prefix v = { .record_bytes = bytes_of_record,
				   .desc_bytes = (uint16_t)bytes_of_desc }, back;
	uint8_t bytes[RECORD_PREFIX_BYTES];

	record_prefix_encode(&v, bytes);
	return record_prefix_decode(bytes, UINT64_MAX, 0, &back) == 0;
}

static void
a_prefix_has_1_to_64_extents_and_0_to_512_frames(void **state)
{
	(void)state;
	assert_true(prefix_decodes(record_bytes(1, 0), record_desc_bytes(1)));
	assert_true(prefix_decodes(record_bytes(64, 512), record_desc_bytes(64)));
	assert_false(prefix_decodes(record_bytes(0, 0), record_desc_bytes(0)));
	assert_false(prefix_decodes(record_bytes(65, 1), record_desc_bytes(65)));
	assert_false(prefix_decodes(record_bytes(1, 513), record_desc_bytes(1)));
	assert_false(prefix_decodes(record_bytes(1, 1) + 8, record_desc_bytes(1)));
	assert_false(prefix_decodes(UINT32_MAX, record_desc_bytes(1)));
}

static int
desc_decodes(const struct record_desc *d)
{
	uint8_t bytes[BYTES_MAX];
	struct record_prefix p = prefix_of(d);
	struct record_desc back;

	record_desc_encode(d, bytes);
	return record_desc_decode(bytes, &p, &back) == 0;
}

static void
a_description_means_what_it_says(void **state)
{
	struct record_desc good = {
		.recno = 2, .durable_to = 1, .kind = RECORD_DATA,
		.extent_count = 2, .frame_count = 3,
		.extents = { { 1, 1, 0 }, { LAYER_MAX, 2, LBA_MAX - 1 } },
	}, d;

	(void)state;
	assert_true(desc_decodes(&good));
	d = good, d.recno = 0, d.durable_to = 0;
	assert_false(desc_decodes(&d)); /* 0 is no record */
	d = good, d.durable_to = 2;
	assert_false(desc_decodes(&d)); /* durable before it was written */
	d = good, d.frame_count = 2;
	assert_false(desc_decodes(&d)); /* fewer frames than blocks */
	d = good, d.kind = RECORD_UNMAP;
	assert_false(desc_decodes(&d)); /* a hole with frames */
	d = good, d.kind = 3;
	assert_false(desc_decodes(&d));
	d = good, d.flags = 2;
	assert_false(desc_decodes(&d));
	d = good, d.extents[0].layer = 0;
	assert_false(desc_decodes(&d));
	d = good, d.extents[1].layer = LAYER_MAX + 1;
	assert_false(desc_decodes(&d));
	d = good, d.extents[1].lba = LBA_MAX;
	assert_false(desc_decodes(&d)); /* two blocks from the last one */
	d = good, d.extents[1].lba = UINT64_MAX;
	assert_false(desc_decodes(&d));
	d = good, d.extents[0].count_blocks = 0, d.frame_count = 2;
	assert_false(desc_decodes(&d));
	/* The sum of the counts wraps to the frames of the prefix. */
	d = good, d.frame_count = 1, d.extents[0].count_blocks = UINT32_MAX;
	assert_false(desc_decodes(&d));
	d = good, d.kind = RECORD_UNMAP, d.frame_count = 0;
	d.extents[0].count_blocks = UINT32_MAX; /* a whole disk in one record */
	assert_true(desc_decodes(&d));
}

static int
entry_decodes(uint32_t offset, uint8_t kind, uint32_t count, uint32_t size)
{
	struct index_entry e = { offset, kind, 0, { 1, count, 0 } }, back;
	uint8_t bytes[INDEX_ENTRY_BYTES];

	index_entry_encode(&e, bytes);
	return index_entry_decode(bytes, size, &back) == 0;
}

static void
an_index_entry_lies_in_its_segment(void **state)
{
	uint32_t size = SEGMENT_BYTES_MIN;
	uint32_t last = (size - FRAME_BYTES) / 8 * 8;

	(void)state;
	assert_true(entry_decodes(4096, RECORD_DATA, 1, size));
	assert_false(entry_decodes(4088, RECORD_DATA, 1, size));
	assert_true(entry_decodes(last, RECORD_DATA, 1, size));
	assert_false(entry_decodes(last + 8, RECORD_DATA, 1, size));
	assert_false(entry_decodes(last, RECORD_DATA, 2, size));
	assert_true(entry_decodes(size - 8, RECORD_UNMAP, 1, size));
	assert_false(entry_decodes(size, RECORD_UNMAP, 1, size));
	assert_false(entry_decodes(4096, RECORD_DATA, 513, SEGMENT_BYTES_MAX));
	assert_false(entry_decodes(4096, RECORD_DATA, UINT32_MAX, size));
	assert_true(entry_decodes(4096, RECORD_UNMAP, UINT32_MAX, size));
}

static void
a_card_slot_names_no_session_beyond_the_last(void **state)
{
	struct card_sealed v = { .session = SESSION_MAX, .begun = SESSION_MAX };
	uint8_t sealed[CARD_SEALED_BYTES];

	(void)state;
	card_sealed_encode(&v, sealed);
	assert_int_equal(card_sealed_decode(sealed, &v), 0);
	v.session++;
	card_sealed_encode(&v, sealed);
	assert_int_equal(card_sealed_decode(sealed, &v), -1);
	v.session = 1;
	v.begun++;
	card_sealed_encode(&v, sealed);
	assert_int_equal(card_sealed_decode(sealed, &v), -1);
}

static void
a_trailer_fits_between_header_and_end(void **state)
{
	uint8_t bytes[TRAILER_BYTES];
	uint32_t room = SEGMENT_BYTES_MIN - SEGMENT_HEADER_BYTES;
	uint32_t most = (room - index_tail_bytes(0)) / INDEX_ENTRY_BYTES;
	struct trailer t = { .index_bytes = index_bytes(most) }, back;

	(void)state;
	trailer_encode(&t, bytes);
	assert_int_equal(trailer_decode(bytes, SEGMENT_BYTES_MIN, &back), 0);
	t.index_bytes = index_bytes(most + 1);
	trailer_encode(&t, bytes);
	assert_int_equal(trailer_decode(bytes, SEGMENT_BYTES_MIN, &back), -1);
	t.index_bytes = index_bytes(0) - INDEX_ENTRY_BYTES;
	trailer_encode(&t, bytes);
	assert_int_equal(trailer_decode(bytes, SEGMENT_BYTES_MIN, &back), -1);
	t.index_bytes = UINT32_MAX;
	trailer_encode(&t, bytes);
	assert_int_equal(trailer_decode(bytes, SEGMENT_BYTES_MIN, &back), -1);
}

static void
an_index_may_hold_no_record_but_not_fewer(void **state)
{
	struct index_head h = draw_head(), back;
	uint8_t bytes[INDEX_FIXED_BYTES];

	(void)state;
	h.entry_count = 0;
	h.last_recno = h.first_recno - 1;
	index_head_encode(&h, bytes);
	assert_int_equal(index_head_decode(bytes, index_bytes(0), &back), 0);
	assert_int_equal(index_head_decode(bytes, index_bytes(1), &back), -1);
	h.first_recno = 5;
	h.last_recno = 3;
	index_head_encode(&h, bytes);
	assert_int_equal(index_head_decode(bytes, index_bytes(0), &back), -1);
	h.first_recno = 0;
	h.last_recno = 0;
	index_head_encode(&h, bytes);
	assert_int_equal(index_head_decode(bytes, index_bytes(0), &back), -1);
}

/* ---- bytes.h -------------------------------------------------------------- */

static void
numbers_are_little_endian_anywhere(void **state)
{
	uint8_t b[9] = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint64_t v = draw64();

		put64(b + 1, v); /* unaligned */
		assert_int_equal(b[1], v & 0xff);
		assert_int_equal(b[8], v >> 56);
		assert_true(get64(b + 1) == v);
		assert_int_equal(get32(b + 5), v >> 32);
		assert_int_equal(get16(b + 3), v >> 16 & 0xffff);
		put32(b, (uint32_t)v);
		assert_int_equal(get32(b), (uint32_t)v);
		put16(b, (uint16_t)v);
		assert_int_equal(get16(b), (uint16_t)v);
	}
	assert_int_equal(b[0] | b[1] << 8, get16(b));
}

static void
rounding_and_zeroes(void **state)
{
	uint8_t z[16] = { 0 };

	(void)state;
	assert_true(all_zero(z, sizeof z));
	assert_true(all_zero(z, 0));
	for (int i = 0; i < 16; i++) {
		z[i] = 0x80;
		assert_false(all_zero(z, sizeof z));
		assert_true(all_zero(z, (uint32_t)i));
		z[i] = 0;
	}
	assert_int_equal(round_up(0, 4096), 0);
	assert_int_equal(round_up(1, 4096), 4096);
	assert_int_equal(round_up(4096, 4096), 4096);
	assert_int_equal(round_up(4097, 4096), 8192);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_little_endian_anywhere),
		cmocka_unit_test(rounding_and_zeroes),
		cmocka_unit_test(valid_values_round_trip),
		cmocka_unit_test(every_single_bit_is_read),
		cmocka_unit_test(garbage_is_refused_or_canonical),
		cmocka_unit_test(other_lengths_are_refused),
		cmocka_unit_test(a_record_must_fit_where_it_lies),
		cmocka_unit_test(a_prefix_has_1_to_64_extents_and_0_to_512_frames),
		cmocka_unit_test(a_description_means_what_it_says),
		cmocka_unit_test(an_index_entry_lies_in_its_segment),
		cmocka_unit_test(a_card_slot_names_no_session_beyond_the_last),
		cmocka_unit_test(a_trailer_fits_between_header_and_end),
		cmocka_unit_test(an_index_may_hold_no_record_but_not_fewer),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
