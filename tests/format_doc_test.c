/*
 * format_doc_test.c - binds FORMAT.md to the code: its numbers are the code's,
 * each byte table is what the encoder writes, and the worked example opens and
 * comes out again byte by byte when it is made anew with the same randomness. Also
 * that the tests which DESIGN.md names exist.
 * Link with -Wl,--wrap=secret_random and secret_unique.
 *
 *   format_doc_test           checks FORMAT.md of the current directory
 *   format_doc_test --print   prints the body of its section 12
 */
#include "crypto/kdf.h"
#include "crypto/secret.h"
#include "lbs.h"
#include "liblbs/format/bytes.h"
#include "liblbs/format/runs.h"
#include "liblbs/log/seal.h"
#include "liblbs/meta/mapstore.h"
#include "liblbs/store/env.h"
#include "tests/lab/format_doc.h"
#include "tests/lab/simimage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DOCUMENT "FORMAT.md"
#define LAYOUT "liblbs/format/layout.h"

static struct doc *doc;

/* ---- numbers ---------------------------------------------------------------- */

#define N(name) { #name, name }
static const struct { const char *name; uint64_t value; } numbers[] = {
	N(FORMAT_VERSION), N(BLOCK_BYTES), N(PAGE_BYTES), N(STORE_ID_BYTES),
	N(DATA_KEY_BYTES), N(SALT_BYTES), N(NONCE_RANDOM_BYTES), N(TAG_BYTES),
	N(AEAD_KEY_BYTES), N(AEAD_NONCE_BYTES), N(SEGMENT_BYTES_MIN),
	N(SEGMENT_BYTES_MAX), N(SEGMENTS_MAX), N(SESSION_MAX),
	N(CHUNK_BYTES_MAX), N(SEGMENT_HEADER_BYTES),
	N(SEGMENT_PLAIN_BYTES), N(SEGMENT_SEALED_BYTES), N(RECORD_PREFIX_BYTES),
	N(DESC_FIXED_BYTES), N(EXTENT_BYTES), N(FRAME_BYTES), N(TRAILER_BYTES),
	N(INDEX_FIXED_BYTES), N(INDEX_ENTRY_BYTES), N(RECORD_EXTENTS_MAX),
	N(RECORD_BLOCKS_MAX), N(GROUP_BLOCKS_MAX), N(GROUP_RECORDS_MAX),
	N(ZIP_FRAME_BYTES_MIN), N(ZIP_FRAME_BYTES_MAX), N(ZIP_BLOCK_BYTES_MAX),
	N(LBS_COMPRESS_NONE), N(LBS_COMPRESS_LZ4), N(LBS_COMPRESS_ZSTD),
	N(FEATURE_LZ4), N(FEATURE_ZSTD),
	N(POSITION_UNIT), N(LAYER_MAX), N(LBA_MAX), N(CARD_SLOT_BYTES),
	N(CARD_FILE_BYTES), N(CARD_PLAIN_BYTES), N(CARD_SEALED_BYTES),
	N(CARD_NONCE_BYTES), N(MAP_REGION_BLOCKS),
	N(META_LIVE_GROUP), N(STREAM_LOG), N(STREAM_CLEANER), N(RECORD_DATA),
	N(RECORD_UNMAP), N(RECORD_GROUP_CONTINUES),
	N(LBS_CIPHER_CHACHA20POLY1305), N(LBS_CIPHER_AES256GCM),
	N(LBS_CIPHER_AEGIS256), N(LBS_FRESHNESS_FLUSH),
	N(LBS_FRESHNESS_CHECKPOINT),
};

static const struct doc_number *find_number(const char *name)
{
	size_t i;

	for (i = 0; i < doc->number_count; i++)
		if (strcmp(doc->numbers[i].name, name) == 0)
			return &doc->numbers[i];
	return NULL;
}

static void numbers_are_the_codes(void **state)
{
	const struct doc_number *n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		n = find_number(numbers[i].name);
		if (n == NULL || n->value != numbers[i].value)
			print_error("%s is %llu\n", numbers[i].name,
				    (unsigned long long)numbers[i].value);
		assert_non_null(n);
		assert_true(n->value == numbers[i].value);
	}
	assert_int_equal(doc->number_count,
			 sizeof(numbers) / sizeof(numbers[0]));
	/* Nothing is used of a store but what the document knows. */
	assert_true(FEATURES_MUST_KNOWN == (FEATURE_LZ4 | FEATURE_ZSTD) &&
		    FEATURES_MAY_KNOWN == 0);
}

