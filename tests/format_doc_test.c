/*
 * format_doc_test.c - binds FORMAT.md to the code: its numbers are the code's, and each
 * byte table is what the encoder writes. The worked example: format_example_test.c.
 */
#include "lbs.h"
#include "liblbs/format/bytes.h"
#include "liblbs/log/seal.h"
#include "liblbs/meta/mapstore.h"
#include "liblbs/store/env.h"
#include "tests/lab/format_doc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_the_codes),
		cmocka_unit_test(no_number_is_left_out),
		cmocka_unit_test(encoders_write_the_tables),
		cmocka_unit_test(tables_have_no_gaps),
		cmocka_unit_test(magics_are_the_encoders),
	};
	int failed;

	doc = doc_read(DOCUMENT);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	doc_free(doc);
	return failed;
}
