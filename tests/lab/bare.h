/*
 * bare.h - files of a simulated disk without a store, for the tests of the lab itself.
 * What cannot fail there fails the test.
 */
#ifndef LBS_TESTS_BARE_H
#define LBS_TESTS_BARE_H

#include "tests/lab/simdisk.h"

/* A disk whose card holds "f", 16 sectors of 'a', all durable. */
struct simdisk *bare_settled(void);
struct sim_fd bare_open(struct simdisk *d, enum sim_side side, const char *name,
			int create);
/* Writes len bytes of c. */
void bare_put(struct simdisk *d, struct sim_fd fd, char c, size_t len,
	      uint64_t offset);
/* The byte there. */
char bare_at(struct simdisk *d, enum sim_side side, const char *name,
	     uint64_t offset);
uint64_t bare_size(struct simdisk *d, enum sim_side side, const char *name);

#endif
