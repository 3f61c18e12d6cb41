/*
 * prefetch.c - asks the kernel for frames that will be read: those of a sequence
 * of reads, and those that the cleaner is about to copy. In the order of the card,
 * so that what lies close comes with one command, and many at a time, so that the
 * card's queue is full.
 * Must never wait for the card on purpose, read or decrypt anything, or let
 * anything fail: what is asked for in vain is only a little time lost.
 */
#include <stdlib.h>

#include "liblbs/store/internal.h"

/* More than this between two frames is left out. A card reads that much in about
 * the time that one more command takes. */
#define GAP_BYTES (32u * 1024)
/* Of a sequence, positions looked up at a time. */
#define LOOKUP_BLOCKS 64u

static int
ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void
store_prefetch(lbs_store *s, uint64_t *positions, size_t n)
{
	uint32_t frame = frame_bytes_max(sealer_varies(&s->sealer));
	struct medium *card = s->env.card;
	size_t i = 0, k;

	if (!card->ops->prefetch)
		return;
	qsort(positions, n, sizeof *positions, ascending);
	while (i < n && !positions[i])
		i++;
	for (; i < n; i = k) {
		uint32_t segment = position_segment(positions[i]);
		uint32_t from = position_offset(positions[i]), to = from + frame;

		for (k = i + 1; k < n &&
				position_segment(positions[k]) == segment &&
				position_offset(positions[k]) <= to + GAP_BYTES;
		     k++)
			to = position_offset(positions[k]) + frame;
		count(s, LBS_STAT_CARD_PREFETCH_CALLS, 1);
		card->ops->prefetch(card, geometry_chunk(&s->geometry, segment),
				    geometry_offset(&s->geometry, segment) +
					    from,
				    to - from);
	}
}

void
store_read_ahead(lbs_vdisk *v, uint64_t offset, size_t len)
{
	uint64_t positions[AHEAD_WINDOW_BYTES / BLOCK_BYTES + 1], lba, last;
	uint64_t from, to;
	uint32_t n = 0, some;

	if (!ahead_note(&v->ahead, offset, len, &from, &to))
		return;
	if (to > v->size_bytes)
		to = v->size_bytes;
	if (from >= to)
		return;
	last = (to - 1) / BLOCK_BYTES;
	for (lba = from / BLOCK_BYTES; lba <= last; lba += some, n += some) {
		some = last - lba + 1 < LOOKUP_BLOCKS
			       ? (uint32_t)(last - lba + 1)
			       : LOOKUP_BLOCKS;
		/* Nothing is pinned: of a place that is used again before it is
		 * read, no more than that was asked for in vain. */
		if (map_lookup(v->store->map, v->layer, lba, some,
			       positions + n, NULL, NULL))
			return;
	}
	store_prefetch(v->store, positions, n);
}
