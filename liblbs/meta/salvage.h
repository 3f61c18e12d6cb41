/*
 * salvage.h - a new metadata file from what can be read of a damaged one. Works
 * on a copy that the caller made, never on the original. What is lost stays an
 * error: blocks whose place is not known are made to lead to a segment that was
 * never written, and where it is not known how far the log must reach, the new
 * file is refused until the loss is accepted.
 */
#ifndef LBS_META_SALVAGE_H
#define LBS_META_SALVAGE_H

#include "liblbs/meta/meta.h"

/* Of what something was lost. */
enum {
	SALVAGE_LOST_SEGMENTS = 1,	/* keys of segments */
	SALVAGE_LOST_CHUNKS = 2,	/* how much of the card is room */
	SALVAGE_LOST_MAP = 4,		/* where blocks lie */
	SALVAGE_LOST_PROMISE = 8,	/* how far the log must reach */
	SALVAGE_LOST_VDISKS = 16,	/* names and sizes */
	SALVAGE_DOUBT = 32		/* the map reads well, but is not the one
					 * that the live counts were counted of */
};

struct salvage {
	const char *copy;		/* of the damaged file, with its -wal */
	const char *out;		/* must not exist */
	const struct logger *log;
	/* The serial that a segment bears on the card, 0 for none: the one that
	 * was used longest ago is given up for what is lost. NULL: unknown. */
	uint64_t (*serial_on_card)(void *ctx, const struct meta_store *store,
				   const uint8_t *key, uint32_t segment);
	void *ctx;
	/* results */
	int lost;			/* SALVAGE_LOST_... */
	uint64_t rows;			/* that were read */
	uint64_t lost_blocks;		/* marked as errors, at most */
};

/* 0, and out is a metadata file of mode 0600; LBS_ECORRUPT: the row that holds the
 * key cannot be read, so nothing can be done; LBS_EEXIST: there is a file already,
 * which stays; or another error. On failure nothing is made. */
int meta_salvage(struct salvage *s);

#endif
