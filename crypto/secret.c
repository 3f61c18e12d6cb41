/*
 * secret.c - by libsodium's guarded memory and random generator.
 */
#include "crypto/secret.h"

#include <sodium.h>
#include <string.h>

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

#if defined(__x86_64__)
/* Some processors answer all ones after they slept and call it a success (AMD's
 * families 15h, 16h and early 17h): no such answer is believed, nor zero. */
__attribute__((target("rdrnd"))) static int
of_processor(unsigned long long *value)
{
	return sodium_runtime_has_rdrand() &&
	       __builtin_ia32_rdrand64_step(value) && *value != 0 &&
	       *value != ~0ull;
}
#else
static int
of_processor(unsigned long long *value)
{
	(void)value;
	return 0;
}
#endif

void
secret_unique(uint8_t out[8])
{
	unsigned long long value;

	if (of_processor(&value))
		memcpy(out, &value, sizeof value);
	else
		randombytes_buf(out, sizeof value);
}
