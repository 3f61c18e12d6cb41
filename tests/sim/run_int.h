/*
 * run_int.h - a run in progress, shared by run.c (the steps), request.c (what
 * clients ask), trouble.c (what goes wrong) and life.c (closing, dying, opening),
 * and no others.
 */
#ifndef LBS_TESTS_SIM_RUN_INT_H
#define LBS_TESTS_SIM_RUN_INT_H

#include "tests/sim/oracle.h"
#include "tests/sim/run.h"

/* Steps that wait for the next opening. */
#define OPENING_MAX 4

struct run {
	struct world *w;
	struct oracle o;
	lbs_vdisk *second;	/* clients with odd numbers use it */
	int ahead;
	uint64_t *counts;
	FILE *trace;		/* or NULL */
	uint64_t digest;
	/* the cut that is armed */
	enum sim_variant variant;
	uint64_t cut_seed;
	/* what lasts, in steps to go; 0 = nothing */
	unsigned full_for[SIM_SIDES], gone_for, lie_for, cache_for;
	uint64_t cache_ms;
	struct sim_step opening[OPENING_MAX];
	unsigned openings;
	struct sim_copy *copy[SIM_SIDES];
	uint64_t copied_at[SIM_SIDES]; /* tick */
	unsigned failed_for;	/* steps since the store failed */
	uint64_t drops;		/* seen when the store was opened */
	uint64_t stray_bytes, strays; /* seen so far */
	uint64_t repeats;	/* of nonces, before the run */
	uint64_t torn_pages;	/* seen so far */
	int filled;		/* room was made since the last flush */
	int flushed;		/* by this step */
	uint64_t fill_bytes;
	int over;		/* it cannot go on, and no rule is broken */
	int accept;		/* the next opening accepts a loss, as the store said */
	uint8_t *looked;	/* the disk as read before opening, or NULL; */
	uint8_t *looked_unreadable; /* blocks; */
	int looked_rc;		/* what that opening gave */
	int relieved;		/* all was discarded: there must be room */
};

/* Faults that have struck, misdirected writes among them, and failures for lack of
 * room. */
struct struck {
	uint64_t faults, strays, flash_full;
};
struct struck run_struck(const struct run *r);
/* Whether an error has a cause in what struck since then. */
int run_excused(const struct run *r, int rc, const struct struck *before);
/* The same of a store that serves, which may come upon a segment of a future that
 * never was: then that is accepted at the next opening. */
int run_may_stop(struct run *r, int rc, const struct struck *before);
int run_store_failed(const struct run *r);
/* The card is filled ahead of need, as far as it is due. */
int run_fill_ahead(struct run *r);
/* A flush was acknowledged. */
void run_flushed(struct run *r);
/* Learns what went astray by itself. */
void run_notice(struct run *r);
void run_count(struct run *r, enum sim_tally c, uint64_t n);

/* All below: 0, or -1 when a rule is broken. When power is off afterwards it is
 * the caller's to go on with run_crash. */
int request_step(struct run *r, const struct sim_step *step);
int run_trouble(struct run *r, const struct sim_step *step);

/* The machine or the process is gone as the armed cut says. */
void run_crash(struct run *r);
/* Now, with that. */
void run_die(struct run *r, enum sim_variant v, uint64_t seed);
/* After a cut or a pulling: what the card had confirmed may be gone. */
void run_note_lost(struct run *r);
/* Sets up the fault of a SIM_FAIL or SIM_OPENING_FAIL. */
void run_fail_later(struct run *r, const struct sim_step *s);
/* Closes, cleanly or because it failed, and opens again. */
int run_reopen(struct run *r);
/* Opens, however often it takes, and looks at the whole disk. */
int run_open(struct run *r);
void run_lift_limits(struct run *r);
/* readonly.c: perhaps looks at the store for reading only; holds the opening that
 * comes next to what was seen; forgets it. */
int run_look_first(struct run *r);
int run_look_again(struct run *r, int rc, const struct struck *before);
void run_look_done(struct run *r);

#endif
