/*
 * thin.c - see thin.h.
 */
#include "bench/thin.h"

#include <stdlib.h>
#include <string.h>

#include "liblbs/store/internal.h"

int
thin_init(struct thin *t, uint64_t capacity_bytes, uint32_t segment_bytes,
	  int whole)
{
	uint32_t tail = index_tail_bytes(room_segment_blocks(segment_bytes));

	t->segment_bytes = segment_bytes;
	t->head_bytes = whole ? segment_bytes : PAGE_BYTES;
	t->tail_bytes =
		whole ? 0 : (tail + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	t->kept = calloc(capacity_bytes / segment_bytes,
			 t->head_bytes + t->tail_bytes);
	return t->kept ? 0 : -1;
}

void
thin_free(struct thin *t)
{
	free(t->kept);
}

static void
copy_in_segment(struct thin *t, uint64_t segment, uint32_t at, uint8_t *buf,
		uint32_t len, int to_card)
{
	const struct {
		uint32_t from, to, place;
	} zones[2] = { { 0, t->head_bytes, 0 },
		       { t->segment_bytes - t->tail_bytes, t->segment_bytes,
			 t->head_bytes } };
	uint8_t *kept = t->kept + segment * (t->head_bytes + t->tail_bytes);

	for (int z = 0; z < 2; z++) {
		uint32_t from = at > zones[z].from ? at : zones[z].from;
		uint32_t to = at + len < zones[z].to ? at + len : zones[z].to;
		uint8_t *there;

		if (from >= to)
			continue;
		there = kept + zones[z].place + (from - zones[z].from);
		if (to_card)
			memcpy(there, buf + (from - at), to - from);
		else
			memcpy(buf + (from - at), there, to - from);
	}
}

void
thin_copy(struct thin *t, uint64_t at, uint8_t *buf, size_t len, int to_card)
{
	while (len) {
		uint32_t in = (uint32_t)(at % t->segment_bytes);
		uint32_t n = t->segment_bytes - in < len ? t->segment_bytes - in
							 : (uint32_t)len;

		copy_in_segment(t, at / t->segment_bytes, in, buf, n, to_card);
		buf += n;
		at += n;
		len -= n;
	}
}
