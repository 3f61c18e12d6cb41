/*
 * idle.h - operations of a medium that have nothing to do, for cards that live in a
 * benchmark's memory.
 */
#ifndef LBS_BENCH_IDLE_H
#define LBS_BENCH_IDLE_H

#include "liblbs/medium/medium.h"

/* Syncing or removing a file. */
static inline int
idle_file(struct medium *m, uint32_t file)
{
	(void)m, (void)file;
	return 0;
}

/* Syncing the directory, locking. */
static inline int
idle_card(struct medium *m)
{
	(void)m;
	return 0;
}

static inline void
idle_close(struct medium *m)
{
	(void)m;
}

#endif
