/*
 * nonce_audit.c - the set of (key, nonce) pairs seen. See nonce_audit.h.
 */
#include "tests/lab/nonce_audit.h"
#include "crypto/aead.h"
#include "tests/lab/simimage.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct pair {
	uint64_t hash[2];	/* never both zero, which means empty */
};

static struct {
	pthread_mutex_t lock;	/* guards all below */
	struct pair *slots;	/* open addressing, a power of two */
	size_t slot_count, used;
	uint64_t sealings, repeats;
} audit = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The slot of the pair, or the empty one where it belongs. */
static struct pair *slot_of(const struct pair *p)
{
	size_t i = (size_t)p->hash[0] & (audit.slot_count - 1);

	while ((audit.slots[i].hash[0] | audit.slots[i].hash[1]) != 0 &&
	       memcmp(&audit.slots[i], p, sizeof(*p)) != 0)
		i = (i + 1) & (audit.slot_count - 1);
	return &audit.slots[i];
}

static void grow(void)
{
	struct pair *old = audit.slots;
	size_t count = audit.slot_count, i;

	audit.slot_count = count ? count * 2 : 4096;
	audit.slots = sim_alloc(audit.slot_count * sizeof(*audit.slots));
	for (i = 0; i < count; i++)
		if ((old[i].hash[0] | old[i].hash[1]) != 0)
			*slot_of(&old[i]) = old[i];
	free(old);
}

void nonce_audit_reset(void)
{
	pthread_mutex_lock(&audit.lock);
	free(audit.slots);
	audit.slots = NULL;
	audit.slot_count = audit.used = 0;
	pthread_mutex_unlock(&audit.lock);
}

int nonce_audit_add(const uint8_t key[32], const uint8_t nonce[12])
{
	struct pair p, *slot;
	uint8_t in[44];
	int seen;

	memcpy(in, key, 32);
	memcpy(in + 32, nonce, 12);
	crypto_generichash((unsigned char *)p.hash, sizeof(p.hash), in,
			   sizeof(in), NULL, 0);
	sodium_memzero(in, sizeof(in));
	pthread_mutex_lock(&audit.lock);
	if (audit.used * 2 >= audit.slot_count)
		grow();
	slot = slot_of(&p);
	seen = (slot->hash[0] | slot->hash[1]) != 0;
	if (!seen) {
		*slot = p;
		audit.used++;
	}
	audit.sealings++;
	audit.repeats += (uint64_t)seen;
	pthread_mutex_unlock(&audit.lock);
	return seen;
}

uint64_t nonce_audit_sealings(void)
{
	uint64_t n;

	pthread_mutex_lock(&audit.lock);
	n = audit.sealings;
	pthread_mutex_unlock(&audit.lock);
	return n;
}

uint64_t nonce_audit_repeats(void)
{
	uint64_t n;

	pthread_mutex_lock(&audit.lock);
	n = audit.repeats;
	pthread_mutex_unlock(&audit.lock);
	return n;
}

/* The names are the linker's (--wrap). */
int __real_aead_seal(int cipher, const uint8_t *key, const uint8_t *nonce,
		     const uint8_t *ad, size_t ad_len, const uint8_t *m,
		     size_t m_len, uint8_t *c);
int __wrap_aead_seal(int cipher, const uint8_t *key, const uint8_t *nonce,
		     const uint8_t *ad, size_t ad_len, const uint8_t *m,
		     size_t m_len, uint8_t *c);

int __wrap_aead_seal(int cipher, const uint8_t *key, const uint8_t *nonce,
		     const uint8_t *ad, size_t ad_len, const uint8_t *m,
		     size_t m_len, uint8_t *c)
{
	nonce_audit_add(key, nonce);
	return __real_aead_seal(cipher, key, nonce, ad, ad_len, m, m_len, c);
}
