/*
 * progress.h - a progress bar on a terminal, and a polite stop on ^C.
 * Must never appear in a pipe, before two seconds have passed, or under -q.
 */
#ifndef LBS_TOOLS_COMMON_PROGRESS_H
#define LBS_TOOLS_COMMON_PROGRESS_H

#include <stdint.h>
#include <time.h>

struct progress {
	const char *what;	/* "filling chunk files" */
	int enabled;		/* stderr is a terminal, and not quiet */
	int drawn;
	struct timespec begun, last;
};

/* Starts the clock. With catch_signals SIGINT, SIGTERM and SIGHUP no longer end
 * the process but make progress_step return 1; a SIGHUP that is ignored stays so. */
void progress_begin(struct progress *progress, const char *what, int quiet,
		    int catch_signals);
/* A lbs_progress_fn with a struct progress as its context; units are bytes. */
int progress_step(void *ctx, uint64_t done, uint64_t total);
/* Wipes the bar, so that a line can be printed; the next step draws it again. */
void progress_wipe(struct progress *progress);
/* Wipes the bar, gives the signals back. */
void progress_end(struct progress *progress);

#endif
