/*
 * fold.h - when a region's deltas are folded into its base rows: a decision that
 * takes sizes and gives an answer. Must never know of SQLite or of other regions.
 *
 * A fold writes the whole base for what the deltas hold, so it waits until they
 * are a share of it. Uniform writes bring all regions along together; each has a
 * share of its own, anew after each fold, so that folds are spread over time.
 */
#ifndef LBS_MAP_FOLD_H
#define LBS_MAP_FOLD_H

#include <stddef.h>
#include <stdint.h>

/* What a region's rows are with the newest delta; bytes of packed runs. */
struct fold_region {
	uint32_t layer;
	uint64_t region;
	size_t base_bytes, delta_bytes;
	uint32_t delta_rows;
	uint32_t mapped;	/* blocks */
};

/* 1 if the region should be folded now. */
int fold_due(const struct fold_region *r);

#endif
