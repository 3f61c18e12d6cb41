/*
 * records.c - a group's blocks made into records, in its caller's thread: compressed
 * where the store does that, then sealed. FORMAT.md section 6.
 * Must never hold a lock, nor ask for a block twice or out of order.
 */
#include "liblbs/log/stream.h"

#include <string.h>

/* The blocks of a part of a change. */
struct part {
	const struct append_change *change;
	uint32_t first;
};

static const uint8_t *
part_block(void *ctx, uint32_t i)
{
	const struct part *p = ctx;
	const struct append_change *c = p->change;
	uint32_t all;

	return c->stored ? c->stored(c->ctx, p->first + i, &all)
			 : c->block(c->ctx, p->first + i);
}

void
group_pack(const struct stream *st, struct group *g,
	   const struct append_change *c, uint32_t frames, uint8_t *buf)
{
	uint8_t *at = buf + record_frames_at(g->extents) + frame_head_bytes(1);
	const uint8_t *from;
	uint32_t n;

	g->before[0] = 0;
	for (uint32_t i = 0; i < frames; i++) {
		if (c->stored) {
			from = c->stored(c->ctx, i, &n);
			memcpy(at + g->before[i], from, n);
		} else {
			n = seal_pack(st->sealer, c->block(c->ctx, i),
				      at + g->before[i]);
		}
		g->stored[i] = (uint16_t)n;
		g->before[i + 1] = g->before[i] + frame_bytes(1, n);
	}
}

/* They go into several, one behind the other: makes room for the heads. */
static void
spread(struct group *g, uint8_t *buf)
{
	for (int i = g->parts; i-- > 1;)
		memmove(g->items[i].buf + record_frames_at(1),
			buf + record_frames_at(1) + g->before[g->items[i].first],
			g->items[i].len - record_frames_at(1));
}

void
group_seal(struct stream *st, struct group *g, const struct append_change *c,
	   uint64_t durable_to, uint64_t checkpoint)
{
	int vary = sealer_varies(st->sealer) && c->kind == RECORD_DATA;

	if (vary)
		spread(g, g->items[0].buf);
	for (int i = 0; i < g->parts; i++) {
		struct item *it = &g->items[i];
		struct record_desc desc;
		struct part part = { c, it->first };

		desc.recno = it->recno;
		desc.durable_to = durable_to;
		desc.checkpoint = checkpoint;
		desc.kind = c->kind;
		desc.flags = i + 1 < g->parts || c->continues
				     ? RECORD_GROUP_CONTINUES
				     : 0;
		desc.extent_count = (uint16_t)g->extents;
		desc.frame_count = c->kind == RECORD_DATA ? it->count : 0;
		if (c->extents)
			memcpy(desc.extents, c->extents,
			       g->extents * sizeof *desc.extents);
		else
			desc.extents[0] = (struct extent){
				c->extent.layer, it->count,
				c->extent.lba + it->first
			};
		seal_record(st->sealer, segtab_key(st->segtab, it->segment),
			    it->offset, &desc, part_block, &part,
			    vary ? g->stored + it->first : NULL, it->buf);
	}
}
