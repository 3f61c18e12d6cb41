/*
 * card.h - the card file: whose card this is, and the session that last opened
 * it for writing. FORMAT.md section 4. Encodes and decodes; never encrypts.
 */
#ifndef LBS_FORMAT_CARD_H
#define LBS_FORMAT_CARD_H

#include "liblbs/format/layout.h"

#define CARD_SLOT_BYTES PAGE_BYTES
#define CARD_FILE_BYTES (2 * CARD_SLOT_BYTES)
#define CARD_PLAIN_BYTES 48u
#define CARD_SEALED_BYTES 32u
#define CARD_NONCE_BYTES 12

struct card_plain {
	uint8_t store_id[STORE_ID_BYTES];
	uint8_t nonce[CARD_NONCE_BYTES];
};

struct card_sealed {
	uint64_t session;	/* its slot is session modulo 2 */
	uint64_t checkpoint;
	uint64_t begun;		/* the last session that wrote to the log */
};

void card_plain_encode(const struct card_plain *plain,
		       uint8_t out[CARD_PLAIN_BYTES]);
/* 0, or -1 unless it is the plain part of a slot of this version. */
int card_plain_decode(const uint8_t in[CARD_PLAIN_BYTES],
		      struct card_plain *out);
void card_sealed_encode(const struct card_sealed *sealed,
			uint8_t out[CARD_SEALED_BYTES]);
/* 0, or -1 unless each number may be in a slot. */
int card_sealed_decode(const uint8_t in[CARD_SEALED_BYTES],
		       struct card_sealed *out);

#endif
