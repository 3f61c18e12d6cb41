/*
 * bulk.c - see bulk.h. A context lives for one message: freeing it wipes the key,
 * which is copied to ordinary memory for as long.
 */
#include "crypto/bulk.h"

#include <assert.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *chacha20poly1305, *aes256gcm; /* constant after once; or NULL */

/* A library context of our own: what openssl.cnf and the program that we are in have
 * OpenSSL do is not for us, nor what we do for them. No handler at exit: it would
 * take the ciphers away from threads that still use them. */
static void
start(void)
{
	OSSL_LIB_CTX *ours;

	if (!OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT |
					 OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
		return;
	ERR_set_mark();
	ours = OSSL_LIB_CTX_new();
	if (ours) {
		chacha20poly1305 =
			EVP_CIPHER_fetch(ours, "ChaCha20-Poly1305", NULL);
		aes256gcm = EVP_CIPHER_fetch(ours, "AES-256-GCM", NULL);
	}
	ERR_pop_to_mark();
}

static const EVP_CIPHER *
cipher_of(int cipher)
{
	if (pthread_once(&once, start))
		return NULL;
	return cipher == AEAD_CHACHA20POLY1305 ? chacha20poly1305
	       : cipher == AEAD_AES256GCM	? aes256gcm
						: NULL;
}

/* Seals or opens len bytes; the tag is behind the ciphertext. */
static int
run(int cipher, int sealing, const uint8_t *key, const uint8_t *nonce,
    const uint8_t *ad, size_t ad_len, const uint8_t *in, size_t len, uint8_t *out)
{
	const EVP_CIPHER *with = cipher_of(cipher);
	EVP_CIPHER_CTX *x = NULL;
	int rc = BULK_CANNOT, n, done;

	if (!with || len > INT_MAX || ad_len > INT_MAX)
		return BULK_CANNOT;
	ERR_set_mark();
	x = EVP_CIPHER_CTX_new();
	if (!x || !EVP_CipherInit_ex2(x, with, key, nonce, sealing, NULL) ||
	    (!sealing && !EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_AEAD_SET_TAG,
					      AEAD_TAG_BYTES,
					      (void *)(in + len))) ||
	    !EVP_CipherUpdate(x, NULL, &n, ad, (int)ad_len))
		goto out;
	done = EVP_CipherUpdate(x, out, &n, in, (int)len) &&
	       EVP_CipherFinal_ex(x, out + len, &n) &&
	       (!sealing || EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_AEAD_GET_TAG,
						AEAD_TAG_BYTES, out + len));
	/* From here on sealing needs no memory and has nothing to object to, and what
	 * was begun in place cannot be begun again. */
	assert(done || !sealing);
	if (!done)
		memset(out, 0, len);
	rc = done ? BULK_DONE : BULK_FORGED;
out:
	EVP_CIPHER_CTX_free(x);
	ERR_pop_to_mark();
	return rc;
}

int
bulk_seal(int cipher, const uint8_t key[AEAD_KEY_BYTES],
	  const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t *ad,
	  size_t ad_len, const uint8_t *m, size_t m_len, uint8_t *c)
{
	return run(cipher, 1, key, nonce, ad, ad_len, m, m_len, c);
}

int
bulk_open(int cipher, const uint8_t key[AEAD_KEY_BYTES],
	  const uint8_t nonce[AEAD_NONCE_BYTES], const uint8_t *ad,
	  size_t ad_len, const uint8_t *c, size_t m_len, uint8_t *m)
{
	return run(cipher, 0, key, nonce, ad, ad_len, c, m_len, m);
}
