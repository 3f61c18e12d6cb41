/*
 * chance.c - the store's randomness, from a seed: salts, keys and nonces of a run
 * are those of the run again. Link with -Wl,--wrap=secret_random and secret_unique.
 * Must never be set back within a run, whatever is restored in it: the kernel's
 * randomness is not restored either.
 * Only the eight random bytes of a nonce are always the same: a fresh salt for
 * each use of a segment and one sealing of each offset must do without them
 * (crypto/aead.h), and the nonce audit sees where they do not.
 */
#include "crypto/secret.h"
#include "tests/lab/simimage.h"
#include "tests/sim/run.h"

#include <string.h>

static uint64_t state;

void __wrap_secret_random(void *p, size_t len);
void __wrap_secret_unique(uint8_t out[8]);

void chance_begin(uint64_t seed)
{
	state = sim_mix(seed, 77);
}

void __wrap_secret_random(void *p, size_t len)
{
	uint64_t word;
	size_t i, n;

	for (i = 0; i < len; i += n) {
		word = sim_random(&state);
		n = len - i < sizeof(word) ? len - i : sizeof(word);
		memcpy((uint8_t *)p + i, &word, n);
	}
}

void __wrap_secret_unique(uint8_t out[8])
{
	memset(out, 0, 8);
}
