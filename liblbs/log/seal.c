/*
 * seal.c - see seal.h. The nonce of everything in a segment is eight random
 * bytes and the offset where it lies: see crypto/aead.h for the argument.
 */
#include "liblbs/log/seal.h"

#include <string.h>

#include "crypto/kdf.h"
#include "crypto/secret.h"
#include "liblbs/format/bytes.h"

static void
make_nonce(uint8_t nonce[AEAD_NONCE_BYTES],
	   const uint8_t random[NONCE_RANDOM_BYTES], uint32_t offset)
{
	memcpy(nonce, random, NONCE_RANDOM_BYTES);
	put32(nonce + NONCE_RANDOM_BYTES, offset);
}

void
seal_card(const struct sealer *s, const struct card_sealed *in,
	  uint8_t slot[CARD_SLOT_BYTES])
{
	uint8_t key[AEAD_KEY_BYTES], body[CARD_SEALED_BYTES];
	struct card_plain plain;

	memset(slot, 0, CARD_SLOT_BYTES);
	memcpy(plain.store_id, s->store_id, STORE_ID_BYTES);
	secret_random(plain.nonce, CARD_NONCE_BYTES);
	card_plain_encode(&plain, slot);
	card_sealed_encode(in, body);
	kdf_card_key(s->data_key, s->store_id, key);
	aead_seal(s->cipher, key, plain.nonce, slot, CARD_PLAIN_BYTES, body,
		  sizeof body, slot + CARD_PLAIN_BYTES);
	secret_wipe(key, sizeof key);
}

int
open_card(const struct sealer *s, const uint8_t slot[CARD_SLOT_BYTES],
	  int *is_card, uint8_t store_id[STORE_ID_BYTES], struct card_sealed *out)
{
	uint8_t key[AEAD_KEY_BYTES], body[CARD_SEALED_BYTES];
	struct card_plain plain;
	int rc;

	*is_card = card_plain_decode(slot, &plain) == 0;
	if (!*is_card)
		return SEAL_NO;
	memcpy(store_id, plain.store_id, STORE_ID_BYTES);
	kdf_card_key(s->data_key, s->store_id, key);
	rc = aead_open(s->cipher, key, plain.nonce, slot, CARD_PLAIN_BYTES,
		       slot + CARD_PLAIN_BYTES, sizeof body + TAG_BYTES, body);
	secret_wipe(key, sizeof key);
	return rc == 0 && card_sealed_decode(body, out) == 0 ? SEAL_OK : SEAL_NO;
}

void
seal_header(const struct sealer *s, const uint8_t *key,
	    const uint8_t salt[SALT_BYTES], const struct segment_sealed *in,
	    uint8_t page[PAGE_BYTES])
{
	uint8_t nonce[AEAD_NONCE_BYTES], body[SEGMENT_SEALED_BYTES];
	struct segment_plain plain;

	memset(page, 0, PAGE_BYTES);
	memcpy(plain.store_id, s->store_id, STORE_ID_BYTES);
	memcpy(plain.salt, salt, SALT_BYTES);
	secret_unique(plain.random);
	segment_plain_encode(&plain, page);
	segment_sealed_encode(in, body);
	make_nonce(nonce, plain.random, 0);
	aead_seal(s->cipher, key, nonce, page, SEGMENT_PLAIN_BYTES, body,
		  sizeof body, page + SEGMENT_PLAIN_BYTES);
}

int
open_header(const struct sealer *s, uint32_t segment,
	    const uint8_t page[PAGE_BYTES], uint8_t salt[SALT_BYTES],
	    struct segment_sealed *out)
{
	uint8_t key[AEAD_KEY_BYTES], nonce[AEAD_NONCE_BYTES];
	uint8_t body[SEGMENT_SEALED_BYTES];
	struct segment_plain plain;
	int rc;

	if (segment_plain_decode(page, &plain) ||
	    memcmp(plain.store_id, s->store_id, STORE_ID_BYTES))
		return SEAL_NO;
	kdf_segment_key(s->data_key, s->store_id, segment, plain.salt, key);
	make_nonce(nonce, plain.random, 0);
	rc = aead_open(s->cipher, key, nonce, page, SEGMENT_PLAIN_BYTES,
		       page + SEGMENT_PLAIN_BYTES, sizeof body + TAG_BYTES,
		       body);
	secret_wipe(key, sizeof key);
	if (rc || segment_sealed_decode(body, out) || out->segment != segment)
		return SEAL_NO;
	memcpy(salt, plain.salt, SALT_BYTES);
	return SEAL_OK;
}

