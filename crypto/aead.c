/*
 * aead.c - the ciphers behind aead.h, by libsodium; long messages by OpenSSL where it
 * has them.
 */
#include "crypto/aead.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "crypto/bulk.h"

int
aead_available(int cipher)
{
	switch (cipher) {
	case AEAD_CHACHA20POLY1305:
		return 1;
	case AEAD_AES256GCM:
		/* libsodium looks at the processor only when it starts. */
		return sodium_init() >= 0 &&
		       crypto_aead_aes256gcm_is_available();
	}
	return 0;
}

const char *
aead_name(int cipher)
{
	switch (cipher) {
	case AEAD_CHACHA20POLY1305:
		return "chacha20poly1305";
	case AEAD_AES256GCM:
		return "aes256gcm";
	case AEAD_AEGIS256:
		return "aegis256";
	}
	return "unknown";
}

int
aead_seal(int cipher, const uint8_t key[AEAD_KEY_BYTES],
	  const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t *ad,
	  size_t ad_len, const uint8_t *m, size_t m_len, uint8_t *c)
{
	int rc = BULK_CANNOT;

	if (m_len >= BULK_BYTES)
		rc = bulk_seal(cipher, key, nonce, ad, ad_len, m, m_len, c);
	if (rc != BULK_CANNOT)
		return rc;
	if (cipher == AEAD_AES256GCM)
		return crypto_aead_aes256gcm_encrypt(c, NULL, m, m_len, ad,
						     ad_len, NULL, nonce, key);
	assert(cipher == AEAD_CHACHA20POLY1305);
	return crypto_aead_chacha20poly1305_ietf_encrypt(
		c, NULL, m, m_len, ad, ad_len, NULL, nonce, key);
}

int
aead_open(int cipher, const uint8_t key[AEAD_KEY_BYTES],
	  const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t *ad,
	  size_t ad_len, const uint8_t *c, size_t c_len, uint8_t *m)
{
	int rc = BULK_CANNOT;

	if (c_len < AEAD_TAG_BYTES)
		return -1;
	if (c_len >= BULK_BYTES + AEAD_TAG_BYTES)
		rc = bulk_open(cipher, key, nonce, ad, ad_len, c,
			       c_len - AEAD_TAG_BYTES, m);
	if (rc != BULK_CANNOT)
		return rc;
	if (cipher == AEAD_AES256GCM)
		return crypto_aead_aes256gcm_decrypt(m, NULL, NULL, c, c_len,
						     ad, ad_len, nonce, key);
	assert(cipher == AEAD_CHACHA20POLY1305);
	return crypto_aead_chacha20poly1305_ietf_decrypt(
		m, NULL, NULL, c, c_len, ad, ad_len, nonce, key);
}
