/*
 * scan_fuzz.c - libFuzzer on a whole segment as the scanner meets it. The input
 * is a little program: it places valid sealed records, descriptions that are
 * authentic but make no sense, raw bytes and an index in a segment, changes
 * bytes of it, and lets the scanner read. A frame that opens must hold what was
 * sealed for that very block; nothing may crash or run on for ever. The last byte
 * says whether the store compresses: then some frames hold what is no compressed
 * block, and what opens is expanded.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/kdf.h"
#include "crypto/secret.h"
#include "liblbs/format/bytes.h"
#include "liblbs/log/scan.h"

#define SEGMENT SEGMENT_BYTES_MIN

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct ram {
	struct medium base;
	uint8_t bytes[SEGMENT];
};

static ssize_t
ram_pread(struct medium *m, uint32_t file, void *buf, size_t len, uint64_t at)
{
	if (file || at > SEGMENT)
		return -EIO;
	if (len > SEGMENT - at)
		len = SEGMENT - at;
	memcpy(buf, ((struct ram *)m)->bytes + at, len);
	return (ssize_t)len;
}

static const struct medium_ops ram_ops = { .pread = ram_pread };
static const uint8_t data_key[32] = { 1, 2, 3 };
static const uint8_t salt[SALT_BYTES] = { 4, 5, 6 };
static struct sealer sealer = { .cipher = AEAD_CHACHA20POLY1305,
				      .segment_bytes = SEGMENT,
				      .store_id = { 7, 8, 9 },
				      .data_key = data_key };
static const struct geometry geometry = { SEGMENT, 1, 1 };

struct program {
	const uint8_t *p, *end;
};

static uint32_t
take(struct program *g, int bytes)
{
	uint32_t v = 0;

	while (bytes-- && g->p < g->end)
		v = v << 8 | *g->p++;
	return v;
}

/* Blocks hold their lba, so that a block in the wrong place shows. */
struct filler {
	uint64_t lba;
	uint8_t block[BLOCK_BYTES];
};

static const uint8_t *
filled(void *ctx, uint32_t i)
{
	struct filler *f = ctx;

	memset(f->block, 0, BLOCK_BYTES);
	put64(f->block, f->lba + i);
	return f->block;
}

static uint32_t
place_record(struct ram *ram, const uint8_t *key, struct program *g,
	     uint32_t at, uint64_t recno)
{
	uint32_t count = take(g, 1) % 4 + 1;
	struct filler f = { .lba = take(g, 2) };
	struct record_desc desc = {
		.recno = recno,
		.kind = take(g, 1) % 8 ? RECORD_DATA : RECORD_UNMAP,
		.flags = (uint8_t)(take(g, 1) & 1),
		.extent_count = 1,
		.extents = { { 1, count, f.lba } },
	};

	desc.frame_count = desc.kind == RECORD_DATA ? count : 0;
	if (at + record_frames_at(1) + desc.frame_count * ZIP_FRAME_BYTES_MAX >
	    SEGMENT)
		return at;
	return at + seal_record(&sealer, key, at, &desc, filled, &f, NULL,
				ram->bytes + at);
}

/* Blocks that are stored as the program says. */
static uint32_t
place_stored(struct ram *ram, const uint8_t *key, struct program *g, uint32_t at,
	     uint64_t recno)
{
	struct record_desc desc = { .recno = recno, .kind = RECORD_DATA,
				    .frame_count = 1, .extent_count = 1,
				    .extents = { { 1, 1, take(g, 2) } } };
	uint16_t stored = (uint16_t)(take(g, 2) % BLOCK_BYTES + 1);

	if (at + record_frames_at(1) + ZIP_FRAME_BYTES_MAX > SEGMENT)
		return at;
	for (uint32_t i = 0; i < stored; i++)
		ram->bytes[at + record_frames_at(1) + frame_head_bytes(1) + i] =
			(uint8_t)take(g, 1);
	return at + seal_record(&sealer, key, at, &desc, NULL, NULL, &stored,
				ram->bytes + at);
}

/* Authentic, but whatever the program says. */
static uint32_t
place_nonsense(struct ram *ram, const uint8_t *key, struct program *g,
	       uint32_t at)
{
	uint32_t extents = take(g, 1) % RECORD_EXTENTS_MAX + 1;
	struct record_prefix prefix = {
		.record_bytes = record_bytes(extents, take(g, 2) % 8),
		.desc_bytes = (uint16_t)record_desc_bytes(extents),
	};
	uint8_t body[DESC_FIXED_BYTES + RECORD_EXTENTS_MAX * EXTENT_BYTES];
	uint8_t nonce[AEAD_NONCE_BYTES] = { 0 };

	if (at + prefix.record_bytes > SEGMENT)
		return at;
	for (uint32_t i = 0; i < prefix.desc_bytes; i++)
		body[i] = (uint8_t)take(g, 1);
	record_prefix_encode(&prefix, ram->bytes + at);
	put32(nonce + 8, at + RECORD_PREFIX_BYTES);
	aead_seal(sealer.cipher, key, nonce, ram->bytes + at,
		  RECORD_PREFIX_BYTES, body, prefix.desc_bytes,
		  ram->bytes + at + RECORD_PREFIX_BYTES);
	return at + prefix.record_bytes;
}

