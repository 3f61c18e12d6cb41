/*
 * record.h - the plain prefix and the sealed description of a record, FORMAT.md
 * section 6. Encodes and decodes; never encrypts.
 */
#ifndef LBS_FORMAT_RECORD_H
#define LBS_FORMAT_RECORD_H

#include <stdint.h>

#include "liblbs/format/layout.h"

enum { RECORD_DATA = 1, RECORD_UNMAP = 2 };
enum { RECORD_GROUP_CONTINUES = 1 };

struct extent {
	uint32_t layer;
	uint32_t count_blocks;
	uint64_t lba;
};

/* What the plain prefix says: sizes only, bounded before anything is read. */
struct record_prefix {
	uint32_t record_bytes;	/* prefix, description, tag, frames */
	uint16_t desc_bytes;	/* of the description, without its tag */
	uint8_t random[NONCE_RANDOM_BYTES];
	int vary;		/* its frames do: not encoded */
};

struct record_desc {
	uint64_t recno;
	uint64_t durable_to;	/* every record up to here was known durable */
	uint64_t checkpoint;	/* number of the last completed checkpoint */
	uint8_t kind, flags;
	uint16_t extent_count;
	uint32_t frame_count;	/* blocks of the extents, for data; else 0 */
	struct extent extents[RECORD_EXTENTS_MAX];
};

static inline uint32_t
record_desc_bytes(uint32_t extent_count)
{
	return DESC_FIXED_BYTES + EXTENT_BYTES * extent_count;
}

/* Where the frames begin, from the start of the record. */
static inline uint32_t
record_frames_at(uint32_t extent_count)
{
	return RECORD_PREFIX_BYTES + record_desc_bytes(extent_count) + TAG_BYTES;
}

static inline uint32_t
record_bytes(uint32_t extent_count, uint32_t frame_count)
{
	return record_frames_at(extent_count) + frame_count * FRAME_BYTES;
}

void record_prefix_encode(const struct record_prefix *prefix,
			  uint8_t out[RECORD_PREFIX_BYTES]);
/* 0, or -1 unless the prefix is valid and fits into room_bytes. vary: frames are of
 * the lengths that they say. */
int record_prefix_decode(const uint8_t in[RECORD_PREFIX_BYTES],
			 uint64_t room_bytes, int vary,
			 struct record_prefix *out);

/* Writes record_desc_bytes(desc->extent_count). */
void record_desc_encode(const struct record_desc *desc, uint8_t *out);
/* 0, or -1 unless the description is valid and agrees with the prefix. */
int record_desc_decode(const uint8_t *in, const struct record_prefix *prefix,
		       struct record_desc *out);

#endif
