/*
 * check.h - what the tests of a whole store share: assertions that fail with the
 * store's own words, and a world at work.
 */
#ifndef LBS_TESTS_CHECK_H
#define LBS_TESTS_CHECK_H

#include "tests/lab/world.h"

/* Fails the test unless a call gave that code. */
#define assert_code(w, rc, want) \
	check_code(w, rc, want, #rc, __FILE__, __LINE__)
void check_code(const struct world *w, int rc, int want, const char *what,
		const char *file, int line);
/* Fails the test unless the open store holds what the model allows. */
#define assert_model(w) check_model(w, __FILE__, __LINE__)
void check_model(struct world *w, const char *file, int line);

/* A world with a store, closed; the nonce audit begins anew. NULL = the shape
 * of the workload. */
struct world *check_made(const struct world_shape *shape);
/* Word-aligned writes here and there, each pair flushed. */
void check_work(struct world *w, uint64_t salt, int rounds);
/* Round the whole log, and so over all of the card that is filled, in 16 KiB. */
void check_round(struct world *w);
/* Fails the test unless everything that can be read is something the guest once wrote
 * there. How many of the blocks cannot be read. */
int check_plausible(struct world *w);
/* Writes over what lies below block end, a block or many at a time. */
void check_write_over(struct world *w, uint64_t end, uint64_t seed, int writes);

#endif
