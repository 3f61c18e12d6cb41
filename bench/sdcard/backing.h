/*
 * backing.h - where a served card keeps its contents (a sparse file) and its
 * state (a side file, replaced as a whole).
 */
#ifndef LBS_BENCH_SDCARD_BACKING_H
#define LBS_BENCH_SDCARD_BACKING_H

#include "bench/sdcard/device.h"

/* Opens or makes the file and makes it *size long; *size 0: what it is, or
 * if_new. Returns a descriptor or a negative errno. */
int backing_open(const char *path, uint64_t *size, uint64_t if_new);
/* The medium of a descriptor, which *fd must keep. */
struct device_medium backing_medium(int *fd);

/* Loads the state of the card from its side file. 0; 1 if there is none yet; a
 * negative errno, -EINVAL if it is another card's or damaged. */
int backing_load(const char *path, struct device *d);
int backing_save(const char *path, struct device *d);

#endif
