/*
 * record.c - FORMAT.md section 6.
 */
#include "liblbs/format/record.h"

#include <string.h>

#include "liblbs/format/frame.h"

static const uint8_t magic[4] = { 'L', 'B', 'S', 'r' };

/*
 * prefix:  0 magic 4 | 4 record_bytes 4 | 8 desc_bytes 2 | 10 zero 6 |
 *          16 random 8
 */
void
record_prefix_encode(const struct record_prefix *prefix,
		     uint8_t out[RECORD_PREFIX_BYTES])
{
	memset(out, 0, RECORD_PREFIX_BYTES);
	memcpy(out, magic, sizeof magic);
	put32(out + 4, prefix->record_bytes);
	put16(out + 8, prefix->desc_bytes);
	memcpy(out + 16, prefix->random, NONCE_RANDOM_BYTES);
}

/* Can that many bytes be frames; so many, if they are counted? */
static int
frames_fit(int vary, uint32_t bytes, uint32_t least, uint32_t most)
{
	if (!vary)
		return bytes % FRAME_BYTES == 0 &&
		       bytes / FRAME_BYTES >= least && bytes / FRAME_BYTES <= most;
	return bytes % POSITION_UNIT == 0 && bytes >= least * ZIP_FRAME_BYTES_MIN &&
	       bytes <= most * ZIP_FRAME_BYTES_MAX;
}

int
record_prefix_decode(const uint8_t in[RECORD_PREFIX_BYTES], uint64_t room_bytes,
		     int vary, struct record_prefix *out)
{
	if (memcmp(in, magic, sizeof magic) || !all_zero(in + 10, 6))
		return -1;
	out->vary = vary;
	out->record_bytes = get32(in + 4);
	out->desc_bytes = get16(in + 8);
	memcpy(out->random, in + 16, NONCE_RANDOM_BYTES);
	if (out->desc_bytes < record_desc_bytes(1) ||
	    out->desc_bytes > record_desc_bytes(RECORD_EXTENTS_MAX) ||
	    (out->desc_bytes - DESC_FIXED_BYTES) % EXTENT_BYTES)
		return -1;

	uint32_t extents = (out->desc_bytes - DESC_FIXED_BYTES) / EXTENT_BYTES;
	uint32_t head = record_frames_at(extents);

	if (out->record_bytes < head || out->record_bytes > room_bytes ||
	    !frames_fit(vary, out->record_bytes - head, 0, RECORD_BLOCKS_MAX))
		return -1;
	return 0;
}

/*
 * description: 0 recno 8 | 8 durable_to 8 | 16 checkpoint 8 | 24 kind 1 |
 *              25 flags 1 | 26 extents 2 | 28 frames 4 |
 *              32 extents x (layer 4, count 4, lba 8)
 */
void
record_desc_encode(const struct record_desc *desc, uint8_t *out)
{
	put64(out, desc->recno);
	put64(out + 8, desc->durable_to);
	put64(out + 16, desc->checkpoint);
	out[24] = desc->kind;
	out[25] = desc->flags;
	put16(out + 26, desc->extent_count);
	put32(out + 28, desc->frame_count);
	out += DESC_FIXED_BYTES;
	for (uint32_t i = 0; i < desc->extent_count; i++) {
		put32(out, desc->extents[i].layer);
		put32(out + 4, desc->extents[i].count_blocks);
		put64(out + 8, desc->extents[i].lba);
		out += EXTENT_BYTES;
	}
}

int
record_desc_decode(const uint8_t *in, const struct record_prefix *prefix,
		   struct record_desc *out)
{
	uint64_t blocks = 0;

	out->recno = get64(in);
	out->durable_to = get64(in + 8);
	out->checkpoint = get64(in + 16);
	out->kind = in[24];
	out->flags = in[25];
	out->extent_count = get16(in + 26);
	out->frame_count = get32(in + 28);
	if (out->extent_count < 1 || out->extent_count > RECORD_EXTENTS_MAX ||
	    record_desc_bytes(out->extent_count) != prefix->desc_bytes ||
	    out->flags & ~RECORD_GROUP_CONTINUES ||
	    out->recno == 0 || out->durable_to >= out->recno)
		return -1;
	in += DESC_FIXED_BYTES;
	for (uint32_t i = 0; i < out->extent_count; i++) {
		struct extent *e = &out->extents[i];

		e->layer = get32(in);
		e->count_blocks = get32(in + 4);
		e->lba = get64(in + 8);
		if (e->layer < 1 || e->layer > LAYER_MAX ||
		    e->count_blocks < 1 || e->lba > LBA_MAX ||
		    e->count_blocks > LBA_MAX + 1 - e->lba)
			return -1;
		blocks += e->count_blocks;
		in += EXTENT_BYTES;
	}
	if (out->kind == RECORD_DATA ? blocks != out->frame_count
				     : out->kind != RECORD_UNMAP ||
					       out->frame_count != 0)
		return -1;
	if (out->frame_count > RECORD_BLOCKS_MAX ||
	    !frames_fit(prefix->vary,
			prefix->record_bytes - record_frames_at(out->extent_count),
			out->frame_count, out->frame_count))
		return -1;
	return 0;
}
