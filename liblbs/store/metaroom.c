/*
 * metaroom.c - internal flash is checked before a write is accepted, so that
 * the card's log never runs ahead of what the map can hold (DESIGN.md condition
 * 13). Creation refuses when there is no room for the map's worst case; later
 * other files may take that room away.
 */
#include "liblbs/store/internal.h"

/* The next checkpoint and the WAL need less than this. */
#define META_ROOM_BYTES (16ull << 20)

int
store_meta_has_room(lbs_store *s)
{
	int low;

	if (!s->env.meta_free)
		return 1;
	low = s->env.meta_free(s->env.meta_free_ctx) < META_ROOM_BYTES;
	if (low && !atomic_exchange(&s->meta_low, 1)) {
		store_event(s, LBS_EVENT_META_LOW);
		warn(&s->log, LBS_EMETAFULL,
		     "internal flash has less than %llu MiB left: new writes "
		     "get \"no space\" until there is room beside the metadata "
		     "file", META_ROOM_BYTES >> 20);
	} else if (!low) {
		atomic_store(&s->meta_low, 0);
	}
	return !low;
}
