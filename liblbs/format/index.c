/*
 * index.c - FORMAT.md section 7.
 */
#include "liblbs/format/index.h"

#include <string.h>

#include "liblbs/format/bytes.h"

static const uint8_t magic[8] = "LBSidx1";

/* trailer: 0 magic 8 | 8 index_bytes 4 | 12 zero 4 | 16 random 8 | 24 zero 8 */
void
trailer_encode(const struct trailer *trailer, uint8_t out[TRAILER_BYTES])
{
	memset(out, 0, TRAILER_BYTES);
	memcpy(out, magic, sizeof magic);
	put32(out + 8, trailer->index_bytes);
	memcpy(out + 16, trailer->random, NONCE_RANDOM_BYTES);
}

int
trailer_decode(const uint8_t in[TRAILER_BYTES], uint32_t segment_bytes,
	       struct trailer *out)
{
	if (memcmp(in, magic, sizeof magic) || !all_zero(in + 12, 4) ||
	    !all_zero(in + 24, 8))
		return -1;
	out->index_bytes = get32(in + 8);
	memcpy(out->random, in + 16, NONCE_RANDOM_BYTES);
	if (out->index_bytes < INDEX_FIXED_BYTES ||
	    out->index_bytes > segment_bytes - SEGMENT_HEADER_BYTES -
				       TAG_BYTES - TRAILER_BYTES ||
	    (out->index_bytes - INDEX_FIXED_BYTES) % INDEX_ENTRY_BYTES)
		return -1;
	return 0;
}

/*
 * head:  0 segment 4 | 4 stream 4 | 8 serial 8 | 16 first_recno 8 |
 *        24 last_recno 8 | 32 next_segment 4 | 36 entries 4 |
 *        40 next_salt 16 | 56 zero 8
 */
void
index_head_encode(const struct index_head *head, uint8_t out[INDEX_FIXED_BYTES])
{
	memset(out, 0, INDEX_FIXED_BYTES);
	put32(out, head->segment);
	put32(out + 4, head->stream);
	put64(out + 8, head->serial);
	put64(out + 16, head->first_recno);
	put64(out + 24, head->last_recno);
	put32(out + 32, head->next_segment);
	put32(out + 36, head->entry_count);
	memcpy(out + 40, head->next_salt, SALT_BYTES);
}

int
index_head_decode(const uint8_t *in, uint32_t index_len, struct index_head *out)
{
	if (index_len < INDEX_FIXED_BYTES)
		return -1;
	out->segment = get32(in);
	out->stream = get32(in + 4);
	out->serial = get64(in + 8);
	out->first_recno = get64(in + 16);
	out->last_recno = get64(in + 24);
	out->next_segment = get32(in + 32);
	out->entry_count = get32(in + 36);
	memcpy(out->next_salt, in + 40, SALT_BYTES);
	if (!all_zero(in + 56, 8) || out->first_recno == 0 ||
	    out->last_recno + 1 < out->first_recno ||
	    out->entry_count != (index_len - INDEX_FIXED_BYTES) / INDEX_ENTRY_BYTES)
		return -1;
	return 0;
}

/*
 * entry: 0 offset/8 4 | 4 kind 1 | 5 flags 1 | 6 zero 2 | 8 layer 4 |
 *        12 count 4 | 16 lba 8
 */
void
index_entry_encode(const struct index_entry *entry,
		   uint8_t out[INDEX_ENTRY_BYTES])
{
	put32(out, entry->offset / POSITION_UNIT);
	out[4] = entry->kind;
	out[5] = entry->flags;
	put16(out + 6, 0);
	put32(out + 8, entry->extent.layer);
	put32(out + 12, entry->extent.count_blocks);
	put64(out + 16, entry->extent.lba);
}

int
index_entry_decode(const uint8_t in[INDEX_ENTRY_BYTES], uint32_t segment_bytes,
		   struct index_entry *out)
{
	uint32_t unit = get32(in);
	uint64_t frames;

	out->kind = in[4];
	out->flags = in[5];
	out->extent.layer = get32(in + 8);
	out->extent.count_blocks = get32(in + 12);
	out->extent.lba = get64(in + 16);
	if (get16(in + 6) || out->flags & ~RECORD_GROUP_CONTINUES ||
	    (out->kind != RECORD_DATA && out->kind != RECORD_UNMAP) ||
	    out->extent.layer < 1 || out->extent.layer > LAYER_MAX ||
	    out->extent.count_blocks < 1 || out->extent.lba > LBA_MAX ||
	    out->extent.count_blocks > LBA_MAX + 1 - out->extent.lba ||
	    unit >= segment_bytes / POSITION_UNIT)
		return -1;
	out->offset = unit * POSITION_UNIT;
	frames = out->kind == RECORD_DATA ? out->extent.count_blocks : 0;
	if (out->offset < SEGMENT_HEADER_BYTES || frames > RECORD_BLOCKS_MAX ||
	    out->offset + frames * FRAME_BYTES > segment_bytes)
		return -1;
	return 0;
}
