/*
 * run.h - plays a script on a simulated machine, under the oracle.
 * Must give the same result for the same script: no clock, no threads, and the
 * store's randomness is the script's (--wrap=secret_random; chance.c).
 */
#ifndef LBS_TESTS_SIM_RUN_H
#define LBS_TESTS_SIM_RUN_H

#include "tests/sim/count.h"
#include "tests/sim/script.h"

struct sim_result {
	int broken;		/* a rule was broken, at that step */
	size_t step;
	char label[32], why[700];
	uint64_t digest;	/* of all that was seen */
};

/* counts are added to. trace: each step and what came of it, or NULL. */
void sim_run(const struct sim_script *script, uint64_t counts[SIM_COUNTS],
	     struct sim_result *result, FILE *trace);

/* chance.c: what secret_random gives from now on. */
void chance_begin(uint64_t seed);

#endif