/* Each number of layout.h stands in the document. */
static void no_number_is_left_out(void **state)
{
	FILE *in = fopen(LAYOUT, "r");
	char line[300], name[60];
	int seen = 0;

	(void)state;
	assert_non_null(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		if (sscanf(line, "#define %59[A-Z_0-9]", name) != 1 ||
		    strcmp(name, "LBS_FORMAT_LAYOUT_H") == 0)
			continue;
		if (find_number(name) == NULL)
			print_error("%s is missing from FORMAT.md\n", name);
		assert_non_null(find_number(name));
		seen++;
	}
	fclose(in);
	assert_true(seen > 20);
}

/* ---- byte tables -------------------------------------------------------------- */

#define ROOM 4096

/* What is encoded; mark() below sets one field of it to all ones. */
struct all {
	struct card_plain card;
	struct card_sealed card_sealed;
	struct segment_plain segment;
	struct segment_sealed segment_sealed;
	struct record_prefix prefix;
	struct record_desc desc;
	struct trailer trailer;
	struct index_head head;
	struct index_entry entry;
	uint16_t stored;
};

static size_t encode(const char *table, const struct all *a, uint8_t *out)
{
	memset(out, 0, ROOM);
	if (strcmp(table, "card-slot") == 0)
		return card_plain_encode(&a->card, out), CARD_PLAIN_BYTES;
	if (strcmp(table, "card-sealed") == 0)
		return card_sealed_encode(&a->card_sealed, out),
		       CARD_SEALED_BYTES;
	if (strcmp(table, "segment-header") == 0)
		return segment_plain_encode(&a->segment, out),
		       SEGMENT_PLAIN_BYTES;
	if (strcmp(table, "segment-sealed") == 0)
		return segment_sealed_encode(&a->segment_sealed, out),
		       SEGMENT_SEALED_BYTES;
	if (strcmp(table, "record-prefix") == 0)
		return record_prefix_encode(&a->prefix, out),
		       RECORD_PREFIX_BYTES;
	if (strcmp(table, "record-description") == 0)
		return record_desc_encode(&a->desc, out), DESC_FIXED_BYTES;
	if (strcmp(table, "extent") == 0) {
		uint8_t whole[DESC_FIXED_BYTES + EXTENT_BYTES];
		struct record_desc one = a->desc;

		one.extent_count = 1;
		record_desc_encode(&one, whole);
		memcpy(out, whole + DESC_FIXED_BYTES, EXTENT_BYTES);
		return EXTENT_BYTES;
	}
	if (strcmp(table, "trailer") == 0)
		return trailer_encode(&a->trailer, out), TRAILER_BYTES;
	if (strcmp(table, "index") == 0)
		return index_head_encode(&a->head, out), INDEX_FIXED_BYTES;
	if (strcmp(table, "zip-frame") == 0)
		return frame_put_stored(1, out, a->stored), frame_head_bytes(1);
	if (strcmp(table, "index-entry") == 0)
		return index_entry_encode(&a->entry, out), INDEX_ENTRY_BYTES;
	return 0;
}

#define F(table, name, member) \
	{ table, name, offsetof(struct all, member), \
	  sizeof(((struct all *)0)->member) }
/* Every field that a structure of the code carries. */
static const struct {
	const char *table, *name;
	size_t at, len;
} members[] = {
	F("card-slot", "store_id", card.store_id),
	F("card-slot", "nonce", card.nonce),
	F("card-sealed", "session", card_sealed.session),
	F("card-sealed", "checkpoint", card_sealed.checkpoint),
	F("card-sealed", "begun", card_sealed.begun),
	F("segment-header", "store_id", segment.store_id),
	F("segment-header", "salt", segment.salt),
	F("segment-header", "random", segment.random),
	F("segment-sealed", "segment", segment_sealed.segment),
	F("segment-sealed", "stream", segment_sealed.stream),
	F("segment-sealed", "serial", segment_sealed.serial),
	F("segment-sealed", "session", segment_sealed.session),
	F("segment-sealed", "first_recno", segment_sealed.first_recno),
	F("segment-sealed", "checkpoint", segment_sealed.checkpoint),
	F("record-prefix", "record_bytes", prefix.record_bytes),
	F("record-prefix", "desc_bytes", prefix.desc_bytes),
	F("record-prefix", "random", prefix.random),
	F("record-description", "recno", desc.recno),
	F("record-description", "durable_to", desc.durable_to),
	F("record-description", "checkpoint", desc.checkpoint),
	F("record-description", "kind", desc.kind),
	F("record-description", "flags", desc.flags),
	F("record-description", "frames", desc.frame_count),
	F("extent", "layer", desc.extents[0].layer),
	F("extent", "count", desc.extents[0].count_blocks),
	F("extent", "lba", desc.extents[0].lba),
	F("trailer", "index_bytes", trailer.index_bytes),
	F("trailer", "random", trailer.random),
	F("index", "segment", head.segment),
	F("index", "stream", head.stream),
	F("index", "serial", head.serial),
	F("index", "first_recno", head.first_recno),
	F("index", "last_recno", head.last_recno),
	F("index", "next_segment", head.next_segment),
	F("index", "entries", head.entry_count),
	F("index", "next_salt", head.next_salt),
	F("zip-frame", "length", stored),
	F("index-entry", "kind", entry.kind),
	F("index-entry", "flags", entry.flags),
	F("index-entry", "layer", entry.extent.layer),
	F("index-entry", "count", entry.extent.count_blocks),
	F("index-entry", "lba", entry.extent.lba),
};