/* Frames say what they are, so that a frame never passes for another block; and how
 * long, where they vary, so that the length is not believed either. */
#define FRAME_AD_BYTES 16
#define ZIP_FRAME_AD_BYTES 18

static size_t
frame_ad(const struct sealer *s, uint8_t ad[ZIP_FRAME_AD_BYTES], uint32_t layer,
	 uint64_t lba, uint32_t stored)
{
	memcpy(ad, sealer_varies(s) ? "LBSz" : "LBSf", 4);
	put32(ad + 4, layer);
	put64(ad + 8, lba);
	if (!sealer_varies(s))
		return FRAME_AD_BYTES;
	put16(ad + FRAME_AD_BYTES, (uint16_t)stored);
	return ZIP_FRAME_AD_BYTES;
}

uint32_t
seal_pack(const struct sealer *s, const uint8_t block[BLOCK_BYTES], uint8_t *out)
{
	uint8_t still[BLOCK_BYTES];
	size_t n;

	memcpy(still, block, BLOCK_BYTES);
	n = zip_pack(s->zip, still, BLOCK_BYTES, out, ZIP_BLOCK_BYTES_MAX);
	if (n == 0)
		memcpy(out, still, n = BLOCK_BYTES);
	secret_wipe(still, sizeof still);
	return (uint32_t)n;
}

/* block may lie where the ciphertext will be. Returns how far it is to the next. */
static uint32_t
seal_frame(const struct sealer *s, const uint8_t *key,
	   const uint8_t random[NONCE_RANDOM_BYTES], uint32_t offset,
	   uint32_t layer, uint64_t lba, const uint8_t *block, uint32_t stored,
	   uint8_t *frame)
{
	uint8_t nonce[AEAD_NONCE_BYTES], ad[ZIP_FRAME_AD_BYTES];
	int vary = sealer_varies(s);
	uint32_t head = frame_head_bytes(vary), all = frame_bytes(vary, stored);
	size_t ad_len = frame_ad(s, ad, layer, lba, stored);

	make_nonce(nonce, random, offset);
	memcpy(frame, random, NONCE_RANDOM_BYTES);
	frame_put_stored(vary, frame, stored);
	aead_seal(s->cipher, key, nonce, ad, ad_len, block, stored, frame + head);
	memset(frame + head + stored + TAG_BYTES, 0,
	       all - head - stored - TAG_BYTES);
	return all;
}

static void
seal_head(const struct sealer *s, const uint8_t *key, uint32_t offset,
	  const struct record_desc *desc, const struct record_prefix *prefix,
	  uint8_t *out)
{
	uint8_t nonce[AEAD_NONCE_BYTES];
	uint8_t body[DESC_FIXED_BYTES + RECORD_EXTENTS_MAX * EXTENT_BYTES];

	record_prefix_encode(prefix, out);
	record_desc_encode(desc, body);
	make_nonce(nonce, prefix->random, offset + RECORD_PREFIX_BYTES);
	aead_seal(s->cipher, key, nonce, out, RECORD_PREFIX_BYTES, body,
		  prefix->desc_bytes, out + RECORD_PREFIX_BYTES);
}

uint32_t
seal_record(const struct sealer *s, const uint8_t *key, uint32_t offset,
	    const struct record_desc *desc,
	    const uint8_t *(*block)(void *ctx, uint32_t i), void *ctx,
	    const uint16_t *stored, uint8_t *out)
{
	struct record_prefix prefix = {
		.desc_bytes = (uint16_t)record_desc_bytes(desc->extent_count)
	};
	uint32_t at = record_frames_at(desc->extent_count), frame = 0;
	uint32_t extents = desc->kind == RECORD_DATA ? desc->extent_count : 0;

	secret_unique(prefix.random);
	for (uint32_t e = 0; e < extents; e++) {
		const struct extent *x = &desc->extents[e];

		for (uint32_t i = 0; i < x->count_blocks; i++, frame++) {
			uint8_t *there = out + at +
					 frame_head_bytes(sealer_varies(s));
			const uint8_t *from = there;
			uint32_t n = BLOCK_BYTES;

			if (stored)
				n = stored[frame];
			else if (sealer_varies(s))
				n = seal_pack(s, block(ctx, frame), there);
			else
				from = block(ctx, frame);
			at += seal_frame(s, key, prefix.random, offset + at,
					 x->layer, x->lba + i, from, n, out + at);
		}
	}
	prefix.record_bytes = at;
	seal_head(s, key, offset, desc, &prefix, out);
	return at;
}

