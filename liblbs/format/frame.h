/*
 * frame.h - what of a frame is not encrypted: how long it is, FORMAT.md sections 6
 * and 6.1. Never encrypts, never compresses. Where frames vary, a stored block is
 * as long as its frame says, from 1 byte to BLOCK_BYTES, which means "as it is".
 */
#ifndef LBS_FORMAT_FRAME_H
#define LBS_FORMAT_FRAME_H

#include "liblbs/format/bytes.h"
#include "liblbs/format/layout.h"

/* Where the ciphertext begins. */
static inline uint32_t
frame_head_bytes(int vary)
{
	return vary ? NONCE_RANDOM_BYTES + 2 : NONCE_RANDOM_BYTES;
}

/* Of the frame of a stored block, padding included: how far it is to the next. */
static inline uint32_t
frame_bytes(int vary, uint32_t stored_bytes)
{
	return (uint32_t)round_up(frame_head_bytes(vary) + stored_bytes +
					  TAG_BYTES,
				  POSITION_UNIT);
}

/* No frame is longer: whoever has a position reads this much. */
static inline uint32_t
frame_bytes_max(int vary)
{
	return vary ? ZIP_FRAME_BYTES_MAX : FRAME_BYTES;
}

/* Puts the length where it belongs. */
static inline void
frame_put_stored(int vary, uint8_t *frame, uint32_t stored_bytes)
{
	if (vary)
		put16(frame + NONCE_RANDOM_BYTES, (uint16_t)stored_bytes);
}

/* How long the stored block in a frame is, of which so many bytes are in memory: 0
 * if it says none, or more than there are. */
static inline uint32_t
frame_stored_bytes(int vary, const uint8_t *frame, uint32_t have)
{
	uint32_t stored = BLOCK_BYTES;

	if (vary && have >= frame_head_bytes(vary))
		stored = get16(frame + NONCE_RANDOM_BYTES);
	return stored <= BLOCK_BYTES &&
			       have >= frame_head_bytes(vary) + stored + TAG_BYTES
		       ? stored
		       : 0;
}

#endif
