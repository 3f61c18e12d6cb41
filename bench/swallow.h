/*
 * swallow.h - what a benchmark of the metadata leaves out: a card that keeps its
 * sizes and the card file, not what is written, a cipher that does nothing, and
 * random bytes that are the same in every run. What was written cannot be read.
 */
#ifndef LBS_BENCH_SWALLOW_H
#define LBS_BENCH_SWALLOW_H

#include <stdint.h>

#include "liblbs/medium/medium.h"

/* One such card a process. */
extern const struct medium_ops swallow_ops;
/* 64 random bits, the same in every run. */
uint64_t swallow_draw(void);

#endif
