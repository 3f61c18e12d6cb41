/*
 * map.h - where each block is: what changed since the last checkpoint (active),
 * what a running checkpoint is writing (frozen), and decoded pages of what is
 * persisted, in this order. Bounded by a limit that includes all three and what
 * a checkpoint needs on top; going over it is an assertion, except after replay,
 * which takes what the log needs, until the next checkpoint is done.
 *
 * Changes are applied strictly in log order. A checkpoint freezes the active
 * table together with the log position it agrees with, in one step, without
 * stopping writers.
 */
#ifndef LBS_MAP_MAP_H
#define LBS_MAP_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "liblbs/format/record.h"

struct map;

/* A place in the log: just behind a record. */
struct log_position {
	uint64_t recno;		/* of that record; 0 = before the first */
	uint32_t segment, offset;
};

/* Reads a page that is not in memory into it, by map_page_put: 0 or an error. Called
 * without the map's lock. */
typedef int map_load_fn(void *ctx, uint32_t layer, uint64_t page);

#define MAP_LIMIT_MIN (4ull << 20)
#define MAP_LIMIT_DEFAULT (64ull << 20)

/* limit_bytes: 0 is the default, and what is below the least becomes that. NULL when
 * memory ran out. Thread-safe, but for what is the checkpoint's. */
struct map *map_new(uint64_t limit_bytes, map_load_fn *load, void *ctx);
void map_free(struct map *map);

/* 1 if room for the change of an extent was set aside (released as the change is
 * applied); 0: a checkpoint must make room first; LBS_ENOSPC: with fresh blocks more
 * than before too many would live (never for fresh = 0). Looking and counting are one
 * step: of writers that come together no more are let in than fit. Sealing takes
 * longer than memory: where a small change will go is fetched into the cache
 * meanwhile. */
int map_admit(struct map *map, const struct extent *extent, int is_unmap,
	      uint32_t fresh);
/* DESIGN.md promise 9: so many blocks are mapped by the persisted map, and so many
 * may be at most. */
void map_set_live(struct map *map, uint64_t live);
void map_set_live_max(struct map *map, uint64_t live_max);
/* 1 if fresh more mapped blocks are allowed, when each block that was written
 * since the last checkpoint or is being written counts as new. */
int map_allows(struct map *map, uint32_t fresh);
/* The same if nothing that was written since the last checkpoint is new. */
int map_may_allow(struct map *map, uint32_t fresh);
/* Counts the holes of a range. */
int map_holes(struct map *map, uint32_t layer, uint64_t lba, uint32_t count,
	      uint32_t *holes);
/* Gives back what was set aside for a change that will not come. */
void map_unadmit(struct map *map, const struct extent *extent, int is_unmap);
/* 1 if a checkpoint should start soon for the sake of room. */
int map_wants_checkpoint(struct map *map);

struct map_change {
	struct extent extent;
	uint64_t position;	/* of the first frame; 0 = unmap */
};
/* Applies one complete group of changes that were admitted, and moves the
 * position to behind it. */
void map_apply(struct map *map, const struct map_change *changes, int count,
	       const struct log_position *behind);
/* The same in replay: nothing was admitted, memory may grow. 0 or LBS_ENOMEM. */
int map_replay(struct map *map, const struct map_change *changes, int count,
	       const struct log_position *behind);
/* The cleaner has copied blocks: where an entry still is the old position it
 * becomes the new one, and moved counts it; whatever a writer has done since
 * stands. The extent was admitted. 0, or an error of loading a page, with what
 * was moved so far. */
int map_move(struct map *map, const struct extent *extent,
	     const uint64_t *old_positions, uint64_t position, uint32_t *moved);
/* The position behind the last change applied. */
void map_position(struct map *map, struct log_position *out);
void map_position_set(struct map *map, const struct log_position *position);

/* Looks up count blocks from lba, loading pages as needed: 0, or an error of that.
 * Under the same lock that makes the answer true, pin is called for the segment of
 * each that is mapped, so that none is reused while its blocks are read. NULL: who
 * asks only looks. */
int map_lookup(struct map *map, uint32_t layer, uint64_t lba, uint32_t count,
	       uint64_t *positions, void (*pin)(void *ctx, uint32_t segment),
	       void *ctx);
/* The same without loading a page: 1, or 0 if one would have to be. */
int map_lookup_loaded(struct map *map, uint32_t layer, uint64_t lba,
		      uint32_t count, uint64_t *positions,
		      void (*pin)(void *ctx, uint32_t segment), void *ctx);
/* For block status: whether the block is mapped, and at how many blocks from it
 * on (at most count) this is the same. */
int map_status(struct map *map, uint32_t layer, uint64_t lba, uint64_t count,
	       int *mapped, uint64_t *same);

/* The first block from lba on that was written since the last checkpoint, or is being
 * written by one; MAP_LBA_NONE if there is none in the layer. */
#define MAP_LBA_NONE UINT64_MAX
uint64_t map_next_change(struct map *map, uint32_t layer, uint64_t lba);

/* Gives a page's entries to memory unless they are there. */
int map_page_put(struct map *map, uint32_t layer, uint64_t page,
		 const uint64_t *entries);

/* Checkpoint. freeze: swaps the tables; 0 if a frozen one is still there. The
 * frozen runs are the map's, valid until thaw. */
struct memtable_run;
int map_freeze(struct map *map, struct log_position *behind);
int map_frozen_runs(struct map *map, struct memtable_run **runs, size_t *count);
/* The persisted map now says this about the run: repeat it in memory. */
void map_persisted(struct map *map, const struct memtable_run *run);
void map_thaw(struct map *map);
/* 1 if nothing changed since the last freeze. */
int map_clean(struct map *map);
/* Scratch for a region during a checkpoint, counted in the limit. */
uint64_t *map_scratch(struct map *map);

struct map_stats {
	uint64_t bytes, peak_bytes, limit_bytes, page_hits, page_loads;
};
void map_stats(struct map *map, struct map_stats *out);

#endif
