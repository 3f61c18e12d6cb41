/*
 * fold.c - see fold.h. DESIGN.md, "The map", has the arithmetic.
 */
#include "liblbs/map/fold.h"

/* Deltas are folded in when they are an eighth of the base, on average. */
#define FOLD_SHARE 8u
/* Far below the 4096 rows that a region may have (FORMAT.md section 9). */
#define FOLD_ROWS 1024u
/* About the most that the run of one block takes in a base row. */
#define RUN_BYTES_MOST 12u

/* What the average is multiplied with for this region: 64 to 191 of 128, evenly
 * spread. The size of the base is different after each fold, and so is this. */
static uint32_t
factor(const struct fold_region *r)
{
	uint64_t x = ((uint64_t)r->layer << 40 ^ r->region) *
			     0x9e3779b97f4a7c15ull +
		     r->base_bytes;

	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	return 64 + (uint32_t)(x >> 57);
}

int
fold_due(const struct fold_region *r)
{
	if (r->delta_rows >= FOLD_ROWS)
		return 1;
	/* Mostly holes by now: what is left is soon written. */
	if (r->base_bytes + r->delta_bytes >=
	    2ull * RUN_BYTES_MOST * r->mapped)
		return 1;
	return r->delta_bytes * (uint64_t)FOLD_SHARE * 128 >=
	       r->base_bytes * (uint64_t)factor(r);
}
