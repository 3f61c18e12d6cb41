/*
 * curve.h - the time that a request of some size takes, between the sizes that
 * were measured. Must never know about the card's state.
 */
#ifndef LBS_BENCH_SDCARD_CURVE_H
#define LBS_BENCH_SDCARD_CURVE_H

#include "bench/sdcard/preset.h"

struct curve {
	double log_bytes[SDCARD_POINTS], log_ns[SDCARD_POINTS];
	uint32_t last_bytes; /* the last answer: sizes repeat */
	int64_t last_ns;
};

/* From speeds in KiB/s at the measured sizes. */
void curve_init(struct curve *c, const double kib_per_s[SDCARD_POINTS]);
/* Straight between the points in both logarithms, constant below the first, and
 * of constant speed beyond the last. Nanoseconds. */
int64_t curve_ns(struct curve *c, uint32_t len_bytes);

#endif
