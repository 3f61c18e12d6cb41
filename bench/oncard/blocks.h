/*
 * blocks.h - blocks for a store that compresses: they become as long as those
 * of a real file system do, and come from a seed. Their contents are noise and
 * zeroes. Must never hold a length that was not measured.
 */
#ifndef LBS_BENCH_ONCARD_BLOCKS_H
#define LBS_BENCH_ONCARD_BLOCKS_H

#include <stdint.h>

/* The next blocks for a store that compresses by method (LBS_COMPRESS_...);
 * bytes is a multiple of 4096. random is where the sequence is, and moves on.
 * Thread-safe. */
void blocks_fill(uint64_t *random, int method, uint8_t *buf, uint32_t bytes);

/* Prints what blocks.c holds of each method, of an image's blocks that are not
 * all zeroes. 0, or -1 where it cannot be read. */
int blocks_measure(const char *image);

#endif
