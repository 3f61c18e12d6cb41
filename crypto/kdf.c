/*
 * kdf.c - key derivation by keyed BLAKE2b. The input has a fixed length and
 * begins with the job's name, so two jobs never share an input.
 */
#include "crypto/kdf.h"

#include <sodium.h>
#include <string.h>

#define INPUT_BYTES (8 + KDF_STORE_ID_BYTES + 4 + KDF_SALT_BYTES)

static void
derive(const uint8_t data_key[AEAD_KEY_BYTES], const char label[8],
       const uint8_t store_id[KDF_STORE_ID_BYTES], uint32_t segment,
       const uint8_t salt[KDF_SALT_BYTES], uint8_t key[AEAD_KEY_BYTES])
{
	uint8_t in[INPUT_BYTES];

	memcpy(in, label, 8);
	memcpy(in + 8, store_id, KDF_STORE_ID_BYTES);
	for (int i = 0; i < 4; i++)
		in[24 + i] = (uint8_t)(segment >> (8 * i));
	memcpy(in + 28, salt, KDF_SALT_BYTES);
	crypto_generichash(key, AEAD_KEY_BYTES, in, sizeof in, data_key,
			   AEAD_KEY_BYTES);
}

void
kdf_segment_key(const uint8_t data_key[AEAD_KEY_BYTES],
		const uint8_t store_id[KDF_STORE_ID_BYTES], uint32_t segment,
		const uint8_t salt[KDF_SALT_BYTES], uint8_t key[AEAD_KEY_BYTES])
{
	derive(data_key, "LBSseg1", store_id, segment, salt, key);
}

void
kdf_card_key(const uint8_t data_key[AEAD_KEY_BYTES],
	     const uint8_t store_id[KDF_STORE_ID_BYTES],
	     uint8_t key[AEAD_KEY_BYTES])
{
	static const uint8_t none[KDF_SALT_BYTES];

	derive(data_key, "LBScard", store_id, 0, none, key);
}
