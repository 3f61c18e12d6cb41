/*
 * aead.h - authenticated encryption of one message, by one of two ciphers; a third
 * has its number, and is in no build yet.
 * Never parses what it seals. FORMAT.md section 3.
 *
 * The nonce rule (DESIGN.md promise 8): a key belongs to one use of one segment
 * (its random salt), each byte offset of a segment is sealed at most
 * once, and a nonce is eight random bytes of the record and the offset. Two
 * sealings under one key therefore differ in the offset, and where a frozen
 * process is resumed twice or a copy of the metadata is used, in the salt or
 * the eight random bytes.
 */
#ifndef LBS_CRYPTO_AEAD_H
#define LBS_CRYPTO_AEAD_H

#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY_BYTES 32
#define AEAD_NONCE_BYTES 12
#define AEAD_TAG_BYTES 16

/* The same numbers as LBS_CIPHER_..., kept in the metadata. */
enum { AEAD_CHACHA20POLY1305 = 1, AEAD_AES256GCM = 2, AEAD_AEGIS256 = 3 };

/* 1 if this build and this processor can do the cipher. */
int aead_available(int cipher);
const char *aead_name(int cipher);

/* Writes m_len + AEAD_TAG_BYTES to c, which is m or does not overlap it. The cipher
 * must be available. Returns 0. */
int aead_seal(int cipher, const uint8_t key[AEAD_KEY_BYTES],
	      const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t *ad,
	      size_t ad_len, const uint8_t *m, size_t m_len, uint8_t *c);
/* Opens c of c_len bytes (tag included) into m; m may be c. Returns 0, or -1 if
 * it does not authenticate: then m holds nothing of the message. */
int aead_open(int cipher, const uint8_t key[AEAD_KEY_BYTES],
	      const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t *ad,
	      size_t ad_len, const uint8_t *c, size_t c_len, uint8_t *m)
	__attribute__((warn_unused_result));

#endif
