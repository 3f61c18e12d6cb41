/*
 * clean.h - the cleaner: copies what is live out of mostly dead segments into
 * segments of its own, so that the old ones become room. Shared by the files of
 * liblbs/store. DESIGN.md, "The cleaner".
 *
 * Work goes in rounds of a few victims, a round in small steps: list what the
 * victims hold, copy it, write the checkpoint that frees them. Whoever needs
 * room takes steps; so does the cleaner's thread.
 */
#ifndef LBS_STORE_CLEAN_H
#define LBS_STORE_CLEAN_H

#include "liblbs/map/memtable.h"
#include "liblbs/meta/mapstore.h"
#include "liblbs/store/internal.h"

/* The most blocks that a step copies: what a write may wait for. */
#define CLEAN_STEP_BLOCKS 32u

/* CHECKPOINT: whoever ended the round writes it, without cleaner->lock. */
enum clean_phase { CLEAN_IDLE, CLEAN_LISTING, CLEAN_COPYING, CLEAN_ENDING,
		   CLEAN_CHECKPOINT };

/* A live block of a victim, as the round found it. */
struct clean_block {
	uint64_t key;		/* layer and lba, see map_key */
	uint64_t position;
	uint64_t age;		/* the number of the record that wrote it */
};

/* What a victim holds by its index, or by its records: clean_list.c. */
struct clean_list {
	uint32_t segment;
	struct index_entry *entries;
	uint32_t count, at;	/* entries, and which is next */
	uint32_t block;		/* of that entry */
	uint64_t age;		/* of the first entry, of all if !ages_count */
	int ages_count;		/* records are one after the other: the entries */
	uint64_t records;	/* are of so many, alike as far as is known */
};

/* Reads a victim's list. A damaged one is shorter; never an error but for
 * memory. */
int clean_list_begin(lbs_store *s, uint32_t segment, struct clean_list *list);
void clean_list_end(struct clean_list *list);
/* The next block of data that the segment holds, live or not; 0 at the end. */
int clean_list_next(struct clean_list *list, struct clean_block *out);

struct cleaner {
	struct stream *stream;
	/* Held over append and move together, and by a checkpoint over its
	 * freeze: what was appended was moved, or is not in a closed segment. */
	pthread_mutex_t moving;
	uint8_t *cold;		/* filled segments at the freeze; guarded by
				 * checkpointing */
	uint8_t *chunks;	/* scratch of clean_sync, likewise */

	_Atomic int phase;	/* changed under lock */
	_Atomic uint32_t taken;	/* segments taken from the reserve in this round */
	_Atomic int freed;	/* a round ended: a checkpoint has work */
	/* The round's work in blocks, for pacing without the lock. */
	_Atomic uint64_t work, done;
	_Atomic uint64_t room, allowed; /* for writers: when it began; for use */
	_Atomic uint64_t seen;	/* log bytes at the last tick */
	_Atomic int idle;	/* they were the same at the one before */

	pthread_mutex_t lock;	/* guards all below: one round at a time */
	uint32_t victims[CLEAN_VICTIMS_MAX];
	uint64_t serials[CLEAN_VICTIMS_MAX];
	uint32_t victim_count, listed;
	int aborted;
	struct clean_list list;
	struct clean_block *blocks;
	size_t count, cap, next, group_end;
	struct map_change placed[CLEAN_STEP_BLOCKS]; /* by the last append */
	uint32_t placed_count;
	/* Of the segment that is being filled: blocks, and when they were written. */
	uint32_t filling;
	uint64_t filled_blocks, filled_written;
	uint8_t *frames, *plain; /* of one step; plain: blocks as stored */
	/* Nothing was worth it when there were so many log bytes. */
	_Atomic uint64_t barren_at;
	_Atomic int barren;
};

/* 1 if the map still says that the block is there, 0, or an error. */
int clean_is_current(lbs_store *s, const struct clean_block *b);
/* clean_copy.c: one step of copying, at most so many blocks. At the end, or when
 * there is no room, the round is CLEAN_ENDING. cleaner->lock is held. */
int clean_copy(lbs_store *s, uint32_t want);

/* After recovery, before anything is served. */
int cleaner_start(lbs_store *s);
/* Gives up the round that is under way: before the last checkpoint. */
void cleaner_stop(lbs_store *s);
void cleaner_free(lbs_store *s);

/* 1 while it is of no use to look for victims again: a segment of log later
 * there may be some. */
int clean_is_barren(lbs_store *s);
/* What is worth cleaning: segments of which at most so many blocks live; and,
 * unless every block counts, only if all of them together win a segment. */
struct clean_worth {
	uint32_t max_live;
	int wins;
	uint32_t from;		/* unless 0: whatever lives from this segment on */
};
/* Gives chunk files back to the card, as many as can be (shrink.c). 0 or an error;
 * when progress asks to stop, LBS_ECANCELLED. */
int store_shrink(lbs_store *s, lbs_progress_fn *progress, void *ctx);
/* Begins a round if there is none: 1, or 0 when nothing is worth it.
 * cleaner->lock is held for these two. */
int clean_begin(lbs_store *s, struct clean_worth worth);
/* One step of the round: at most so many blocks. 0 or an error that stopped the
 * store. While a checkpoint is written the lock is given up. */
int clean_step(lbs_store *s, uint32_t blocks);
/* A whole round, or what is left of the present one: 1, 0 if there is none worth
 * it, or an error. The lock is not held. */
int clean_round(lbs_store *s, struct clean_worth worth);

/* For the checkpoint, which holds checkpointing. */
/* Freezes the map, as map_freeze does, and notes which of the cleaner's segments
 * were full: their live counts will be right when that is written. */
int clean_freeze(lbs_store *s, struct log_position *behind);
/* Makes durable what the frozen map may name in the cleaner's segments. */
int clean_sync(lbs_store *s);
/* The moves are in the map: what was noted may be freed from now on. */
void clean_written(lbs_store *s);

#endif
