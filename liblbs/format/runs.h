/*
 * runs.h - packed runs of map entries, as they lie in the metadata file,
 * FORMAT.md section 9. A run is a stretch of blocks whose frames follow each
 * other inside one record, or a stretch of holes. Random single blocks cost
 * about six bytes, sequential ones next to nothing.
 */
#ifndef LBS_FORMAT_RUNS_H
#define LBS_FORMAT_RUNS_H

#include <stddef.h>
#include <stdint.h>

#include "liblbs/format/layout.h"

struct run {
	uint64_t start;		/* relative to where the packing begins */
	uint64_t count;
	uint64_t position;	/* of the first block; 0 = holes */
};

/* The position of the block after the one at position, in the same record. */
static inline uint64_t
position_next(uint64_t position, uint64_t blocks)
{
	return position + blocks * (FRAME_BYTES / POSITION_UNIT);
}

struct runs_writer {
	uint8_t *buf;		/* malloc'd; the caller's after runs_end */
	size_t len, cap;
	uint64_t end;		/* where the last packed run ended */
	uint64_t last;		/* linear position it ended at */
	struct run open;	/* not packed yet: may still grow */
	int segment_shift;	/* log2 of segment size / POSITION_UNIT */
	int failed;		/* out of memory */
};

/* Nothing is allocated before the first run. */
void runs_begin(struct runs_writer *w, int segment_shift);
/* Adds a run; starts ascend and runs do not overlap. */
void runs_put(struct runs_writer *w, uint64_t start, uint64_t count,
	      uint64_t position);
/* Packs what is open; buf is NULL if there was no run. 0, or -1 when memory ran out
 * (then buf is freed). */
int runs_end(struct runs_writer *w);

struct runs_reader {
	const uint8_t *p, *limit;
	uint64_t end, last;
	uint64_t span;		/* runs lie in [0, span) */
	int segment_shift;
};

/* Begins with a packed row, of which nothing is believed; buf stays where it is. */
void runs_read(struct runs_reader *r, const uint8_t *buf, size_t len,
	       uint64_t span, int segment_shift);
/* 1 and a run, 0 at the end, -1 if malformed. */
int runs_next(struct runs_reader *r, struct run *out);

#endif