static const struct doc_letter no_letters[] = { { 0, 0 } };

static const struct doc_field *find_field(const char *table, const char *name)
{
	size_t i;

	for (i = 0; i < doc->field_count; i++)
		if (strcmp(doc->fields[i].table, table) == 0 &&
		    strcmp(doc->fields[i].name, name) == 0)
			return &doc->fields[i];
	print_error("FORMAT.md has no field %s of table %s\n", name, table);
	fail();
	return NULL;
}

/* Setting a member changes the bytes of its field: all of them, no other. */
static void encoders_write_the_tables(void **state)
{
	uint8_t empty[ROOM], marked[ROOM];
	size_t i, k, len;

	(void)state;
	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const struct doc_field *f = find_field(members[i].table,
						       members[i].name);
		uint64_t at = doc_value(f->offset, no_letters);
		uint64_t n = doc_value(f->bytes, no_letters);
		struct all a;

		memset(&a, 0, sizeof(a));
		len = encode(f->table, &a, empty);
		memset((uint8_t *)&a + members[i].at, 0xff, members[i].len);
		assert_int_equal(encode(f->table, &a, marked), len);
		assert_true(at + n <= len);
		for (k = 0; k < len; k++) {
			int in = k >= at && k < at + n;

			if ((empty[k] != marked[k]) != in)
				print_error("%s.%s: byte %zu\n", f->table,
					    f->name, k);
			assert_true((empty[k] != marked[k]) == in);
		}
	}
}

/* Fields of a table follow each other and fill it; magics are as told. */
static void tables_have_no_gaps(void **state)
{
	const struct { const char *table; uint64_t bytes; } sizes[] = {
		{ "run-page", sizeof(struct run_page) },
		{ "kdf-input", 44 },
		{ "nonce", AEAD_NONCE_BYTES },
		{ "frame-ad", 16 },
		{ "zip-frame-ad", 18 },
		{ "card-slot", CARD_SLOT_BYTES },
		{ "card-sealed", CARD_SEALED_BYTES },
		{ "segment-header", PAGE_BYTES },
		{ "segment-sealed", SEGMENT_SEALED_BYTES },
		{ "record-prefix", RECORD_PREFIX_BYTES },
		{ "record", RECORD_PREFIX_BYTES + 48 + TAG_BYTES + 2 * FRAME_BYTES },
		{ "record-description", DESC_FIXED_BYTES + EXTENT_BYTES },
		{ "extent", EXTENT_BYTES },
		{ "frame", FRAME_BYTES },
		{ "zip-frame", frame_bytes(1, 88) },
		{ "segment-end", 88 + TAG_BYTES + TRAILER_BYTES },
		{ "trailer", TRAILER_BYTES },
		{ "index", INDEX_FIXED_BYTES + INDEX_ENTRY_BYTES },
		{ "index-entry", INDEX_ENTRY_BYTES },
	};
	static const struct doc_letter letters[] = {
		{ 'e', 1 }, { 'd', 48 }, { 'b', 2 }, { 'c', 1 }, { 'n', 88 },
		{ 'S', 136 }, { 'p', 6 }, { 0, 0 },
	};
	size_t i, k, seen = 0;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t end = 0;

		for (k = 0; k < doc->field_count; k++) {
			const struct doc_field *f = &doc->fields[k];

			if (strcmp(f->table, sizes[i].table) != 0)
				continue;
			seen++;
			if (doc_value(f->offset, letters) != end)
				print_error("%s.%s\n", f->table, f->name);
			assert_int_equal(doc_value(f->offset, letters), end);
			end += doc_value(f->bytes, letters);
		}
		if (end != sizes[i].bytes)
			print_error("%s has %llu bytes\n", sizes[i].table,
				    (unsigned long long)sizes[i].bytes);
		assert_int_equal(end, sizes[i].bytes);
	}
	assert_int_equal(seen, doc->field_count);
}

