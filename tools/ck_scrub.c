/*
 * ck_scrub.c - see ck.h. The rate is held by sleeping between pieces; a signal
 * ends the sleep at once.
 */
#include <time.h>

#include "tools/ck.h"
#include "tools/common/progress.h"

struct pace {
	struct progress bar;
	uint64_t rate;		/* bytes a second, or 0 */
	struct timespec begun;
};

static double
seconds_since(const struct timespec *from)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - from->tv_sec) +
	       (double)(now.tv_nsec - from->tv_nsec) / 1e9;
}

static int
step(void *ctx, uint64_t done, uint64_t total)
{
	struct pace *p = ctx;
	int stop = progress_step(&p->bar, done, total);

	while (p->rate && !stop) {
		double ahead = (double)done / (double)p->rate -
			       seconds_since(&p->begun);
		struct timespec nap = { 0, 100000000 };

		if (ahead <= 0)
			break;
		if (ahead < 0.1)
			nap.tv_nsec = (long)(ahead * 1e9);
		nanosleep(&nap, NULL);
		stop = progress_step(&p->bar, done, total);
	}
	return stop;
}

int
ck_scrub(struct ck *ck, struct checker *c)
{
	struct pace p = { .rate = ck->scrub_rate };
	int rc;

	ck->scrubs++;
	clock_gettime(CLOCK_MONOTONIC, &p.begun);
	progress_begin(&p.bar, "scrubbing", ck->report.quiet, 1);
	ck->bar = &p.bar;
	rc = check_scrub(c, step, &p, &ck->scrubbed);
	ck->bar = NULL;
	progress_end(&p.bar);
	return rc;
}
