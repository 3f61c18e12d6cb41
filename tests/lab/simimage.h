/*
 * simimage.h - the contents of one simulated file, copied only when written.
 * Must never be shared between two owners without simimage_clone.
 * Cloning is what makes thousands of power cuts affordable.
 */
#ifndef LBS_TESTS_SIMIMAGE_H
#define LBS_TESTS_SIMIMAGE_H

#include <stddef.h>
#include <stdint.h>

struct simtable;

/* All zeroes is the empty image. Bytes never written read as zero. */
struct simimage {
	struct simtable *table;	/* of pages; shared by clones until written */
	uint64_t len_bytes;
};

/* Makes dst, which must be empty, equal to src. */
void simimage_clone(struct simimage *dst, const struct simimage *src);
void simimage_free(struct simimage *img);
/* Reads inside the image; returns the bytes read, fewer at its end. */
size_t simimage_read(const struct simimage *img, void *buf, size_t len,
		     uint64_t offset);
/* Writes, growing the image as needed. */
void simimage_write(struct simimage *img, const void *buf, size_t len,
		    uint64_t offset);
/* Cuts or grows (with zeroes). */
void simimage_resize(struct simimage *img, uint64_t len_bytes);
/* Grows with bytes that look like whatever lay in the clusters before. */
void simimage_grow_garbage(struct simimage *img, uint64_t len_bytes,
			   uint64_t seed);

/* The lab's generator: the next of a sequence, and a hash of two values. */
uint64_t sim_random(uint64_t *state);
uint64_t sim_mix(uint64_t a, uint64_t b);
/* calloc and realloc that end the test when memory is gone; while they run,
 * sim_allocating says that memory is asked for by the lab, not by the store. */
extern _Thread_local volatile int sim_allocating;
void *sim_alloc(size_t size);
void *sim_realloc(void *old, size_t size);

#endif
