/*
 * sort.c - see sort.h. Least significant digit first; a digit that all keys
 * share, as most of the high ones are, costs nothing.
 */
#include "liblbs/map/sort.h"

#include <string.h>

#define DIGIT_BITS 11
#define DIGITS (1u << DIGIT_BITS)

void
sort_entries(struct entry *entries, struct entry *spare, size_t count)
{
	struct entry *in = entries, *out = spare, *was;
	uint64_t differ = 0;
	size_t at[DIGITS];

	for (size_t i = 1; i < count; i++)
		differ |= entries[i].key ^ entries[0].key;
	for (int shift = 0; shift < 64; shift += DIGIT_BITS) {
		size_t sum = 0;

		if (!(differ >> shift & (DIGITS - 1)))
			continue;
		memset(at, 0, sizeof at);
		for (size_t i = 0; i < count; i++)
			at[in[i].key >> shift & (DIGITS - 1)]++;
		for (uint32_t d = 0; d < DIGITS; d++) {
			size_t n = at[d];

			at[d] = sum;
			sum += n;
		}
		for (size_t i = 0; i < count; i++)
			out[at[in[i].key >> shift & (DIGITS - 1)]++] = in[i];
		was = in;
		in = out;
		out = was;
	}
	if (in != entries)
		memcpy(entries, in, count * sizeof *entries);
}
