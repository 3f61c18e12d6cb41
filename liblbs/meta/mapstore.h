/*
 * mapstore.h - the block map as it lies in the metadata file, FORMAT.md section
 * 9: a base row per page of MAP_PAGE_BLOCKS blocks, and per region of
 * MAP_REGION_PAGES pages a few delta rows, one from each checkpoint that
 * changed it, newest last. A delta costs what changed; a merge folds a region's
 * deltas into its pages when they have grown to a share of them. (The idea is
 * the log-structured merge of O'Neil et al., 1996, with two levels.)
 */
#ifndef LBS_META_MAPSTORE_H
#define LBS_META_MAPSTORE_H

#include "liblbs/format/runs.h"
#include "liblbs/meta/meta.h"

#define MAP_PAGE_BLOCKS 2048u
#define MAP_REGION_PAGES 64u
#define MAP_REGION_BLOCKS (MAP_PAGE_BLOCKS * MAP_REGION_PAGES)

/* Reads one page: the map entries of MAP_PAGE_BLOCKS blocks from
 * page * MAP_PAGE_BLOCKS. */
int mapstore_page(struct meta *m, uint32_t layer, uint64_t page,
		  uint64_t entries[MAP_PAGE_BLOCKS]);

struct mapstore_region {
	uint64_t *entries;	 /* MAP_REGION_BLOCKS of them, the caller's */
	size_t base_bytes, delta_bytes;
	uint32_t delta_rows;
	uint8_t dirty[MAP_REGION_PAGES]; /* page differs from its base row */
};

/* Reads a whole region; region->entries is given. */
int mapstore_region_load(struct meta *m, uint32_t layer, uint64_t region,
			 struct mapstore_region *out);
/* Adds a delta row: runs packed from the region's first block on. number is how
 * many delta rows the region has. */
int mapstore_delta_add(struct meta *m, uint32_t layer, uint64_t region,
		       uint32_t number, const uint8_t *runs, size_t len);
/* Writes the dirty pages of entries as base rows and removes the deltas. */
int mapstore_region_merge(struct meta *m, uint32_t layer, uint64_t region,
			  const struct mapstore_region *in);
/* Finds the least region at or after (*layer, *region) that has any row: 1 and
 * it, 0 if there is none, or an error. */
int mapstore_next_region(struct meta *m, uint32_t *layer, uint64_t *region);

#endif
