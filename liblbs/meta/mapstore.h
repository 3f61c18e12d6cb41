/*
 * mapstore.h - the block map as it lies in the metadata file, FORMAT.md section
 * 9: per region of MAP_REGION_BLOCKS blocks base rows, which together say all of
 * it, and a few delta rows, one from each checkpoint that changed it, newest
 * last. A delta costs what changed; a fold writes the base rows anew when the
 * deltas have grown to a share of them (liblbs/map/fold.h). (The idea is the
 * log-structured merge of O'Neil et al., 1996, with two levels.)
 */
#ifndef LBS_META_MAPSTORE_H
#define LBS_META_MAPSTORE_H

#include "liblbs/format/runs.h"
#include "liblbs/meta/meta.h"

/* What is read, and kept in memory, at a time. */
#define MAP_PAGE_BLOCKS 2048u
#define MAP_REGION_PAGES (MAP_REGION_BLOCKS / MAP_PAGE_BLOCKS)

/* Reads one page: the map entries of MAP_PAGE_BLOCKS blocks from
 * page * MAP_PAGE_BLOCKS. */
int mapstore_page(struct meta *m, uint32_t layer, uint64_t page,
		  uint64_t entries[MAP_PAGE_BLOCKS]);

struct mapstore_region {
	uint64_t *entries;	 /* MAP_REGION_BLOCKS of them, the caller's */
	size_t base_bytes, delta_bytes;
	uint32_t delta_rows;
	uint32_t mapped;	/* entries that are no holes */
};

/* Reads a whole region; region->entries is given. */
int mapstore_region_load(struct meta *m, uint32_t layer, uint64_t region,
			 struct mapstore_region *out);
/* Adds a delta row: runs packed from the region's first block on. number is how
 * many delta rows the region has. */
int mapstore_delta_add(struct meta *m, uint32_t layer, uint64_t region,
		       uint32_t number, const uint8_t *runs, size_t len);
/* Folds a region in steps that may be transactions of their own: writes entries
 * as base rows from block *from on, until *written has grown by about max_bytes,
 * and moves *from on. The step that reaches MAP_REGION_BLOCKS removes the deltas.
 * Where the rows said what entries say they do so between any two steps, too:
 * the deltas repeat over the new rows what those hold already. */
int mapstore_region_fold(struct meta *m, uint32_t layer, uint64_t region,
			 const uint64_t *entries, uint32_t *from,
			 size_t max_bytes, size_t *written);
/* All of that in one step, in a transaction of the caller's; entries may say
 * anything. */
int mapstore_region_rewrite(struct meta *m, uint32_t layer, uint64_t region,
			    const uint64_t *entries);
/* Finds the least region at or after (*layer, *region) that has any row: 1 and
 * it, 0 if there is none, or an error. */
int mapstore_next_region(struct meta *m, uint32_t *layer, uint64_t *region);

#endif
