/*
 * holes.c - block status: which parts of a vdisk are mapped. Regions that the map has
 * no rows of are skipped, so an empty terabyte costs what is mapped, not what could
 * be. Must never skip what was written before it was asked.
 */
#include "liblbs/store/io.h"

#include "liblbs/meta/mapstore.h"

/* The map is asked for so many blocks at a time. */
#define STATUS_BLOCKS (1u << 15)

/* *lba is where a region begins: moves it on, at most to end, over regions of which
 * nothing is mapped. */
static int
skip_hole(lbs_store *s, uint32_t layer, uint64_t *lba, uint64_t end)
{
	uint64_t region = *lba / MAP_REGION_BLOCKS, to;
	uint32_t found = layer;
	int rc;

	/* In this order: a change goes from the tables to the rows, never back. */
	to = map_next_change(s->map, layer, *lba);
	store_db_lock(s);
	rc = mapstore_next_region(s->meta, &found, &region);
	store_db_unlock(s);
	if (rc < 0)
		return rc;
	if (rc && found == layer && region * MAP_REGION_BLOCKS < to)
		to = region * MAP_REGION_BLOCKS;
	if (to > *lba)
		*lba = to < end ? to : end;
	return 0;
}

API int
lbs_vdisk_extents(lbs_vdisk *v, uint64_t len, uint64_t offset,
		  int (*fn)(void *ctx, uint64_t offset_bytes, uint64_t len_bytes,
			    int is_data),
		  void *ctx)
{
	uint64_t lba = offset / BLOCK_BYTES, end = offset + len, same;
	uint64_t last = (end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	uint64_t from = offset;
	int mapped, current = -1, rc;

	if (!io_in_range(v, len, offset))
		return LBS_EINVAL;
	if (v->store->forks != store_forks())
		return LBS_EFORK;
	while (len && lba < last) {
		uint64_t n = last - lba < STATUS_BLOCKS ? last - lba
							: STATUS_BLOCKS;
		uint64_t hole = lba, region = MAP_REGION_BLOCKS -
					     lba % MAP_REGION_BLOCKS;

		n = n < region ? n : region;
		if (lba % MAP_REGION_BLOCKS == 0) {
			rc = skip_hole(v->store, v->layer, &lba, last);
			if (rc)
				return rc;
		}
		if (lba > hole) {
			if (current == 1) {
				if (fn(ctx, from, hole * BLOCK_BYTES - from, 1))
					return 0;
				from = hole * BLOCK_BYTES;
			}
			current = 0;
			continue;
		}
		rc = map_status(v->store->map, v->layer, lba, n, &mapped, &same);
		if (rc)
			return rc;
		if (current >= 0 && mapped != current) {
			if (fn(ctx, from, lba * BLOCK_BYTES - from, current))
				return 0;
			from = lba * BLOCK_BYTES;
		}
		current = mapped;
		lba += same;
	}
	if (current >= 0)
		fn(ctx, from, end - from, current);
	return 0;
}
