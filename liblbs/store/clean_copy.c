/*
 * clean_copy.c - one step of a round's copying: blocks that are still live are read,
 * verified, sealed anew in the cleaner's stream, and moved in the map. DESIGN.md,
 * "The cleaner". Must never move a block that it could not authenticate, and never
 * overrule a writer.
 */
#include "liblbs/store/clean.h"

#include <stdlib.h>
#include <string.h>

/* What one step copies: blocks in logical order, verified, as they are stored. */
struct batch {
	struct clean_block block[CLEAN_STEP_BLOCKS];
	uint16_t stored[CLEAN_STEP_BLOCKS];
	uint32_t n;
	struct extent extents[CLEAN_STEP_BLOCKS];
	uint32_t extent_count;
	const uint8_t *plain;
};

static const uint8_t *
batch_block(void *ctx, uint32_t i, uint32_t *stored)
{
	const struct batch *b = ctx;

	*stored = b->stored[i];
	return b->plain + (size_t)i * BLOCK_BYTES;
}

/* The next blocks that are still where they were, without looking at more than
 * four times as many. */
static int
gather(lbs_store *s, struct batch *b, uint32_t want)
{
	struct cleaner *c = s->cleaner;
	int rc = 0;

	for (uint32_t i = 0; i < 4 * want && b->n < want &&
			     c->next < c->group_end && rc == 0; i++) {
		rc = clean_is_current(s, &c->blocks[c->next]);
		if (rc > 0)
			b->block[b->n++] = c->blocks[c->next];
		c->next++;
		rc = rc < 0 ? rc : 0;
	}
	return rc;
}

/* Reads and opens blocks [i, i + n), which lie in so many bytes. Those that open are
 * kept. */
static void
read_run(lbs_store *s, struct batch *b, uint32_t i, uint32_t n, uint32_t bytes,
	 uint32_t *kept)
{
	struct cleaner *c = s->cleaner;
	uint32_t segment = position_segment(b->block[i].position);
	uint32_t start = position_offset(b->block[i].position);
	const uint8_t *key = segtab_key(s->segtab, segment);
	ssize_t got = s->env.card->ops->pread(
		s->env.card, geometry_chunk(&s->geometry, segment), c->frames,
		bytes, geometry_offset(&s->geometry, segment) + start);

	count(s, LBS_STAT_CARD_READ_CALLS, 1);
	count(s, got < 0 ? LBS_STAT_IO_ERRORS : LBS_STAT_CARD_READ_BYTES,
	      got < 0 ? 1 : (uint64_t)got);
	for (uint32_t k = 0; k < n; k++) {
		struct clean_block *block = &b->block[i + k];
		uint32_t at = position_offset(block->position) - start;

		if (got < (ssize_t)at)
			break;
		if (open_stored(&s->sealer, key, start + at,
				map_key_layer(block->key),
				map_key_lba(block->key), c->frames + at,
				(uint32_t)got - at,
				c->plain + (size_t)*kept * BLOCK_BYTES,
				&b->stored[*kept])) {
			count(s, LBS_STAT_INTEGRITY_ERRORS, 1);
			store_event(s, LBS_EVENT_INTEGRITY);
			continue;
		}
		b->block[(*kept)++] = *block;
	}
}

/* What does not open stays where it is, an error to whoever reads it. */
static void
read_blocks(lbs_store *s, struct batch *b)
{
	uint32_t frame_max = frame_bytes_max(sealer_varies(&s->sealer));
	uint32_t kept = 0, n, bytes;

	for (uint32_t i = 0; i < b->n; i += n) {
		bytes = frame_max;
		for (n = 1; i + n < b->n; n++) {
			/* The next one begins before this one must have ended. */
			uint64_t to = b->block[i + n].position -
				      b->block[i + n - 1].position;

			if (to - 1 >= frame_max / POSITION_UNIT)
				break;
			bytes += (uint32_t)to * POSITION_UNIT;
		}
		read_run(s, b, i, n, bytes, &kept);
	}
	b->n = kept;
}

static void
make_extents(struct batch *b, struct ages *ages)
{
	*ages = (struct ages){ UINT64_MAX, 0 };
	b->extent_count = 0;
	for (uint32_t i = 0; i < b->n; i++) {
		const struct clean_block *block = &b->block[i];

		if (block->age < ages->oldest)
			ages->oldest = block->age;
		if (block->age > ages->newest)
			ages->newest = block->age;
		if (i && block->key == b->block[i - 1].key + 1) {
			b->extents[b->extent_count - 1].count_blocks++;
			continue;
		}
		b->extents[b->extent_count++] = (struct extent){
			map_key_layer(block->key), 1, map_key_lba(block->key)
		};
	}
}

