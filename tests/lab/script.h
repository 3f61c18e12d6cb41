/*
 * script.h - small workloads, written as a few letters each, so that all of a
 * length can be tried: two or three requests find what a long run meets once in
 * a while (CrashMonkey).
 * Must never depend on chance: letter by letter the same ticks again.
 */
#ifndef LBS_TESTS_SCRIPT_H
#define LBS_TESTS_SCRIPT_H

#include "tests/lab/world.h"

/*
 * The letters:
 *   w  a write of two whole blocks        a  the same as FUA, one block further
 *   p  a write of parts of two blocks     b  86 KiB, over a segment's end
 *   d  a discard of some of those         z  zeroes over parts of them
 *   f  a flush                            c  a checkpoint
 *   r  a clean end and an opening         k  a death and an opening
 */
extern const char script_letters[];
#define SCRIPT_LETTERS 10
#define SCRIPT_STEPS_MAX 8

/* A vdisk of 24 blocks and a bit on segments of 64 KiB. */
extern const struct world_shape script_shape;

/* Where scripts begin: a store just made; or one whose log has gone round its
 * segments, so that each that is taken holds old records of the store; or such a one
 * with compression. Closed. NULL when that fails. */
enum { SCRIPT_NEW, SCRIPT_WORN, SCRIPT_ZIP, SCRIPT_STORES };
extern const char *const script_store_names[SCRIPT_STORES];
struct world *script_store(int which, struct world_shape shape);

/* One letter on an open store. 0, an lbs code, or 1 when a reopened store does
 * not hold what it must. */
int script_step(struct world *w, char letter);

#endif
