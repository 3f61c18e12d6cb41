/*
 * thin.h - chunk files that keep only what the engine reads back of them: the
 * beginning and the end of each segment, where header and index are. For benches
 * whose blocks nobody reads: see nocipher.c.
 */
#ifndef LBS_BENCH_THIN_H
#define LBS_BENCH_THIN_H

#include <stddef.h>
#include <stdint.h>

/* Contents of chunk files that follow each other; not thread-safe in one
 * segment. */
struct thin {
	uint32_t segment_bytes, head_bytes, tail_bytes;
	uint8_t *kept; /* of each segment: its first page and its tail */
};

/* whole: everything is kept, as is needed where blocks are compressed and the engine
 * reads back how long they are. 0 or -1 without memory. */
int thin_init(struct thin *t, uint64_t capacity_bytes, uint32_t segment_bytes,
	      int whole);
void thin_free(struct thin *t);
/* Copies what is kept of [at, at + len) from or to buf; at counts over all
 * chunk files. What is not kept is left as it is in buf. */
void thin_copy(struct thin *t, uint64_t at, uint8_t *buf, size_t len,
	       int to_card);

#endif
