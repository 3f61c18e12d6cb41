/*
 * nocipher.c - a cipher that does nothing to the guest's blocks, for benches that
 * count what the log does and not what it contains. Headers, descriptions and
 * indexes stay as they are in the clear. Link with --wrap=aead_seal
 * --wrap=aead_open; what the guest wrote cannot be read.
 */
#include <string.h>

#include "crypto/aead.h"
#include "liblbs/format/layout.h"

int __wrap_aead_seal(int cipher, const uint8_t *key, const uint8_t *nonce,
		     const void *ad, size_t ad_len, const void *m, size_t m_len,
		     void *c);
int __wrap_aead_open(int cipher, const uint8_t *key, const uint8_t *nonce,
		     const void *ad, size_t ad_len, const void *c, size_t c_len,
		     void *m);

/* A block of the guest's, which nobody will look at (FORMAT.md section 3). */
static int
is_frame(const void *ad, size_t ad_len)
{
	return ad_len >= 4 && memcmp(ad, "LBSf", 4) == 0;
}

int
__wrap_aead_seal(int cipher, const uint8_t *key, const uint8_t *nonce,
		 const void *ad, size_t ad_len, const void *m, size_t m_len,
		 void *c)
{
	(void)cipher, (void)key, (void)nonce;
	if (!is_frame(ad, ad_len))
		memmove(c, m, m_len);
	return 0;
}

int
__wrap_aead_open(int cipher, const uint8_t *key, const uint8_t *nonce,
		 const void *ad, size_t ad_len, const void *c, size_t c_len,
		 void *m)
{
	(void)cipher, (void)key, (void)nonce;
	if (!is_frame(ad, ad_len))
		memmove(m, c, c_len - TAG_BYTES);
	return 0;
}