static void magics_are_the_encoders(void **state)
{
	static const char *const tables[] = { "card-slot", "segment-header",
					      "record-prefix", "trailer" };
	uint8_t out[ROOM];
	struct all a;
	size_t i;

	(void)state;
	memset(&a, 0, sizeof(a));
	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		const struct doc_field *f = find_field(tables[i], "magic");
		char text[16] = "";

		encode(tables[i], &a, out);
		assert_int_equal(sscanf(f->meaning, "`%15[^`]`", text), 1);
		assert_memory_equal(out, text, strlen(text));
		if (doc_value(f->bytes, no_letters) > strlen(text))
			assert_non_null(strstr(f->meaning, "and a zero byte"));
	}
	assert_int_equal(offsetof(struct run_page, store_id), 16);
	assert_int_equal(offsetof(struct run_page, session), 32);
	assert_int_equal(offsetof(struct run_page, acked_record), 40);
}

/* ---- the worked example --------------------------------------------------------- */

#define SEGMENT 3
#define SEGMENT_BYTES (64u << 10)
#define LBA_A 7
#define LBA_B 1000
#define COUNT_B 24

/* Fixed randomness: the n-th draw is n0 n1 n2 ... */
static unsigned draws;
void __real_secret_random(void *p, size_t len);
void __wrap_secret_random(void *p, size_t len);

void __wrap_secret_random(void *p, size_t len)
{
	size_t i;

	draws++;
	for (i = 0; i < len; i++)
		((uint8_t *)p)[i] = (uint8_t)(draws << 4 | (i & 15));
}

void __wrap_secret_unique(uint8_t out[8]);
void __wrap_secret_unique(uint8_t out[8])
{
	__wrap_secret_random(out, 8);
}

struct example {
	struct sealer sealer;
	uint8_t data_key[DATA_KEY_BYTES], salt[SALT_BYTES];
	uint8_t block[BLOCK_BYTES];
	struct card_sealed card;
	struct segment_sealed header;
	struct record_desc data, unmap;
	uint32_t data_at, unmap_at;
	struct index_head index;
	struct index_entry entries[2];
	/* sealed */
	uint8_t card_key[AEAD_KEY_BYTES], key[AEAD_KEY_BYTES];
	uint8_t slot[CARD_SLOT_BYTES], page[PAGE_BYTES];
	uint8_t record_a[4208], record_b[88];
	uint8_t end[64 + 2 * 24 + 16 + 32];
	struct runs_writer runs;
	/* In a store with compression. */
	struct record_desc zip;
	uint8_t record_zip[88 + 2 * 56];
};

/* A block whose bytes are all the same, by hand: a byte; a match of 4090 bytes one
 * byte back, of which the length is 4 + 15 + 15 * 255 + 246; five bytes that no match
 * may reach. And as a Zstandard frame of one block of repeated bytes. */
static const uint8_t lz4_of_a[26] = {
	0x1f, 'a', 0x01, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf6, 0x50, 'a', 'a', 'a',
	'a', 'a',
};
static const uint8_t zstd_of_a[11] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x00, 0x0f, 0x03, 0x80, 0x00, 'a',
};

/* The same of another byte. */
static void lz4_of(uint8_t byte, uint8_t *out)
{
	memcpy(out, lz4_of_a, sizeof(lz4_of_a));
	out[1] = byte;
	memset(out + 21, byte, 5);
}

static const uint8_t *example_block(void *ctx, uint32_t i)
{
	(void)i;
	return ((struct example *)ctx)->block;
}

static void count_up(uint8_t *p, size_t len, unsigned from)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(from + i);
}

static void example_values(struct example *x)
{
	const uint64_t session = 5ull << 32;
	unsigned i;

	memset(x, 0, sizeof(*x));
	count_up(x->data_key, sizeof(x->data_key), 0x20);
	count_up(x->sealer.store_id, STORE_ID_BYTES, 0x00);
	count_up(x->salt, SALT_BYTES, 0x40);
	for (i = 0; i < BLOCK_BYTES; i++)
		x->block[i] = (uint8_t)(i % 251);
	x->sealer.cipher = AEAD_CHACHA20POLY1305;
	x->sealer.segment_bytes = SEGMENT_BYTES;
	x->sealer.data_key = x->data_key;
	x->card = (struct card_sealed){ 5, 2, 5 };
	x->header = (struct segment_sealed){
		.segment = SEGMENT, .stream = STREAM_LOG, .serial = session | 1,
		.session = 5, .first_recno = session | 1, .checkpoint = 2,
	};
	x->data = (struct record_desc){
		.recno = session | 1, .durable_to = (4ull << 32) + 9,
		.checkpoint = 2, .kind = RECORD_DATA, .extent_count = 1,
		.frame_count = 1, .extents = { { 1, 1, LBA_A } },
	};
	x->unmap = (struct record_desc){
		.recno = session | 2, .durable_to = (4ull << 32) + 9,
		.checkpoint = 2, .kind = RECORD_UNMAP, .extent_count = 1,
		.extents = { { 1, COUNT_B, LBA_B } },
	};
	x->zip = x->data;
	x->zip.frame_count = x->zip.extents[0].count_blocks = 2;
	x->data_at = SEGMENT_HEADER_BYTES;
	x->unmap_at = x->data_at + sizeof(x->record_a);
	x->index = (struct index_head){
		.segment = SEGMENT, .stream = STREAM_LOG, .serial = session | 1,
		.first_recno = session | 1, .last_recno = session | 2,
		.next_segment = 4, .entry_count = 2,
	};
	count_up(x->index.next_salt, SALT_BYTES, 0x50);
	x->entries[0] = (struct index_entry){
		x->data_at + record_frames_at(1), RECORD_DATA, 0,
		x->data.extents[0]
	};
	x->entries[1] = (struct index_entry){ x->unmap_at, RECORD_UNMAP, 0,
					      x->unmap.extents[0] };
}

