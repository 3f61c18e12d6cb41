/*
 * secret.c - by libsodium's guarded memory and random generator.
 */
#include "crypto/secret.h"

#include <sodium.h>

int
secret_init(void)
{
	return sodium_init() < 0 ? -1 : 0;
}

void *
secret_alloc(size_t len)
{
	void *p = sodium_malloc(len);

	if (p)
		sodium_memzero(p, len);
	return p;
}

void
secret_free(void *p)
{
	sodium_free(p);
}

void
secret_wipe(void *p, size_t len)
{
	sodium_memzero(p, len);
}

void
secret_random(void *p, size_t len)
{
	randombytes_buf(p, len);
}

int
secret_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}
