/*
 * workload.h - what a guest does to a small store, the same for the same seed:
 * writes of all sizes and alignments, discards, zeroes, flushes, checkpoints,
 * clean reopenings and deaths of the process.
 * Must never depend on the clock or on chance other than the seed: a cut at a
 * tick must be the same cut again.
 */
#ifndef LBS_TESTS_WORKLOAD_H
#define LBS_TESTS_WORKLOAD_H

#include "tests/lab/world.h"

/* A vdisk of 1.25 MiB and a bit over 64 KiB segments, so few that the log comes
 * round and the cleaner works; checkpoints and syncs every few hundred KiB. */
extern const struct world_shape workload_shape;
/* The same on so small a card that requests are refused now and then. */
#define WORKLOAD_TIGHT_BYTES (92u << 16)

/* Of 13 chunk files, of which some can be given back when it is cleaned. */
extern const struct world_shape workload_wide_shape;
/* Takes the log of such a store, which is open, through all of it: data lies
 * everywhere, most of what was written is dead. 0 or a code. */
int workload_spread(struct world *w);

/* What a run came through; counted from what the store and the card show. */
struct workload_seen {
	uint64_t requests, flushes, sessions, deaths, ticks;
	uint64_t checkpoints, log_segments;
	uint64_t reuses;	/* a segment's header was seen with a new salt */
	uint64_t refusals;	/* requests that got "no space" */
	uint64_t cleaned, moved; /* segments and blocks, by the cleaner */
};

enum { WORKLOAD_DONE, WORKLOAD_CUT, WORKLOAD_FAILED };

/* Opens the store of w, works, closes it. seen may be NULL. WORKLOAD_FAILED
 * comes with a sentence in why. */
int workload_run(struct world *w, uint64_t seed, struct workload_seen *seen,
		 char *why, size_t why_len);

/* A little of everything on an open store, and a flush: 0 or a code. */
int workload_go_on(struct world *w);

#endif
