/*
 * index.h - the sealed index and the plain trailer that end a closed segment,
 * FORMAT.md section 7. Encodes and decodes; never encrypts.
 */
#ifndef LBS_FORMAT_INDEX_H
#define LBS_FORMAT_INDEX_H

#include "liblbs/format/layout.h"
#include "liblbs/format/record.h"

struct trailer {
	uint32_t index_bytes;	/* of the ciphertext, without its tag */
	uint8_t random[NONCE_RANDOM_BYTES];
};

struct index_head {
	uint32_t segment, stream;
	uint64_t serial;
	uint64_t first_recno, last_recno; /* last < first: holds no record */
	uint32_t next_segment;
	uint32_t entry_count;
	uint8_t next_salt[SALT_BYTES];
};

/* One extent of one record; a record of e extents has e entries in a row. */
struct index_entry {
	uint32_t offset;	/* in the segment: of the extent's first frame,
				 * or of the record where there are none */
	uint8_t kind, flags;	/* of the record */
	struct extent extent;
};

void trailer_encode(const struct trailer *trailer, uint8_t out[TRAILER_BYTES]);
/* 0, or -1 unless valid for a segment of that size. */
int trailer_decode(const uint8_t in[TRAILER_BYTES], uint32_t segment_bytes,
		   struct trailer *out);

static inline uint32_t
index_bytes(uint32_t entry_count)
{
	return INDEX_FIXED_BYTES + entry_count * INDEX_ENTRY_BYTES;
}

/* Bytes that a closed segment needs at its end for that many entries. */
static inline uint32_t
index_tail_bytes(uint32_t entry_count)
{
	return index_bytes(entry_count) + TAG_BYTES + TRAILER_BYTES;
}

void index_head_encode(const struct index_head *head,
		       uint8_t out[INDEX_FIXED_BYTES]);
/* 0, or -1 unless the head is valid for an index of index_len bytes. */
int index_head_decode(const uint8_t *in, uint32_t index_len,
		      struct index_head *out);
void index_entry_encode(const struct index_entry *entry,
			uint8_t out[INDEX_ENTRY_BYTES]);
/* 0, or -1 unless the extent is one, and its frames lie in a segment of that size. */
int index_entry_decode(const uint8_t in[INDEX_ENTRY_BYTES],
		       uint32_t segment_bytes, struct index_entry *out);

#endif