int
open_record_head(const struct sealer *s, const uint8_t *key, uint32_t offset,
		 const uint8_t *in, uint32_t have, uint32_t room,
		 struct record_prefix *prefix, struct record_desc *desc)
{
	uint8_t nonce[AEAD_NONCE_BYTES];
	uint8_t body[DESC_FIXED_BYTES + RECORD_EXTENTS_MAX * EXTENT_BYTES];

	if (have < RECORD_PREFIX_BYTES ||
	    record_prefix_decode(in, room, sealer_varies(s), prefix) ||
	    have < RECORD_PREFIX_BYTES + prefix->desc_bytes + TAG_BYTES)
		return SEAL_NO;
	make_nonce(nonce, prefix->random, offset + RECORD_PREFIX_BYTES);
	if (aead_open(s->cipher, key, nonce, in, RECORD_PREFIX_BYTES,
		      in + RECORD_PREFIX_BYTES,
		      (size_t)prefix->desc_bytes + TAG_BYTES, body))
		return SEAL_NO;
	return record_desc_decode(body, prefix, desc) ? SEAL_NO : SEAL_OK;
}

int
open_stored(const struct sealer *s, const uint8_t *key, uint32_t offset,
	    uint32_t layer, uint64_t lba, const uint8_t *frame, uint32_t have,
	    uint8_t *out, uint16_t *stored)
{
	uint8_t nonce[AEAD_NONCE_BYTES], ad[ZIP_FRAME_AD_BYTES];
	uint32_t n = frame_stored_bytes(sealer_varies(s), frame, have);
	size_t ad_len = frame_ad(s, ad, layer, lba, n);

	if (!n)
		return SEAL_NO;
	*stored = (uint16_t)n;
	make_nonce(nonce, frame, offset);
	return aead_open(s->cipher, key, nonce, ad, ad_len,
			 frame + frame_head_bytes(sealer_varies(s)),
			 (size_t)n + TAG_BYTES, out)
		       ? SEAL_NO
		       : SEAL_OK;
}

int
open_frame(const struct sealer *s, const uint8_t *key, uint32_t offset,
	   uint32_t layer, uint64_t lba, const uint8_t *frame, uint32_t have,
	   uint8_t *out)
{
	uint8_t packed[BLOCK_BYTES];
	uint32_t n = frame_stored_bytes(sealer_varies(s), frame, have);
	uint16_t stored;

	if (n == BLOCK_BYTES || !n)
		return open_stored(s, key, offset, layer, lba, frame, have, out,
				   &stored);
	/* Authentic, so of our own making; its length is not believed either. */
	return open_stored(s, key, offset, layer, lba, frame, have, packed,
			   &stored) ||
			       zip_unpack(s->zip, packed, stored, out,
					  BLOCK_BYTES)
		       ? SEAL_NO
		       : SEAL_OK;
}

void
seal_index(const struct sealer *s, const uint8_t *key, const uint8_t *plain,
	   uint32_t plain_len, uint8_t *out)
{
	uint8_t nonce[AEAD_NONCE_BYTES];
	struct trailer trailer = { .index_bytes = plain_len };
	uint8_t *end = out + plain_len + TAG_BYTES;
	uint32_t offset = s->segment_bytes - TRAILER_BYTES - TAG_BYTES -
			  plain_len;

	secret_unique(trailer.random);
	trailer_encode(&trailer, end);
	make_nonce(nonce, trailer.random, offset);
	aead_seal(s->cipher, key, nonce, end, TRAILER_BYTES, plain, plain_len,
		  out);
}

int
open_index(const struct sealer *s, const uint8_t *key,
	   const uint8_t trailer_bytes[TRAILER_BYTES], const uint8_t *in,
	   uint32_t sealed_len, uint8_t *out)
{
	uint8_t nonce[AEAD_NONCE_BYTES];
	struct trailer trailer;

	if (trailer_decode(trailer_bytes, s->segment_bytes, &trailer) ||
	    sealed_len != trailer.index_bytes + TAG_BYTES)
		return SEAL_NO;
	make_nonce(nonce, trailer.random,
		   s->segment_bytes - TRAILER_BYTES - sealed_len);
	return aead_open(s->cipher, key, nonce, trailer_bytes, TRAILER_BYTES, in,
			 sealed_len, out)
		       ? SEAL_NO
		       : SEAL_OK;
}
