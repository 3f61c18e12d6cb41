/*
 * unit.h - what every unit test needs: cmocka, a random generator whose seed is
 * printed, and exact copies of bytes so that a sanitizer sees any overreach.
 * Must never draw on the clock without saying which seed came of it.
 *
 * A test program takes one argument, the seed that replays a failure.
 */
#ifndef LBS_TESTS_UNIT_H
#define LBS_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

/* Before cmocka, which has a macro "fail"; ours is called as (fail)(...). */
#include "liblbs/error.h"

#include <cmocka.h>

static uint64_t unit_state;

/* splitmix64: every seed is a good one. */
static inline uint64_t
draw64(void)
{
	uint64_t z = unit_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* In [0, below). */
static inline uint64_t
draw(uint64_t below)
{
	return draw64() % below;
}

/* In [low, high]; likes the ends. */
static inline uint64_t
draw_between(uint64_t low, uint64_t high)
{
	switch (draw(8)) {
	case 0:
		return low;
	case 1:
		return high;
	}
	return high - low == UINT64_MAX ? draw64() : low + draw(high - low + 1);
}

static inline void
draw_bytes(void *p, size_t len)
{
	uint8_t *b = p;

	while (len--)
		*b++ = (uint8_t)draw64();
}

/* Takes the seed from the command line, else a new one, and prints it. */
static inline void
unit_seed(int argc, char **argv)
{
	uint64_t seed;
	FILE *f;

	if (argc > 1) {
		seed = strtoull(argv[1], NULL, 0);
	} else {
		f = fopen("/dev/urandom", "rb");
		if (!f || fread(&seed, sizeof seed, 1, f) != 1)
			seed = 1;
		if (f)
			fclose(f);
	}
	unit_state = seed;
	printf("seed %llu (to replay: %s %llu)\n", (unsigned long long)seed,
	       argv[0], (unsigned long long)seed);
	fflush(stdout);
}

/* Makes a directory for thousands of commits: in memory, where a sync costs nothing,
 * if there is room (containers often have 64 MiB there); else in /tmp. The path goes
 * to out; 0 or -1. */
static inline int
unit_directory(char out[64], const char *name)
{
	struct statvfs shm;
	int in_memory = statvfs("/dev/shm", &shm) == 0 &&
			!(shm.f_flag & ST_RDONLY) &&
			(uint64_t)shm.f_bavail * shm.f_frsize >= 512u << 20;

	snprintf(out, 64, "%s/lbs-%s-XXXXXX", in_memory ? "/dev/shm" : "/tmp",
		 name);
	return mkdtemp(out) ? 0 : -1;
}

/* A heap copy of exactly len bytes. */
static inline void *
exactly(const void *p, size_t len)
{
	void *copy = calloc(1, len ? len : 1);

	if (len)
		memcpy(copy, p, len);
	return copy;
}

#endif
