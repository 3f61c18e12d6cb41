/*
 * history.c - see history.h. A state is remembered as a hash of 64 bits.
 */
#include "tests/sim/history.h"
#include "tests/lab/simimage.h"

#include <stdlib.h>
#include <string.h>

struct states {
	uint64_t *hash;
	size_t count, room;
};

struct history {
	uint32_t blocks;
	size_t block_bytes, last_bytes;
	struct states *states;	/* by block */
};

static uint64_t hash_of(const struct history *h, uint32_t block,
			const uint8_t *bytes)
{
	size_t len = block + 1 == h->blocks ? h->last_bytes : h->block_bytes, i;
	uint64_t hash = len, word;

	for (i = 0; i < len; i += 8) {
		word = 0;
		memcpy(&word, bytes + i, len - i < 8 ? len - i : 8);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 29;
	}
	return hash;
}

struct history *history_new(uint32_t blocks, size_t block_bytes,
			    size_t last_bytes)
{
	struct history *h = sim_alloc(sizeof(*h));
	uint8_t *zeroes = sim_alloc(block_bytes);
	uint32_t i;

	h->blocks = blocks;
	h->block_bytes = block_bytes;
	h->last_bytes = last_bytes;
	h->states = sim_alloc(blocks * sizeof(*h->states));
	for (i = 0; i < blocks; i++)
		history_add(h, i, zeroes);
	free(zeroes);
	return h;
}

int history_has(const struct history *h, uint32_t block, const void *bytes)
{
	const struct states *s = &h->states[block];
	uint64_t hash = hash_of(h, block, bytes);
	size_t i;

	for (i = s->count; i-- > 0;)
		if (s->hash[i] == hash)
			return 1;
	return 0;
}

void history_add(struct history *h, uint32_t block, const void *bytes)
{
	struct states *s = &h->states[block];

	if (s->count == s->room) {
		s->room = s->room * 2 + 8;
		s->hash = sim_realloc(s->hash, s->room * sizeof(*s->hash));
	}
	s->hash[s->count++] = hash_of(h, block, bytes);
}

void history_free(struct history *h)
{
	uint32_t i;

	if (h == NULL)
		return;
	for (i = 0; i < h->blocks; i++)
		free(h->states[i].hash);
	free(h->states);
	free(h);
}