/* What a store with LZ4 would have in the place of record-data. */
static void example_zip(struct example *x)
{
	struct sealer zip = x->sealer;
	uint16_t stored[2] = { sizeof(lz4_of_a), sizeof(lz4_of_a) };
	unsigned before = draws;

	zip.zip = zip_new(ZIP_LZ4);
	assert_non_null(zip.zip);
	lz4_of('a', x->record_zip + 88 + 10);
	lz4_of('b', x->record_zip + 88 + 56 + 10);
	draws = 0;
	assert_int_equal(seal_record(&zip, x->key, x->data_at, &x->zip, NULL,
				     NULL, stored, x->record_zip),
			 sizeof(x->record_zip));
	draws = before;
	zip_free(zip.zip);
}

static void example_make(struct example *x)
{
	uint8_t plain[INDEX_FIXED_BYTES + 2 * INDEX_ENTRY_BYTES];
	uint64_t position = position_make(SEGMENT, x->entries[0].offset);

	example_values(x);
	position = position_make(SEGMENT, x->entries[0].offset);
	draws = 9;
	kdf_card_key(x->data_key, x->sealer.store_id, x->card_key);
	kdf_segment_key(x->data_key, x->sealer.store_id, SEGMENT, x->salt,
			x->key);
	seal_card(&x->sealer, &x->card, x->slot);
	seal_header(&x->sealer, x->key, x->salt, &x->header, x->page);
	assert_int_equal(record_bytes(1, 1), sizeof(x->record_a));
	assert_int_equal(record_bytes(1, 0), sizeof(x->record_b));
	seal_record(&x->sealer, x->key, x->data_at, &x->data, example_block, x,
		    NULL, x->record_a);
	seal_record(&x->sealer, x->key, x->unmap_at, &x->unmap, example_block,
		    x, NULL, x->record_b);
	example_zip(x);
	index_head_encode(&x->index, plain);
	index_entry_encode(&x->entries[0], plain + INDEX_FIXED_BYTES);
	index_entry_encode(&x->entries[1],
			   plain + INDEX_FIXED_BYTES + INDEX_ENTRY_BYTES);
	seal_index(&x->sealer, x->key, plain, sizeof(plain), x->end);
	/* The delta of the checkpoint that takes both records in, and a run of
	 * two blocks whose frames lie before. */
	runs_begin(&x->runs, 13);
	runs_put(&x->runs, LBA_A, 1, position);
	runs_put(&x->runs, 9, 2, position_make(1, 4184));
	runs_put(&x->runs, LBA_B, COUNT_B, 0);
	assert_int_equal(runs_end(&x->runs), 0);
}

static void print_hex(const char *name, const char *says, const uint8_t *p,
		      size_t len)
{
	size_t i;

	printf("### Example: %s\n\n%s\n\n```\n", name, says);
	for (i = 0; i < len; i++)
		printf("%02x%s", p[i], i % 32 == 31 || i + 1 == len ? "\n" : "");
	printf("```\n\n");
}

