/*
 * segment.h - the header page of a segment, FORMAT.md section 5. Encodes and
 * decodes; never encrypts.
 */
#ifndef LBS_FORMAT_SEGMENT_H
#define LBS_FORMAT_SEGMENT_H

#include "liblbs/format/layout.h"

/* No segment has this number. */
#define NO_SEGMENT UINT32_MAX

#define SEGMENT_PLAIN_BYTES 64u
#define SEGMENT_SEALED_BYTES 48u

enum { STREAM_LOG = 0, STREAM_CLEANER = 1 };

struct segment_plain {
	uint8_t store_id[STORE_ID_BYTES];
	uint8_t salt[SALT_BYTES];
	uint8_t random[NONCE_RANDOM_BYTES];
};

struct segment_sealed {
	uint32_t segment, stream;
	uint64_t serial;	/* of this use of a segment; never repeats */
	uint64_t session;
	uint64_t first_recno;	/* of the first record it may hold */
	uint64_t checkpoint;
};

void segment_plain_encode(const struct segment_plain *plain,
			  uint8_t out[SEGMENT_PLAIN_BYTES]);
/* 0, or -1 unless it is the plain part of a header of this version. */
int segment_plain_decode(const uint8_t in[SEGMENT_PLAIN_BYTES],
			 struct segment_plain *out);
void segment_sealed_encode(const struct segment_sealed *sealed,
			   uint8_t out[SEGMENT_SEALED_BYTES]);
/* 0, or -1 unless each number may be in a header. */
int segment_sealed_decode(const uint8_t in[SEGMENT_SEALED_BYTES],
			  struct segment_sealed *out);

#endif
