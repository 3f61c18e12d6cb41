/*
 * crash.h - what the files of crash_test share: how much is tried, the totals of all
 * processes, and the workloads, each under a sweep.
 */
#ifndef LBS_TESTS_CRASH_H
#define LBS_TESTS_CRASH_H

#include "tests/lab/script.h"
#include "tests/lab/sweep.h"

#define WHY 600
#define NAME_BYTES 32
#define ID_BYTES 300
#define JOBS_MAX 64

/* How much is tried. */
struct effort {
	unsigned long_seeds;
	uint64_t long_every;	/* of the ticks of a long workload, one in so many */
	uint64_t shrink_every;	/* the same of shrinking */
	int all_letters;	/* all sequences up to so many letters */
	int some_letters;	/* of those of so many letters, one in some_every */
	uint64_t some_every;
	int twice_letters;	/* second cuts in all sequences up to so many */
	uint64_t twice_every;	/* and in one of so many of the longer ones */
	int draws[SWEEP_LEVELS];
};

/* Seeds with compression: they are cut at one tick where the others are at four. */
#define LONG_LZ4 4
#define LONG_ZSTD 5

/* Shared by all processes. */
struct shared {
	struct sweep_totals totals;
	atomic_uint_fast64_t next;	/* unit that nobody has begun */
	atomic_uint_fast64_t workloads;
	char at[JOBS_MAX][ID_BYTES];	/* what each job is trying */
};

/* Constant once the processes are forked. */
extern struct shared *shared;
extern const struct effort *effort;
extern const char *only_workload; /* a name's beginning, or NULL */

/* crash_test.c */
void fatal(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));
/* A sweep over the ticks of a workload, its salt from the name. */
void sweep_of(struct sweep *s, const char *name, int levels);

/* cuts.c: the stores that every job starts from, made before the fork; that the
 * workloads are what they should be; and the workloads. */
void crash_make_stores(void);
void look_at_long(uint64_t seed);
void look_at_shrink(void);
void cut_create(struct sweep *s);
void cut_shrink(struct sweep *s);
void cut_long(struct sweep *s, uint64_t seed);
void cut_script(struct sweep *s, int store, const char *letters);

/* units.c: the work in pieces that jobs take one by one. */
uint64_t unit_count(void);
void run_unit(uint64_t unit);

#endif