static void print_example(struct example *x)
{
	print_hex("store-id", "The store's id.", x->sealer.store_id,
		  STORE_ID_BYTES);
	print_hex("data-key", "The data key. The cipher is "
		  "LBS_CIPHER_CHACHA20POLY1305, segments have 65536 bytes.",
		  x->data_key, sizeof(x->data_key));
	print_hex("salt", "The salt of segment 3.", x->salt, SALT_BYTES);
	print_hex("card-key", "The card key, by section 3.", x->card_key,
		  AEAD_KEY_BYTES);
	print_hex("segment-key", "The key of segment 3 with that salt.", x->key,
		  AEAD_KEY_BYTES);
	print_hex("card-slot", "The first 96 bytes of the card slot of session "
		  "5, with checkpoint 2 and\nbegun 5; the other 4000 are zero.",
		  x->slot, 96);
	print_hex("segment-header", "The first 128 bytes of the header page of "
		  "segment 3: stream 0, serial and\nfirst_recno 0x500000001, "
		  "session 5, checkpoint 2; the other 3968 are zero.", x->page,
		  128);
	print_hex("block", "The first 32 bytes of a block of guest data; byte i "
		  "is i modulo 251.", x->block, 32);
	print_hex("record-data", "The record at offset 4096: number "
		  "0x500000001, durable_to 0x400000009,\ncheckpoint 2, one "
		  "extent (layer 1, count 1, lba 7), and that block in its "
		  "frame,\nwhich lies at offset 4184.", x->record_a,
		  sizeof(x->record_a));
	print_hex("record-unmap", "The record at offset 8304: number "
		  "0x500000002, the same otherwise, one extent\n(layer 1, count "
		  "24, lba 1000).", x->record_b, sizeof(x->record_b));
	print_hex("segment-end", "The last 160 bytes of the segment: its index "
		  "of two entries, the tag, the\ntrailer. The log goes on in "
		  "segment 4 with salt 50 51 … 5f.", x->end, sizeof(x->end));
	print_hex("runs", "Packed runs of a delta of region 0: block 7 at "
		  "position (3, 4184), blocks 9 and\n10 from position (1, 4184) "
		  "on, blocks 1000 to 1023 holes.", x->runs.buf, x->runs.len);
	print_hex("zip-block-lz4", "A block of 4096 letters a, compressed by "
		  "LBS_COMPRESS_LZ4.", lz4_of_a, sizeof(lz4_of_a));
	print_hex("zip-block-zstd", "The same by LBS_COMPRESS_ZSTD.", zstd_of_a,
		  sizeof(zstd_of_a));
	print_hex("zip-record", "In a store with LBS_COMPRESS_LZ4, the same "
		  "otherwise, the record at offset 4096:\none extent (layer 1, "
		  "count 2, lba 7), block 7 all a, block 8 all b, in frames "
		  "at\noffsets 4184 and 4240, each of length 26 with 4 bytes "
		  "of padding.", x->record_zip, sizeof(x->record_zip));
}

static void same(const char *name, const uint8_t *p, size_t len)
{
	const struct doc_example *e = doc_find_example(doc, name);

	if (e->len != len || memcmp(e->bytes, p, len) != 0)
		print_error("the example %s of FORMAT.md is not what the code "
			    "makes\n", name);
	assert_int_equal(e->len, len);
	assert_memory_equal(e->bytes, p, len);
}

static void example_comes_out_again(void **state)
{
	struct example x;

	(void)state;
	example_make(&x);
	/* Five sealings drew: card, header, two records, index. */
	assert_int_equal(draws, 9 + 5);
	same("store-id", x.sealer.store_id, STORE_ID_BYTES);
	same("data-key", x.data_key, sizeof(x.data_key));
	same("salt", x.salt, SALT_BYTES);
	same("card-key", x.card_key, AEAD_KEY_BYTES);
	same("segment-key", x.key, AEAD_KEY_BYTES);
	same("card-slot", x.slot, 96);
	same("segment-header", x.page, 128);
	same("block", x.block, 32);
	same("record-data", x.record_a, sizeof(x.record_a));
	same("record-unmap", x.record_b, sizeof(x.record_b));
	same("segment-end", x.end, sizeof(x.end));
	same("runs", x.runs.buf, x.runs.len);
	same("zip-block-lz4", lz4_of_a, sizeof(lz4_of_a));
	same("zip-block-zstd", zstd_of_a, sizeof(zstd_of_a));
	same("zip-record", x.record_zip, sizeof(x.record_zip));
	free(x.runs.buf);
}

/* A copy of an example, with zeroes behind it. */
static void paste(const char *name, uint8_t *to, size_t room)
{
	const struct doc_example *e = doc_find_example(doc, name);

	assert_true(e->len <= room);
	memset(to, 0, room);
	memcpy(to, e->bytes, e->len);
}

