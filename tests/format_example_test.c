/*
 * format_example_test.c - the worked example of FORMAT.md opens with the keys it gives,
 * and comes out again byte by byte when it is made anew with the same randomness.
 * Link with -Wl,--wrap=secret_random and secret_unique.
 *
 *   format_example_test           checks FORMAT.md of the current directory
 *   format_example_test --print   prints the body of its section 12
 */
#include "crypto/kdf.h"
#include "crypto/secret.h"
#include "liblbs/format/runs.h"
#include "liblbs/log/seal.h"
#include "liblbs/meta/meta.h"
#include "tests/lab/format_doc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DOCUMENT "FORMAT.md"

static struct doc *doc;

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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_comes_out_again),
		cmocka_unit_test(example_opens),
		cmocka_unit_test(example_of_compression_opens),
		cmocka_unit_test(example_runs_unpack),
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