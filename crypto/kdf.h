/*
 * kdf.h - the keys that are derived from a store's data key. One key for one
 * job. FORMAT.md section 3.
 */
#ifndef LBS_CRYPTO_KDF_H
#define LBS_CRYPTO_KDF_H

#include <stdint.h>

#include "crypto/aead.h"

#define KDF_SALT_BYTES 16
#define KDF_STORE_ID_BYTES 16

/* The key of one use of one segment. */
void kdf_segment_key(const uint8_t data_key[AEAD_KEY_BYTES],
		     const uint8_t store_id[KDF_STORE_ID_BYTES],
		     uint32_t segment, const uint8_t salt[KDF_SALT_BYTES],
		     uint8_t key[AEAD_KEY_BYTES]);
/* The key of the card file. */
void kdf_card_key(const uint8_t data_key[AEAD_KEY_BYTES],
		  const uint8_t store_id[KDF_STORE_ID_BYTES],
		  uint8_t key[AEAD_KEY_BYTES]);

#endif
