/*
 * shrink.h - makes a failing script short.
 * Must never give one that fails for another reason.
 */
#ifndef LBS_TESTS_SIM_SHRINK_H
#define LBS_TESTS_SIM_SHRINK_H

#include "tests/sim/run.h"

/* Runs a script in a process of its own, so that an abort, a crash or a run
 * that does not end is a result too. counts may be NULL. */
void sim_run_apart(const struct sim_script *script, uint64_t *counts,
		   struct sim_result *result);

/* A script that breaks the same rule, with no step that could be left out; or
 * what was found in so many seconds. *result: how it fails. */
struct sim_script *sim_shrink(const struct sim_script *script,
			      struct sim_result *result, unsigned seconds);

#endif