/* What FORMAT.md's text says of the hex, read with the keys it gives. */
static void example_opens(void **state)
{
	struct example x;
	uint8_t key[AEAD_KEY_BYTES], salt[SALT_BYTES], id[STORE_ID_BYTES];
	uint8_t record[4208], block[BLOCK_BYTES], end[160], plain[160];
	struct segment_sealed header;
	struct record_prefix prefix;
	struct record_desc desc;
	struct card_sealed card;
	struct index_head head;
	struct index_entry entry;
	int is_card;

	(void)state;
	example_values(&x);
	paste("store-id", x.sealer.store_id, STORE_ID_BYTES);
	paste("data-key", x.data_key, sizeof(x.data_key));
	paste("segment-key", key, sizeof(key));

	paste("card-slot", x.slot, sizeof(x.slot));
	assert_int_equal(open_card(&x.sealer, x.slot, &is_card, id, &card), 0);
	assert_true(card.session == 5 && card.checkpoint == 2 &&
		    card.begun == 5);

	paste("segment-header", x.page, sizeof(x.page));
	assert_int_equal(open_header(&x.sealer, SEGMENT, x.page, salt, &header),
			 0);
	assert_memory_equal(salt, x.salt, SALT_BYTES);
	assert_memory_equal(&header, &x.header, sizeof(header));
	assert_int_equal(open_header(&x.sealer, SEGMENT + 1, x.page, salt,
				     &header), SEAL_NO);

	paste("record-data", record, sizeof(record));
	assert_int_equal(open_record_head(&x.sealer, key, 4096, record,
		sizeof(record), sizeof(record), &prefix, &desc), 0);
	assert_true(desc.recno == 0x500000001 &&
		    desc.durable_to == 0x400000009 && desc.checkpoint == 2 &&
		    desc.kind == RECORD_DATA && desc.extent_count == 1 &&
		    desc.frame_count == 1 && desc.extents[0].layer == 1 &&
		    desc.extents[0].count_blocks == 1 &&
		    desc.extents[0].lba == 7);
	assert_int_equal(open_frame(&x.sealer, key, 4184, 1, 7, record + 88,
				    FRAME_BYTES, block), 0);
	assert_memory_equal(block, x.block, sizeof(block));
	/* Nowhere else, and as nothing else. */
	assert_int_equal(open_frame(&x.sealer, key, 4192, 1, 7, record + 88,
				    FRAME_BYTES, block), SEAL_NO);
	assert_int_equal(open_frame(&x.sealer, key, 4184, 1, 8, record + 88,
				    FRAME_BYTES, block), SEAL_NO);
	assert_int_equal(open_frame(&x.sealer, key, 4184, 2, 7, record + 88,
				    FRAME_BYTES, block), SEAL_NO);

	paste("record-unmap", record, 88);
	assert_int_equal(open_record_head(&x.sealer, key, 8304, record, 88, 88,
					  &prefix, &desc), 0);
	assert_true(desc.recno == 0x500000002 && desc.kind == RECORD_UNMAP &&
		    desc.extents[0].lba == 1000 &&
		    desc.extents[0].count_blocks == 24);

	paste("segment-end", end, sizeof(end));
	assert_int_equal(open_index(&x.sealer, key, end + 128, end, 128, plain),
			 0);
	assert_int_equal(index_head_decode(plain, 112, &head), 0);
	assert_true(head.segment == 3 && head.entry_count == 2 &&
		    head.next_segment == 4 && head.next_salt[0] == 0x50 &&
		    head.next_salt[15] == 0x5f &&
		    head.last_recno == 0x500000002);
	assert_int_equal(index_entry_decode(plain + 64, SEGMENT_BYTES, &entry),
			 0);
	assert_true(entry.offset == 4184 && entry.extent.lba == 7);
	assert_int_equal(index_entry_decode(plain + 88, SEGMENT_BYTES, &entry),
			 0);
	assert_true(entry.offset == 8304 && entry.kind == RECORD_UNMAP);
}

static void all_are(const uint8_t *block, char byte)
{
	for (int i = 0; i < (int)BLOCK_BYTES; i++)
		assert_int_equal(block[i], byte);
}

