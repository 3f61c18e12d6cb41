/*
 * model.h - what a virtual disk may hold after a cut, by the promises.
 * Must never know how the store works: it sees requests, acknowledgements and
 * what is read, as a guest does.
 *
 * The requests of one guest are numbered; the contents of a write follow from
 * its number and the byte's place, so that every byte of a disk tells which
 * request it came from. After a cut the disk must equal the state after the
 * first k requests, each of which counts whole (promise 4):
 *   after a power cut:      last flush <= k <= issued     (promises 1 and 3)
 *   after a process death:  acknowledged <= k <= issued   (promise 2)
 * A write or zeroes of more than 1 MiB count as so many requests as they touch blocks,
 * from the first to the last: no block is half done.
 * One thread issues; a request is issued when the previous one has returned.
 */
#ifndef LBS_TESTS_MODEL_H
#define LBS_TESTS_MODEL_H

#include <stddef.h>
#include <stdint.h>

enum model_kind { MODEL_WRITE, MODEL_ZERO, MODEL_DISCARD };

#define MODEL_BLOCK 4096
#define MODEL_ATOMIC_BYTES (1u << 20)

struct model;

struct model *model_new(uint64_t size_bytes);
struct model *model_clone(const struct model *m);
void model_free(struct model *m);

/* The next request, before it is given to the store; its number, from 1. */
uint64_t model_issue(struct model *m, enum model_kind kind, uint64_t offset,
		     size_t len);
/* The contents of write number op: of every four blocks about one does not compress,
 * two do to a half, one nearly vanishes. */
void model_fill(uint64_t op, uint64_t offset, void *buf, size_t len);
/* The last request returned 0. */
void model_acked(struct model *m);
/* The last request was refused with nothing done (no space). */
void model_refused(struct model *m);
/* The last request is longer than what is done whole or not at all. */
int model_is_long(const struct model *m);
/* Such a one failed on its way, and the store goes on: got is what its bytes read as
 * now, unreadable (may be NULL) tells of each of its blocks whether it cannot be read.
 * How many blocks were done, counted as acknowledged from now on; -1 if that cannot
 * be. */
int model_refused_midway(struct model *m, const void *got,
			 const uint8_t *unreadable);
/* A flush, or the last request as FUA, returned 0. */
void model_flushed(struct model *m);
/* Power was cut: what was not flushed may be gone from now on, until a check
 * has found where the disk stands. Not told: the process may have died. */
void model_lost_power(struct model *m);
/* Reads what the disk holds now if every request issued took place; and if only
 * those did that were acknowledged. */
void model_read(const struct model *m, void *buf, size_t len, uint64_t offset);
void model_read_acked(const struct model *m, void *buf, size_t len,
		      uint64_t offset);

/* 1 if every aligned word is zero or one that some request wrote there: nothing
 * that the guest did not write. For requests aligned to words only. */
int model_plausible(const struct model *m, const void *buf, size_t len,
		    uint64_t offset);

uint64_t model_issued(const struct model *m);
uint64_t model_flushed_op(const struct model *m);
/* Acknowledged since the last flush. */
uint64_t model_unflushed(const struct model *m);

/* Reads the disk, all of it, in pieces of at most 64 KiB; 0 or an error. */
typedef int model_read_fn(void *ctx, void *buf, size_t len, uint64_t offset);
/* 0: the disk is as promised; the model takes its state as the new beginning,
 * all of it durable. Else -1 and a sentence in why. */
int model_check(struct model *m, model_read_fn *read, void *ctx, char *why,
		size_t why_len);
/* The same of a disk with blocks that cannot be read: unreadable, a byte for each
 * block, tells which; of these the model takes the state of the others. */
int model_check_around(struct model *m, model_read_fn *read, void *ctx,
		       uint8_t *unreadable, char *why, size_t why_len);
/* The last check that was passed found a request done in part. */
int model_found_part(const struct model *m);
/* What was found on the disk is the new beginning, all of it durable. */
void model_adopt(struct model *m, const void *disk);

#endif
