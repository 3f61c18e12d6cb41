/*
 * pace.h - real time beside the card's: makes a request last as long as the
 * card says.
 */
#ifndef LBS_BENCH_SDCARD_PACE_H
#define LBS_BENCH_SDCARD_PACE_H

#include <stdint.h>

struct pace {
	double scale;	     /* real seconds for each of the card's */
	int64_t overhead_ns; /* of each request, spent elsewhere already */
	int64_t free_at; /* when the card is through with the last request */
};

/* Nanoseconds, in the card's time, that the card has been waiting for a
 * request. */
int64_t pace_idle(struct pace *p);
/* Returns when the card would have been through with ns more. */
void pace_spend(struct pace *p, int64_t ns);

#endif
