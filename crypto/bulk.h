/*
 * bulk.h - the ciphers of aead.h for messages of a KiB and more, by OpenSSL, which
 * is faster than libsodium at these (DESIGN.md, "The data path") and slower at short
 * ones. For aead.c alone. Must never give other bytes than libsodium does. FORMAT.md
 * section 3.
 */
#ifndef LBS_CRYPTO_BULK_H
#define LBS_CRYPTO_BULK_H

#include "crypto/aead.h"

/* Shorter ones are sooner done by libsodium. */
#define BULK_BYTES 1024u

enum {
	BULK_DONE = 0,
	BULK_FORGED = -1,	/* does not authenticate: m is zeroed */
	BULK_CANNOT = 1		/* nothing was touched: the cipher or memory is
				 * missing */
};

/* As aead_seal and aead_open, except for the results. m_len is without the tag. */
int bulk_seal(int cipher, const uint8_t key[AEAD_KEY_BYTES],
	      const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t *ad,
	      size_t ad_len, const uint8_t *m, size_t m_len, uint8_t *c)
	__attribute__((warn_unused_result));
int bulk_open(int cipher, const uint8_t key[AEAD_KEY_BYTES],
	      const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t *ad,
	      size_t ad_len, const uint8_t *c, size_t m_len, uint8_t *m)
	__attribute__((warn_unused_result));

#endif