static void example_of_compression_opens(void **state)
{
	uint8_t key[AEAD_KEY_BYTES], record[88 + 2 * 56], block[BLOCK_BYTES];
	const struct doc_example *lz4 = doc_find_example(doc, "zip-block-lz4");
	const struct doc_example *zstd = doc_find_example(doc, "zip-block-zstd");
	struct zip *zip = zip_new(ZIP_ZSTD);
	struct record_prefix prefix;
	struct record_desc desc;
	struct example x;

	(void)state;
	example_values(&x);
	assert_int_equal(zip_unpack(zip, zstd->bytes, zstd->len, block,
				    sizeof(block)), 0);
	all_are(block, 'a');
	zip_free(zip);
	x.sealer.zip = zip_new(ZIP_LZ4);
	assert_int_equal(zip_unpack(x.sealer.zip, lz4->bytes, lz4->len, block,
				    sizeof(block)), 0);
	all_are(block, 'a');

	paste("data-key", x.data_key, sizeof(x.data_key));
	paste("store-id", x.sealer.store_id, STORE_ID_BYTES);
	paste("segment-key", key, sizeof(key));
	paste("zip-record", record, sizeof(record));
	assert_int_equal(open_record_head(&x.sealer, key, 4096, record,
		sizeof(record), sizeof(record), &prefix, &desc), 0);
	assert_true(desc.frame_count == 2 && prefix.record_bytes == 200);
	assert_int_equal(open_frame(&x.sealer, key, 4184, 1, 7, record + 88, 52,
				    block), 0);
	all_are(block, 'a');
	assert_int_equal(open_frame(&x.sealer, key, 4240, 1, 8, record + 144,
				    56, block), 0);
	all_are(block, 'b');
	/* Cut short, elsewhere, as another block, with another length. */
	assert_int_equal(open_frame(&x.sealer, key, 4184, 1, 7, record + 88, 51,
				    block), SEAL_NO);
	assert_int_equal(open_frame(&x.sealer, key, 4240, 1, 7, record + 88, 56,
				    block), SEAL_NO);
	assert_int_equal(open_frame(&x.sealer, key, 4184, 1, 8, record + 88, 56,
				    block), SEAL_NO);
	record[88 + 8]--;
	assert_int_equal(open_frame(&x.sealer, key, 4184, 1, 7, record + 88, 56,
				    block), SEAL_NO);
	zip_free(x.sealer.zip);
	/* To a store without compression it is nothing. */
	x.sealer.zip = NULL;
	assert_int_equal(open_record_head(&x.sealer, key, 4096, record,
		sizeof(record), sizeof(record), &prefix, &desc), SEAL_NO);
}

static void example_runs_unpack(void **state)
{
	const struct doc_example *e = doc_find_example(doc, "runs");
	struct runs_reader r;
	struct run run;

	(void)state;
	runs_read(&r, e->bytes, e->len, MAP_REGION_BLOCKS, 13);
	assert_int_equal(runs_next(&r, &run), 1);
	assert_true(run.start == 7 && run.count == 1 &&
		    run.position == position_make(3, 4184));
	assert_int_equal(runs_next(&r, &run), 1);
	assert_true(run.start == 9 && run.count == 2 &&
		    run.position == position_make(1, 4184));
	assert_int_equal(runs_next(&r, &run), 1);
	assert_true(run.start == 1000 && run.count == 24 && run.position == 0);
	assert_int_equal(runs_next(&r, &run), 0);
}

/* ---- DESIGN.md -------------------------------------------------------------------- */

static int file_has(const char *path, const char *text)
{
	char *all = sim_alloc(1 << 20);
	FILE *in = fopen(path, "r");
	int found;

	assert_non_null(in);
	all[fread(all, 1, (1 << 20) - 1, in)] = '\0';
	fclose(in);
	found = strstr(all, text) != NULL;
	free(all);
	return found;
}

/* The tests that DESIGN.md names as "restore:x" and so on are there. */
static void design_names_real_tests(void **state)
{
	static const struct { const char *prefix, *path; } files[] = {
		{ "restore:", "tests/restore_test.c" },
		{ "fault:", "tests/fault_test.c" },
		{ "moves:", "tests/tamper_moves_test.c" },
		{ "posix:", "tests/tamper_posix_test.c" },
	};
	FILE *in = fopen("DESIGN.md", "r");
	char line[400], name[64], want[100];
	int named = 0;
	size_t i;

	(void)state;
	assert_non_null(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
			const char *p = line;

			while ((p = strstr(p, files[i].prefix)) != NULL) {
				p += strlen(files[i].prefix);
				if (sscanf(p, "%63[a-z_]", name) != 1 ||
				    strcmp(name, "x") == 0)
					continue;
				snprintf(want, sizeof(want),
					 "cmocka_unit_test(test_%s)", name);
				if (!file_has(files[i].path, want))
					print_error("%s%s\n", files[i].prefix,
						    name);
				assert_true(file_has(files[i].path, want));
				named++;
			}
		}
	}
	fclose(in);
	assert_true(named > 30);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_the_codes),
		cmocka_unit_test(no_number_is_left_out),
		cmocka_unit_test(encoders_write_the_tables),
		cmocka_unit_test(tables_have_no_gaps),
		cmocka_unit_test(magics_are_the_encoders),
		cmocka_unit_test(example_comes_out_again),
		cmocka_unit_test(example_opens),
		cmocka_unit_test(example_of_compression_opens),
		cmocka_unit_test(example_runs_unpack),
		cmocka_unit_test(design_names_real_tests),
	};
	struct example x;

	if (secret_init() < 0)
		return 1;
	if (argc > 1 && strcmp(argv[1], "--print") == 0) {
		example_make(&x);
		print_example(&x);
		free(x.runs.buf);
		return 0;
	}
	doc = doc_read(DOCUMENT);
	argc = cmocka_run_group_tests(tests, NULL, NULL);
	doc_free(doc);
	return argc;
}
