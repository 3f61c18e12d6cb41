/*
 * victim.h - a small store whose card is about to be tampered with: what the
 * guest must get to see, and what it did get to see.
 * Must never call right what is not what the guest last wrote, nor count an
 * error where data was promised as more than an error.
 */
#ifndef LBS_TESTS_VICTIM_H
#define LBS_TESTS_VICTIM_H

#include "crypto/aead.h"
#include "liblbs/log/scan.h"
#include "tests/lab/world.h"

enum victim_state {
	VICTIM_CLOSED,	/* nothing is left to replay */
	VICTIM_KILLED	/* all flushed, then the process died, in another boot:
			 * segments to replay by index, and the last by frames */
};

struct victim_segment {
	uint32_t segment;
	uint8_t salt[SALT_BYTES], key[AEAD_KEY_BYTES];
};

struct victim {
	struct world *w;	/* its store is closed */
	struct sealer sealer;	/* data_key is data_key below */
	uint8_t data_key[32];
	struct geometry geometry;
	uint8_t *truth;		/* what the vdisk holds */
	uint64_t *positions;	/* where each block's frame is; 0 = a hole */
	uint32_t blocks;
	struct victim_segment *segments; /* in use, ascending */
	uint32_t *live;		/* blocks in each that the guest can see */
	uint32_t segment_count;
	uint32_t last_segment;	/* where the log ends */
	/* Older states of the same card, oldest first. */
	struct sim_copy *old[4];
	uint32_t old_count;
};

/* Lives through sessions, checkpoints, overwriting, discards and the reuse of
 * segments. Different seeds give different stores. */
struct victim *victim_new(enum victim_state state, uint64_t seed);
/* The same in a store with compression: LBS_COMPRESS_... */
struct victim *victim_new_zip(enum victim_state state, uint64_t seed,
			      int compress);
void victim_free(struct victim *v);

/* What an opening for reading and a reading of every block gave. */
struct looked {
	int rc;			/* of opening */
	uint32_t errors;	/* blocks that gave LBS_EDAMAGED */
	uint32_t wrong;		/* blocks that gave something else than truth,
				 * or another error */
	uint32_t first_error;
};
/* Changes nothing on either disk, and fails the program if the store does. */
struct looked victim_look(struct victim *v);
/* The same, and opened for writing on a copy of the machine; then written to,
 * closed, opened and read again. */
struct looked victim_live_on(struct victim *v);

/* The card file that holds a segment and where in it that begins. */
void victim_where(const struct victim *v, uint32_t segment,
		  char name[MEDIUM_NAME_BYTES], uint64_t *at);
/* Bytes at an offset of a segment, on this machine's card. */
void victim_get(const struct victim *v, uint32_t segment, uint32_t offset,
		void *buf, size_t len);
void victim_put(struct victim *v, uint32_t segment, uint32_t offset,
		const void *buf, size_t len);
/* How long the frame at an offset says that it is. */
uint32_t victim_frame_bytes(const struct victim *v, uint32_t segment,
			    uint32_t offset);

struct victim_record {
	uint32_t offset, bytes;
	struct record_desc desc;
	const struct index_entry *entries; /* as in an index of it */
	uint32_t entry_count;
};
/* Whole records of a segment in use, by the code that replays. */
int victim_records(struct victim *v, const struct victim_segment *segment,
		   void (*fn)(void *ctx, const struct victim_segment *segment,
			      const struct victim_record *record),
		   void *ctx);

#endif
