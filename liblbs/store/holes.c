/*
 * holes.c - how far a hole goes where the map has no rows: so that block status over
 * an empty terabyte costs what is mapped, not what could be. Must never skip what
 * was written before it was asked.
 */
#include "liblbs/store/internal.h"

#include "liblbs/meta/mapstore.h"

int
store_skip_hole(lbs_store *s, uint32_t layer, uint64_t *lba, uint64_t end)
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
