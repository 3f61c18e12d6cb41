/*
 * fit.h - how a store fits its card: the size of segments, and what to say about
 * the card. Pure: facts in, a choice out. Must never refuse anything.
 */
#ifndef LBS_STORE_FIT_H
#define LBS_STORE_FIT_H

#include <stddef.h>
#include <stdint.h>

#include "liblbs/medium/probe.h"

#define FIT_ADVICE_MAX	 4
#define FIT_ADVICE_BYTES 400

struct fit {
	uint64_t segment_bytes;	/* a power of two, 1 to 64 MiB */
	uint64_t unit_bytes;	/* the allocation unit that was gone by */
	int unit_told;		/* by the kernel, not assumed */
	size_t advice_count;
	char advice[FIT_ADVICE_MAX][FIT_ADVICE_BYTES]; /* a sentence each, with
							* the remedy */
};

/* The card's allocation unit, or the usual one. */
uint64_t fit_unit(const struct card_facts *facts);

/* For a log of capacity_bytes. segment_bytes is the user's own choice, or 0. */
void fit_choose(const struct card_facts *facts, uint64_t capacity_bytes,
		uint64_t segment_bytes, struct fit *fit);

#endif
