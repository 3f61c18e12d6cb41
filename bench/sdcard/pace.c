/*
 * pace.c - see pace.h. Sleeps until points in time, not for spans, so that what
 * a sleep is late by does not add up.
 */
#include "bench/sdcard/pace.h"

#include <errno.h>
#include <sys/prctl.h>
#include <time.h>

static int64_t
monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t
pace_idle(struct pace *p)
{
	int64_t now = monotonic_ns(), idle = now - p->free_at;

	if (!p->free_at || idle < 0)
		idle = 0;
	if (now > p->free_at)
		p->free_at = now;
	return (int64_t)((double)idle / p->scale);
}

void
pace_spend(struct pace *p, int64_t ns)
{
	static __thread int precise;
	int64_t span = (int64_t)((double)ns * p->scale) - p->overhead_ns;
	struct timespec until;

	if (!precise) {
		prctl(PR_SET_TIMERSLACK, 1000ul);
		precise = 1;
	}
	if (span > 0)
		p->free_at += span;
	until.tv_sec = p->free_at / 1000000000;
	until.tv_nsec = p->free_at % 1000000000;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) ==
	       EINTR)
		;
}
