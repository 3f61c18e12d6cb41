/*
 * seal.h - format and crypto put together: what lies on the card, sealed and
 * opened. Knows keys and positions, does no I/O. FORMAT.md sections 3 to 7.
 * Nothing of a guest's comes to the card but what is made here (DESIGN.md promise 5).
 */
#ifndef LBS_LOG_SEAL_H
#define LBS_LOG_SEAL_H

#include "crypto/aead.h"
#include "liblbs/format/card.h"
#include "liblbs/format/frame.h"
#include "liblbs/format/index.h"
#include "liblbs/format/record.h"
#include "liblbs/format/segment.h"
#include "zip/zip.h"

/* Constant after the store is open. */
struct sealer {
	int cipher;
	uint32_t segment_bytes;
	uint8_t store_id[STORE_ID_BYTES];
	const uint8_t *data_key; /* secret memory */
	struct zip *zip;	/* NULL: blocks are stored as they are, in frames
				 * of one length; else frames vary */
};

static inline int
sealer_varies(const struct sealer *s)
{
	return s->zip != NULL;
}

/* What all that open give: data that does not authenticate is never an error code of
 * the caller's making, just "no". */
enum { SEAL_OK = 0, SEAL_NO = -1 };

/* Writes a slot of the card file, with a nonce of its own. */
void seal_card(const struct sealer *s, const struct card_sealed *in,
	       uint8_t slot[CARD_SLOT_BYTES]);
/* Also tells whose card it is (plain->store_id) when only the plain part is
 * well-formed: then *is_card is 1. */
int open_card(const struct sealer *s, const uint8_t slot[CARD_SLOT_BYTES],
	      int *is_card, uint8_t store_id[STORE_ID_BYTES],
	      struct card_sealed *out);

/* Writes the header page of a segment, sealed with the key that salt gives. */
void seal_header(const struct sealer *s, const uint8_t *key,
		 const uint8_t salt[SALT_BYTES],
		 const struct segment_sealed *in, uint8_t page[PAGE_BYTES]);
/* Opens a header with the key that its own salt gives: says what is on the
 * card, not that it is what should be there. */
int open_header(const struct sealer *s, uint32_t segment,
		const uint8_t page[PAGE_BYTES], uint8_t salt[SALT_BYTES],
		struct segment_sealed *out);

/* Writes a block as it is stored where frames vary: compressed if that makes it
 * short enough. How long it became; out has room for a block. The block is read once:
 * a guest may change memory that it has handed over, and what a compressor has seen in
 * two states may open to nothing. */
uint32_t seal_pack(const struct sealer *s, const uint8_t block[BLOCK_BYTES],
		   uint8_t *out);

/* Writes a whole record to out, and says how long it is. offset is where it will
 * lie in its segment; block(ctx, i) gives the plaintext of frame i. Or, with stored:
 * out holds the stored blocks already, each where its frame's ciphertext will be,
 * and stored says how long they are. */
uint32_t seal_record(const struct sealer *s, const uint8_t *key, uint32_t offset,
		     const struct record_desc *desc,
		     const uint8_t *(*block)(void *ctx, uint32_t i), void *ctx,
		     const uint16_t *stored, uint8_t *out);
/* Opens prefix and description at in, of which room bytes are in the segment
 * and have bytes are in memory (at least the whole head). */
int open_record_head(const struct sealer *s, const uint8_t *key,
		     uint32_t offset, const uint8_t *in, uint32_t have,
		     uint32_t room, struct record_prefix *prefix,
		     struct record_desc *desc);
/* The most bytes that open_record_head may look at. */
#define RECORD_HEAD_MAX_BYTES \
	(RECORD_PREFIX_BYTES + DESC_FIXED_BYTES + \
	 RECORD_EXTENTS_MAX * EXTENT_BYTES + TAG_BYTES)

/* Opens one frame lying at offset, of which so many bytes are at frame (at most
 * frame_bytes_max are looked at), into out (a block). */
int open_frame(const struct sealer *s, const uint8_t *key, uint32_t offset,
	       uint32_t layer, uint64_t lba, const uint8_t *frame, uint32_t have,
	       uint8_t *out);
/* The same, but out gets the block as it is stored, which is how it can be sealed
 * again, and stored its length. */
int open_stored(const struct sealer *s, const uint8_t *key, uint32_t offset,
		uint32_t layer, uint64_t lba, const uint8_t *frame,
		uint32_t have, uint8_t *out, uint16_t *stored);

/* Writes the index and trailer: index_tail_bytes(head->entry_count) bytes that
 * belong at the end of the segment. plain is that index's content. */
void seal_index(const struct sealer *s, const uint8_t *key,
		const uint8_t *plain, uint32_t plain_len, uint8_t *out);
/* Opens what seal_index wrote: in holds sealed_len = trailer.index_bytes + tag
 * bytes before the trailer; the content goes to out. */
int open_index(const struct sealer *s, const uint8_t *key,
	       const uint8_t trailer[TRAILER_BYTES], const uint8_t *in,
	       uint32_t sealed_len, uint8_t *out);

#endif
