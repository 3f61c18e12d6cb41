/*
 * walk.c - where the structures of a victim's card are, by FORMAT.md's names for
 * them: what the other parts change.
 */
#include "liblbs/format/bytes.h"
#include "tests/tamper/tamper.h"

#include <stdio.h>
#include <string.h>

struct walk {
	struct victim *v;
	place_fn *fn;
	void *ctx;
};

/* A frame of a store with compression: its letters are its own. */
static void at_zip_frame(struct walk *walk, const struct victim_segment *segment,
			 uint32_t offset)
{
	uint32_t bytes = victim_frame_bytes(walk->v, segment->segment, offset);
	uint8_t head[NONCE_RANDOM_BYTES + 2];
	struct place at = { .segment = segment };
	uint32_t stored;

	victim_get(walk->v, segment->segment, offset, head, sizeof(head));
	stored = get16(head + NONCE_RANDOM_BYTES);
	at.letters[0] = (struct doc_letter){ 'n', stored };
	at.letters[1] = (struct doc_letter){ 'p', bytes - stored - 26 };
	victim_where(walk->v, segment->segment, at.file, &at.at);
	at.at += offset;
	snprintf(at.what, sizeof(at.what), "frame at %u of segment %u", offset,
		 segment->segment);
	walk->fn(walk->ctx, "zip-frame", &at);
}

static void at_record(void *ctx, const struct victim_segment *segment,
		      const struct victim_record *record)
{
	struct walk *walk = ctx;
	const struct record_desc *desc = &record->desc;
	int zip = sealer_varies(&walk->v->sealer);
	struct place at = { .segment = segment, .letters = {
		{ 'e', desc->extent_count },
		{ 'd', record_desc_bytes(desc->extent_count) },
		{ 'b', zip ? 0 : desc->frame_count }, { 0, 0 } } };
	uint32_t i;

	victim_where(walk->v, segment->segment, at.file, &at.at);
	at.at += record->offset;
	snprintf(at.what, sizeof(at.what), "record %llx at %u of segment %u",
		 (unsigned long long)desc->recno, record->offset,
		 segment->segment);
	walk->fn(walk->ctx, "record", &at);
	for (i = 0; zip && i < record->entry_count; i++)
		if (desc->kind == RECORD_DATA)
			at_zip_frame(walk, segment, record->entries[i].offset);
}

static void at_end(struct walk *walk, const struct victim_segment *segment,
		   struct place *at)
{
	uint64_t size = walk->v->geometry.segment_bytes;
	uint8_t bytes[TRAILER_BYTES];
	struct trailer trailer;

	simdisk_peek(walk->v->w->disk, SIM_CARD, at->file, bytes, sizeof(bytes),
		     at->at + size - TRAILER_BYTES);
	if (trailer_decode(bytes, (uint32_t)size, &trailer) < 0)
		return; /* it was never closed */
	at->letters[0] = (struct doc_letter){ 'n', trailer.index_bytes };
	at->letters[1] = (struct doc_letter){ 'S', size };
	at->letters[2] = (struct doc_letter){ 'c',
		(trailer.index_bytes - INDEX_FIXED_BYTES) / INDEX_ENTRY_BYTES };
	at->letters[3] = (struct doc_letter){ 0, 0 };
	snprintf(at->what, sizeof(at->what), "end of segment %u",
		 segment->segment);
	walk->fn(walk->ctx, "segment-end", at);
}

void tamper_walk(struct victim *v, place_fn *fn, void *ctx)
{
	struct walk walk = { v, fn, ctx };
	struct place at;
	uint32_t i;

	/* With compression only records are others. */
	for (i = 0; i < 2 && !sealer_varies(&v->sealer); i++) {
		memset(&at, 0, sizeof(at));
		strcpy(at.file, "card.lbs");
		at.at = i * CARD_SLOT_BYTES;
		snprintf(at.what, sizeof(at.what), "slot %u", i);
		walk.fn(walk.ctx, "card-slot", &at);
	}
	for (i = 0; i < v->segment_count; i++) {
		memset(&at, 0, sizeof(at));
		at.segment = &v->segments[i];
		victim_where(v, at.segment->segment, at.file, &at.at);
		snprintf(at.what, sizeof(at.what), "header of segment %u",
			 at.segment->segment);
		if (!sealer_varies(&v->sealer))
			walk.fn(walk.ctx, "segment-header", &at);
		victim_records(v, at.segment, at_record, &walk);
		if (!sealer_varies(&v->sealer))
			at_end(&walk, at.segment, &at);
	}
}