/* Room in the map's tables for all extents. */
static int
admit(lbs_store *s, const struct batch *b)
{
	uint32_t i = 0;
	int rc;

	while (i < b->extent_count) {
		if (map_admit(s->map, &b->extents[i], 0, 0)) {
			i++;
			continue;
		}
		while (i)
			map_unadmit(s->map, &b->extents[--i], 0);
		rc = store_checkpoint(s);
		if (rc)
			return rc;
	}
	return 0;
}

/* Moves what was appended, change by change: an extent each, or a block. moving is
 * held. */
static int
move(lbs_store *s, const struct batch *b)
{
	struct cleaner *c = s->cleaner;
	uint64_t old[CLEAN_STEP_BLOCKS];
	uint32_t at = 0, moved;
	int rc = 0;

	for (uint32_t i = 0; i < c->placed_count; i++) {
		const struct extent *e = &c->placed[i].extent;

		for (uint32_t k = 0; k < e->count_blocks; k++)
			old[k] = b->block[at++].position;
		if (rc) {
			map_unadmit(s->map, e, 0);
			continue;
		}
		rc = map_move(s->map, e, old, c->placed[i].position, &moved);
		count(s, LBS_STAT_CLEANED_BLOCKS, moved);
	}
	return rc;
}

/* What is cleaned later goes by when the guest wrote it, not by when it was moved. */
static void
note_written(lbs_store *s, const struct batch *b)
{
	struct cleaner *c = s->cleaner;
	uint32_t segment = position_segment(c->placed[0].position);

	if (segment != c->filling) {
		c->filling = segment;
		c->filled_blocks = c->filled_written = 0;
	}
	for (uint32_t i = 0; i < b->n; i++)
		c->filled_written += segtab_written(
			s->segtab, position_segment(b->block[i].position));
	c->filled_blocks += b->n;
	segtab_set_written(s->segtab, segment,
			   (uint32_t)(c->filled_written / c->filled_blocks));
}

static int
append(lbs_store *s, struct batch *b)
{
	struct cleaner *c = s->cleaner;
	struct append_change change = { .kind = RECORD_DATA,
					.level = ROOM_CLEANER,
					.stored = batch_block,
					.ctx = b };
	int rc;

	make_extents(b, &change.ages);
	change.extents = b->extents;
	change.extent_count = b->extent_count;
	rc = admit(s, b);
	if (rc)
		return rc;
	pthread_mutex_lock(&c->moving);
	rc = stream_append(c->stream, &change);
	if (rc == 0) {
		note_written(s, b);
		rc = move(s, b);
	} else
		for (uint32_t i = 0; i < b->extent_count; i++)
			map_unadmit(s->map, &b->extents[i], 0);
	pthread_mutex_unlock(&c->moving);
	return rc;
}

/* In logical order they lie all over the victims: all at once the kernel can fetch
 * them in the card's order. */
static void
fetch(lbs_store *s, const struct clean_block *b, size_t n)
{
	uint64_t *positions = malloc(n * sizeof *positions);

	if (!positions)
		return;
	for (size_t i = 0; i < n; i++)
		positions[i] = b[i].position;
	store_prefetch(s, positions, n);
	free(positions);
}

static int
by_key(const void *a, const void *b)
{
	const struct clean_block *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

/* Blocks of like age make up one segment of the cleaner's, in logical order: what
 * died together leaves together, and what is read in sequence lies in sequence. */
static void
next_group(lbs_store *s)
{
	struct cleaner *c = s->cleaner;
	uint32_t rest = stream_rest(c->stream) /
			(frame_bytes_max(sealer_varies(&s->sealer)) +
			 INDEX_ENTRY_BYTES);
	size_t n = rest > s->segment_blocks / 16 ? rest : s->segment_blocks;

	if (n > c->count - c->next)
		n = c->count - c->next;
	c->group_end = c->next + n;
	fetch(s, c->blocks + c->next, n);
	qsort(c->blocks + c->next, n, sizeof *c->blocks, by_key);
}

int
clean_copy(lbs_store *s, uint32_t want)
{
	struct cleaner *c = s->cleaner;
	struct batch b = { .plain = c->plain };
	int rc;

	if (c->next == c->group_end)
		next_group(s);
	if (want > CLEAN_STEP_BLOCKS)
		want = CLEAN_STEP_BLOCKS;
	rc = gather(s, &b, stream_fits(c->stream, want ? want : 1));
	if (rc == 0)
		read_blocks(s, &b);
	if (rc == 0 && b.n)
		rc = append(s, &b);
	atomic_store(&c->done, c->next);
	if (rc == 0 && c->next == c->count)
		atomic_store(&c->phase, CLEAN_ENDING);
	if (rc == LBS_ENOSPC) {
		/* Others took the reserve: what was moved frees some. */
		c->aborted = 1;
		atomic_store(&c->phase, CLEAN_ENDING);
		rc = 0;
	}
	return rc;
}
