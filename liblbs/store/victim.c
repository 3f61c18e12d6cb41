/*
 * victim.c - see victim.h. DESIGN.md, "The cleaner", has the reasons.
 */
#include "liblbs/store/victim.h"

#include <math.h>
#include <stdlib.h>

double
victim_score(uint32_t live, uint32_t holds, uint64_t closed_for)
{
	double u = (double)live / holds, e = 1 - u;

	/* Nothing to copy: a checkpoint frees it. Nothing dead: no gain. */
	if (live == 0 || live >= holds)
		return 0;
	return e * e * (double)(closed_for + 1) / (u * -log(u));
}

static int
better_first(const void *a, const void *b)
{
	const struct victim *x = a, *y = b;

	if (x->score != y->score)
		return x->score < y->score ? 1 : -1;
	if (x->live != y->live)
		return x->live < y->live ? -1 : 1;
	return x->segment < y->segment ? -1 : x->segment > y->segment;
}

/* How alike two ages are: 1 if equal, towards 0 as they differ. */
static double
likeness(uint64_t a, uint64_t b)
{
	double x = (double)a + 1, y = (double)b + 1;

	return sqrt(x < y ? x / y : y / x);
}

uint32_t
victim_choose(struct victim *v, uint32_t n, uint32_t max, uint32_t holds)
{
	uint32_t chosen = 0, best = 0;
	uint64_t age;

	for (uint32_t i = 0; i < n; i++) {
		v[i].score = victim_score(v[i].live, holds, v[i].closed_for);
		if (better_first(&v[i], &v[best]) < 0)
			best = i;
	}
	age = n ? v[best].written_for : 0;
	for (uint32_t i = 0; i < n; i++)
		v[i].score *= likeness(v[i].written_for, age);
	qsort(v, n, sizeof *v, better_first);
	while (chosen < n && chosen < max && v[chosen].score > 0)
		chosen++;
	return chosen;
}