static void
place_index(struct ram *ram, const uint8_t *key, struct program *g)
{
	uint32_t entries = take(g, 1) % 32, n = index_bytes(entries);
	uint8_t plain[INDEX_FIXED_BYTES + 32 * INDEX_ENTRY_BYTES];
	struct index_head head = { .first_recno = 1,
				   .last_recno = take(g, 1),
				   .entry_count = entries };

	index_head_encode(&head, plain);
	for (uint32_t i = INDEX_FIXED_BYTES; i < n; i++)
		plain[i] = (uint8_t)take(g, 1);
	if (take(g, 1) % 4 == 0)
		plain[take(g, 1) % INDEX_FIXED_BYTES] ^= (uint8_t)take(g, 1);
	seal_index(&sealer, key, plain, n,
		   ram->bytes + SEGMENT - index_tail_bytes(entries));
}

/* Expands it where it is compressed: the lba it holds, or UINT64_MAX. */
static uint64_t
lba_of(const uint8_t *at, uint32_t stored)
{
	uint8_t block[BLOCK_BYTES];

	if (stored == BLOCK_BYTES)
		return get64(at);
	return zip_unpack(sealer.zip, at, stored, block, sizeof block)
		       ? UINT64_MAX
		       : get64(block);
}

/* forged: what expands may be anything. */
static void
read_back(struct ram *ram, const uint8_t *key, int forged)
{
	struct scan_source src = { &sealer, &geometry, &ram->base, 0 };
	struct index_entry *entries;
	struct segment_sealed header;
	struct index_head head;
	struct record_desc desc;
	struct scanner sc;
	uint16_t stored[RECORD_BLOCKS_MAX];
	struct scan_blocks blocks = { NULL, stored };
	uint8_t found[SALT_BYTES];
	uint32_t offset, records = 0;

	scan_header(&src, 0, found, &header);
	if (scan_index(&src, 0, key, &head, &entries) == SCAN_OK)
		free(entries);
	blocks.at = malloc((size_t)RECORD_BLOCKS_MAX * BLOCK_BYTES);
	if (scanner_begin(&sc, &src, 0, key, SEGMENT_HEADER_BYTES))
		abort();
	while (scanner_next(&sc, 0, &desc, &offset) == SCAN_OK) {
		struct record_desc same;
		uint32_t n = 0;

		assert(++records < SEGMENT / RECORD_PREFIX_BYTES);
		assert(sc.cursor <= SEGMENT && sc.cursor > offset);
		if (scan_record(&src, 0, key, offset, &same, &blocks))
			abort(); /* the same bytes, another answer */
		if (desc.kind != RECORD_DATA)
			continue;
		for (uint32_t e = 0; e < desc.extent_count; e++)
			for (uint32_t i = 0; i < desc.extents[e].count_blocks;
			     i++, n++) {
				uint64_t lba = lba_of(
					blocks.at + (size_t)n * BLOCK_BYTES,
					stored[n]);

				assert(forged || lba == desc.extents[e].lba + i);
			}
	}
	scanner_search(&sc, 1, &desc, &offset);
	scanner_end(&sc);
	free(blocks.at);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct program g = { data, data + len };
	struct ram *ram = calloc(1, sizeof *ram);
	struct segment_sealed header = { .serial = 1, .first_recno = 1 };
	uint32_t at = SEGMENT_HEADER_BYTES, steps = 0;
	uint64_t recno = 1;
	uint8_t key[32];
	int how = len ? data[len - 1] % 4 : 0, forged = 0;

	if (!ram || secret_init())
		abort();
	sealer.zip = how ? zip_new(how) : NULL; /* 3: there is no such method */
	ram->base.ops = &ram_ops;
	kdf_segment_key(data_key, sealer.store_id, 0, salt, key);
	seal_header(&sealer, key, salt, &header, ram->bytes);
	while (g.p < g.end && steps++ < 64) {
		uint32_t op = take(&g, 1);

		if (op >= 250 && sealer.zip) {
			at = place_stored(ram, key, &g, at, recno++);
			forged = 1;
			continue;
		}
		switch (op % 6) {
		case 0:
		case 1:
			at = place_record(ram, key, &g, at, recno++);
			break;
		case 2:
			at = place_nonsense(ram, key, &g, at);
			break;
		case 3:
			at = (uint32_t)round_up(at, PAGE_BYTES);
			break;
		case 4:
			place_index(ram, key, &g);
			break;
		case 5:
			ram->bytes[take(&g, 2)] ^= (uint8_t)take(&g, 1);
			break;
		}
		if (at >= SEGMENT)
			at = SEGMENT_HEADER_BYTES;
	}
	read_back(ram, key, forged);
	zip_free(sealer.zip);
	free(ram);
	return 0;
}
