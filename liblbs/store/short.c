/*
 * short.c - is a write short, so that an event loop may do it itself? It then
 * encrypts and hands the kernel a few pages, and waits for no medium and for no
 * request that does more, as far as can be told beforehand. Others may change that
 * meanwhile, so every limit is looked at well before it would make a write wait.
 */
#include "liblbs/store/clean.h"

/* Compressing takes several times as long as encrypting. */
#define SHORT_BYTES_ZIP BLOCK_BYTES

int
store_write_is_short(lbs_vdisk *v, uint64_t len, uint64_t offset)
{
	lbs_store *s = v->store;
	uint64_t most = s->sealer.zip ? SHORT_BYTES_ZIP : SHORT_BYTES;
	uint64_t unsynced;
	uint32_t rest;

	/* Refused at once. */
	if (store_may_write(s))
		return 1;
	/* Without threads it does their work; part of a block is read first. */
	if (!s->background || len > most || offset % BLOCK_BYTES ||
	    len % BLOCK_BYTES || atomic_load(&s->meta_low))
		return 0;
	/* No new segment, and no sync that writers wait for: that comes at twice
	 * as much. */
	if (!stream_look(s->stream, &rest, &unsynced) ||
	    rest < 8 * SHORT_BYTES ||
	    unsynced >= 2 * s->sync_bytes - s->sync_bytes / 4)
		return 0;
	return map_allows(s->map, (uint32_t)(len / BLOCK_BYTES)) &&
	       !map_wants_checkpoint(s->map) &&
	       s->cleaner->phase == CLEAN_IDLE &&
	       ranges_are_short(&s->ranges, SHORT_BYTES / BLOCK_BYTES);
}
