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

/* Frames say what they are, so that a frame never passes for another block. */
#define FRAME_AD_BYTES 16

static void
frame_ad(uint8_t ad[FRAME_AD_BYTES], uint32_t layer, uint64_t lba)
{
	memcpy(ad, "LBSf", 4);
	put32(ad + 4, layer);
	put64(ad + 8, lba);
}

void
seal_record(const struct sealer *s, const uint8_t *key, uint32_t offset,
	    const struct record_desc *desc,
	    const uint8_t *(*block)(void *ctx, uint32_t i), void *ctx,
	    uint8_t *out)
{
	uint8_t nonce[AEAD_NONCE_BYTES], ad[FRAME_AD_BYTES];
	uint8_t body[DESC_FIXED_BYTES + RECORD_EXTENTS_MAX * EXTENT_BYTES];
	struct record_prefix prefix;
	uint32_t at, frame = 0;

	prefix.desc_bytes = (uint16_t)record_desc_bytes(desc->extent_count);
	prefix.record_bytes =
		record_bytes(desc->extent_count, desc->frame_count);
	secret_unique(prefix.random);
	record_prefix_encode(&prefix, out);
	record_desc_encode(desc, body);
	make_nonce(nonce, prefix.random, offset + RECORD_PREFIX_BYTES);
	aead_seal(s->cipher, key, nonce, out, RECORD_PREFIX_BYTES, body,
		  prefix.desc_bytes, out + RECORD_PREFIX_BYTES);
	if (desc->kind != RECORD_DATA)
		return;
	at = record_frames_at(desc->extent_count);
	for (uint32_t e = 0; e < desc->extent_count; e++) {
		const struct extent *x = &desc->extents[e];

		for (uint32_t i = 0; i < x->count_blocks; i++) {
			frame_ad(ad, x->layer, x->lba + i);
			make_nonce(nonce, prefix.random, offset + at);
			memcpy(out + at, prefix.random, NONCE_RANDOM_BYTES);
			aead_seal(s->cipher, key, nonce, ad, sizeof ad,
				  block(ctx, frame++), BLOCK_BYTES,
				  out + at + NONCE_RANDOM_BYTES);
			at += FRAME_BYTES;
		}
	}
}

int
open_record_head(const struct sealer *s, const uint8_t *key, uint32_t offset,
		 const uint8_t *in, uint32_t have, uint32_t room,
		 struct record_prefix *prefix, struct record_desc *desc)
{
	uint8_t nonce[AEAD_NONCE_BYTES];
	uint8_t body[DESC_FIXED_BYTES + RECORD_EXTENTS_MAX * EXTENT_BYTES];

	if (have < RECORD_PREFIX_BYTES ||
	    record_prefix_decode(in, room, prefix) ||
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
open_frame(const struct sealer *s, const uint8_t *key, uint32_t offset,
	   uint32_t layer, uint64_t lba, const uint8_t *frame, uint8_t *out)
{
	uint8_t nonce[AEAD_NONCE_BYTES], ad[FRAME_AD_BYTES];

	frame_ad(ad, layer, lba);
	make_nonce(nonce, frame, offset);
	return aead_open(s->cipher, key, nonce, ad, sizeof ad,
			 frame + NONCE_RANDOM_BYTES, BLOCK_BYTES + TAG_BYTES,
			 out)
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
