/*
 * sweep.h - power cuts at every write and sync of whatever is done to a world: at
 * each tick the machine is copied as it stands, cut in every way of cut.h, and
 * must recover as promised; the recovery is swept in the same way when a second
 * level is asked for.
 * Must never count a cut that was not made.
 */
#ifndef LBS_TESTS_SWEEP_H
#define LBS_TESTS_SWEEP_H

#include <stdatomic.h>

#include "tests/lab/cut.h"

#define SWEEP_LEVELS 2

/* Of all processes together; lies in shared memory. */
struct sweep_totals {
	atomic_uint_fast64_t cuts, second_cuts, kills, ticks, failed, sealings;
	/* power cuts by what card and flash kept */
	atomic_uint_fast64_t sides[SIM_VARIANTS][SIM_VARIANTS];
};

struct sweep {
	const char *name;	/* of what is done, the first part of an ID */
	uint64_t salt;		/* other draws for other names */
	struct sweep_totals *totals;
	int levels;		/* 1, or 2: recoveries are cut, too */
	int draws[SWEEP_LEVELS];/* random cuts a tick, by level */
	uint64_t part, parts;	/* first level: only ticks of that remainder */
	int stop;		/* at the first failure */
	char *at;		/* where the ID under way is told, or NULL */
	size_t at_len;
	/* A replay: only this path of cuts. */
	const struct cut_id *only;
	int only_count;
};

/* Begins to cut at every tick of w, until sweep_end. One sweep of a world at a
 * time; *s and *w stay where they are. */
struct sweep_run;
struct sweep_run *sweep_begin(struct sweep *s, struct world *w);
void sweep_end(struct sweep_run *run);
/* Counts a cut that was made. */
void sweep_account(struct sweep *s, const struct cut_id *c, int level);
/* What is done went wrong by itself: told and counted like a failed cut. */
void sweep_fault(struct sweep *s, const char *why);

#endif
