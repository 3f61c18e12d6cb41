/*
 * victim.h - which segments are worth cleaning: a pure function of their counts
 * and ages. Must never do I/O, and know nothing of the store.
 */
#ifndef LBS_STORE_VICTIM_H
#define LBS_STORE_VICTIM_H

#include <stdint.h>

struct victim {
	uint32_t segment;
	uint32_t live;		/* blocks */
	uint64_t closed_for;	/* segments of log opened since it was closed */
	uint64_t written_for;	/* and since what lies there was written, on average */
	double score;		/* filled in by victim_choose */
};

/*
 * What cleaning a segment now is worth: E^2 / (u * lambda), 0 when there is
 * nothing to gain. u is the live part of the blocks a segment holds, E = 1 - u
 * what is gained, lambda = -ln(u) / tau how fast it loses live blocks, estimated
 * from its own decay in the tau that it has been closed. A segment that still
 * decays fast is left to decay; "minimum declining cost" (Lomet, Luo: Efficiently
 * Reclaiming Space in a Log Structured Store, ICDE 2021). Where all segments
 * decay alike tau is -ln(u)/lambda, and this is the order of greedy choice.
 */
double victim_score(uint32_t live, uint32_t holds, uint64_t closed_for);

/* Moves the best of n candidates, at most max of them and best first, to the
 * front; ties go to the fewer live blocks, then to the lower segment. Returns how
 * many have something to gain.
 *
 * What a round cleans is sorted by age and laid out anew, so segments of like age
 * come out purer than they were. Behind the best one a score counts the less the
 * more the age differs from its: by the root of the ratio. */
uint32_t victim_choose(struct victim *v, uint32_t n, uint32_t max,
		       uint32_t holds);

#endif
