/*
 * clean.c - the cleaner's rounds: see clean.h. DESIGN.md, "The cleaner", argues
 * why a cut at any write of it is harmless.
 * Must never free a segment (checkpoints do), never move a block that it could
 * not authenticate, and never overrule a writer.
 */
#include "liblbs/store/clean.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "liblbs/store/victim.h"

/* Blocks that a step of listing looks up. */
#define LIST_BLOCKS 256u

/* ---- the stream ---------------------------------------------------------- */

static int
hook_next_segment(void *ctx, int level, uint32_t *segment)
{
	lbs_store *s = ctx;
	int rc = store_next_segment(s, level, segment);

	if (rc == 0)
		atomic_fetch_add(&s->cleaner->taken, 1);
	return rc;
}

/* Called by the thread that appends: there is one at a time. */
static void
hook_applied(void *ctx, const struct map_change *changes, int n,
	     const struct log_position *behind)
{
	lbs_store *s = ctx;

	(void)behind;
	assert(n <= (int)CLEAN_STEP_BLOCKS);
	memcpy(s->cleaner->placed, changes, (size_t)n * sizeof *changes);
	s->cleaner->placed_count = (uint32_t)n;
}

int
cleaner_start(lbs_store *s)
{
	uint32_t segments = s->geometry.segment_count;
	struct append_hooks hooks = {
		.ctx = s,
		.next_segment = hook_next_segment,
		.applied = hook_applied,
		.failed = store_stream_failed,
		.known = store_stream_known,
	};
	struct cleaner *c = calloc(1, sizeof *c);

	s->cleaner = c;
	if (!c)
		return fail(&s->log, LBS_ENOMEM, "out of memory");
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->moving, NULL);
	c->filling = NO_SEGMENT;
	c->stream = stream_new(&s->sealer, &s->geometry, s->env.card, s->segtab,
			       &hooks, s->session, STREAM_CLEANER);
	c->cold = calloc(segments, 1);
	c->chunks = calloc(geometry_chunk(&s->geometry, segments) + 1, 1);
	c->frames = malloc(CLEAN_STEP_BLOCKS * ZIP_FRAME_BYTES_MAX);
	c->plain = malloc(CLEAN_STEP_BLOCKS * BLOCK_BYTES);
	if (!c->stream || !c->cold || !c->chunks || !c->frames || !c->plain ||
	    segtab_rank(s->segtab))
		return fail(&s->log, LBS_ENOMEM, "out of memory");
	return 0;
}

void
cleaner_free(lbs_store *s)
{
	struct cleaner *c = s->cleaner;

	if (!c)
		return;
	if (c->plain)
		secret_wipe(c->plain, CLEAN_STEP_BLOCKS * BLOCK_BYTES);
	stream_free(c->stream);
	clean_list_end(&c->list);
	free(c->blocks);
	free(c->cold);
	free(c->chunks);
	free(c->frames);
	free(c->plain);
	pthread_mutex_destroy(&c->moving);
	pthread_mutex_destroy(&c->lock);
	free(c);
	s->cleaner = NULL;
}

/* ---- beginning ----------------------------------------------------------- */

/* Everything in it is in the persisted map or dead, and a checkpoint could free
 * it: neither replay nor the anchor's check needs it. checkpointing and db are
 * held. */
static int
is_candidate(lbs_store *s, uint32_t segment, const struct segment_info *info)
{
	return info->used && info->live && !info->held && !info->stuck &&
	       segtab_key(s->segtab, segment) &&
	       info->last_recno <= atomic_load(&s->checkpoint_recno) &&
	       !(s->piece_count && segment == s->pieces[0].segment) &&
	       !(s->anchor.recno && segment == s->anchor.segment);
}

/* As many of the victims as the list of a round may hold. */
static uint32_t
that_fit(const struct victim *v, uint32_t n)
{
	uint64_t live = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		live += v[i].live;
		if (live > CLEAN_BLOCKS_MAX && i)
			break;
	}
	return i;
}

/* Segments that copying them all would take. */
static uint32_t
segments_for(lbs_store *s, const struct victim *v, uint32_t n)
{
	uint64_t live = 0, rest = stream_rest(s->cleaner->stream) /
				  (frame_bytes_max(sealer_varies(&s->sealer)) +
				   INDEX_ENTRY_BYTES);

	while (n)
		live += v[--n].live;
	return live > rest ? (uint32_t)((live - rest + s->segment_blocks - 1) /
					s->segment_blocks)
			   : 0;
}

/* Under checkpointing nothing is freed while it is chosen and held, and the live
 * counts are those of a whole checkpoint. */
static int
choose(lbs_store *s, struct clean_worth worth)
{
	struct cleaner *c = s->cleaner;
	uint32_t n = 0, max = store_clean_batch(s);
	uint32_t segments = s->geometry.segment_count;
	uint32_t end = segtab_end(s->segtab);
	struct victim *v = calloc(segments, sizeof *v);
	struct segment_info info;
	uint64_t work = 0;

	if (!v)
		return LBS_ENOMEM;
	pthread_mutex_lock(&s->checkpointing);
	store_db_lock(s);
	for (uint32_t i = 0; i < segments; i++) {
		segtab_info(s->segtab, i, &info);
		/* What is withdrawn is no room, however empty. */
		if ((worth.from ? i >= worth.from
				: info.live <= worth.max_live && i < end) &&
		    is_candidate(s, i, &info))
			v[n++] = (struct victim){ i, info.live, info.age,
						  info.written, 0 };
	}
	store_db_unlock(s);
	if (!worth.from)
		n = victim_choose(v, n, n, s->segment_blocks);
	if (worth.wins && n <= segments_for(s, v, n))
		n = 0;
	n = that_fit(v, n < max ? n : max);
	for (uint32_t i = 0; i < n; i++) {
		segtab_hold(s->segtab, v[i].segment, 1);
		segtab_info(s->segtab, v[i].segment, &info);
		c->victims[i] = v[i].segment;
		c->serials[i] = info.serial;
		work += v[i].live;
	}
	pthread_mutex_unlock(&s->checkpointing);
	free(v);
	c->victim_count = n;
	atomic_store(&c->work, work);
	return (int)n;
}

int
clean_is_barren(lbs_store *s)
{
	struct cleaner *c = s->cleaner;

	return c->barren && stream_log_bytes(s->stream) - c->barren_at <
				    s->geometry.segment_bytes;
}

int
clean_begin(lbs_store *s, struct clean_worth worth)
{
	struct cleaner *c = s->cleaner;
	uint64_t log = stream_log_bytes(s->stream);
	int rc;

	if (c->phase != CLEAN_IDLE)
		return 1;
	if (clean_is_barren(s))
		return 0;
	rc = choose(s, worth);
	/* Segments are candidates from a checkpoint on. */
	if (rc == 0 && log - atomic_load(&s->log_bytes_at_checkpoint) >=
			       s->geometry.segment_bytes) {
		rc = store_checkpoint(s);
		if (rc == 0)
			rc = choose(s, worth);
	}
	c->barren_at = log;
	c->barren = rc == 0;
	if (rc <= 0)
		return rc;
	c->listed = 0;
	c->count = c->next = c->group_end = 0;
	c->aborted = 0;
	atomic_store(&c->taken, 0);
	atomic_store(&c->done, 0);
	atomic_store(&c->room, store_room_blocks(s));
	atomic_store(&c->allowed, store_round_allows(s));
	atomic_store(&c->phase, CLEAN_LISTING);
	return 1;
}

/* ---- listing ------------------------------------------------------------- */

static void
no_pin(void *ctx, uint32_t segment)
{
	(void)ctx;
	(void)segment;
}

/* 1 if the map still says that the block is there. */
static int
is_current(lbs_store *s, const struct clean_block *b)
{
	uint64_t position;
	int rc = map_lookup(s->map, (uint32_t)(b->key >> 40), b->key & LBA_MAX,
			    1, &position, no_pin, NULL);

	return rc ? rc : position == b->position;
}

static int
add_block(struct cleaner *c, const struct clean_block *b)
{
	if (c->count == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 1024;
		struct clean_block *p = realloc(c->blocks, cap * sizeof *p);

		if (!p)
			return LBS_ENOMEM;
		c->blocks = p;
		c->cap = cap;
	}
	c->blocks[c->count++] = *b;
	return 0;
}

static int
by_age(const void *a, const void *b)
{
	const struct clean_block *x = a, *y = b;

	if (x->age != y->age)
		return x->age < y->age ? -1 : 1;
	return x->key < y->key ? -1 : x->key > y->key;
}

static int
by_key(const void *a, const void *b)
{
	const struct clean_block *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static int
list_some(lbs_store *s)
{
	struct cleaner *c = s->cleaner;
	struct clean_block b;
	int rc = 0;

	if (c->listed == c->victim_count) {
		if (c->count)
			qsort(c->blocks, c->count, sizeof *c->blocks, by_age);
		atomic_store(&c->work, c->count);
		atomic_store(&c->phase, c->count ? CLEAN_COPYING : CLEAN_ENDING);
		return 0;
	}
	if (!c->list.entries) {
		rc = clean_list_begin(s, c->victims[c->listed], &c->list);
		if (rc == 0 && !c->list.entries)
			c->listed++; /* nothing of it can be read */
		return rc;
	}
	for (uint32_t i = 0; i < LIST_BLOCKS && rc == 0; i++) {
		if (!clean_list_next(&c->list, &b)) {
			clean_list_end(&c->list);
			c->listed++;
			break;
		}
		rc = is_current(s, &b);
		rc = rc > 0 ? add_block(c, &b) : rc;
	}
	return rc;
}

/* ---- copying ------------------------------------------------------------- */

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
		rc = is_current(s, &c->blocks[c->next]);
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
				(uint32_t)(block->key >> 40),
				block->key & LBA_MAX, c->frames + at,
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
			(uint32_t)(block->key >> 40), 1, block->key & LBA_MAX
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
					.use_reserve = ROOM_CLEANER,
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

static int
copy_some(lbs_store *s, uint32_t want)
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

/* ---- ending -------------------------------------------------------------- */

static void
let_go(lbs_store *s)
{
	struct cleaner *c = s->cleaner;

	for (uint32_t i = 0; i < c->victim_count; i++)
		segtab_hold(s->segtab, c->victims[i], 0);
	clean_list_end(&c->list);
	secret_wipe(c->plain, CLEAN_STEP_BLOCKS * BLOCK_BYTES);
}

/* What is still live in a victim could not be read. */
static void
look_back(lbs_store *s)
{
	struct cleaner *c = s->cleaner;
	struct segment_info info;

	for (uint32_t i = 0; i < c->victim_count; i++) {
		segtab_info(s->segtab, c->victims[i], &info);
		if (!info.used || info.serial != c->serials[i]) {
			count(s, LBS_STAT_CLEANED_SEGMENTS, 1);
			continue;
		}
		if (!info.live || c->aborted)
			continue;
		segtab_set_stuck(s->segtab, c->victims[i]);
		warn(&s->log, LBS_EDAMAGED,
		     "%u blocks of segment %u could not be read for cleaning: "
		     "they stay where they are; lbsck --scrub lists them",
		     info.live, c->victims[i]);
	}
}

static int
end(lbs_store *s)
{
	struct cleaner *c = s->cleaner;
	int rc;

	/* Nothing is read from the victims any more. */
	let_go(s);
	atomic_store(&c->freed, 1);
	atomic_store(&c->phase, CLEAN_CHECKPOINT);
	pthread_mutex_unlock(&c->lock);
	rc = store_checkpoint(s);
	pthread_mutex_lock(&c->lock);
	if (rc == 0)
		look_back(s);
	atomic_store(&c->taken, 0);
	atomic_store(&c->phase, CLEAN_IDLE);
	return rc;
}

int
clean_step(lbs_store *s, uint32_t blocks)
{
	struct cleaner *c = s->cleaner;
	int rc = store_may_write(s);

	if (rc)
		return rc;
	switch (atomic_load(&c->phase)) {
	case CLEAN_LISTING:
		rc = list_some(s);
		break;
	case CLEAN_COPYING:
		rc = copy_some(s, blocks);
		break;
	case CLEAN_ENDING:
		rc = end(s);
		break;
	}
	return rc;
}

int
clean_round(lbs_store *s, struct clean_worth worth)
{
	struct cleaner *c = s->cleaner;
	int rc;

	pthread_mutex_lock(&c->lock);
	c->barren = 0;
	rc = clean_begin(s, worth);
	while (rc > 0 && c->phase != CLEAN_IDLE) {
		if (c->phase != CLEAN_CHECKPOINT) {
			rc = clean_step(s, CLEAN_STEP_BLOCKS);
		} else {
			/* Another's: when it is done, so is ours. */
			pthread_mutex_unlock(&c->lock);
			rc = store_checkpoint(s);
			usleep(100);
			pthread_mutex_lock(&c->lock);
		}
		rc = rc ? rc : 1;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

void
cleaner_stop(lbs_store *s)
{
	struct cleaner *c = s->cleaner;

	if (!c || c->phase == CLEAN_IDLE)
		return;
	let_go(s);
	atomic_store(&c->freed, 1);
	atomic_store(&c->phase, CLEAN_IDLE);
}

/* ---- for the checkpoint -------------------------------------------------- */

int
clean_freeze(lbs_store *s, struct log_position *behind)
{
	struct cleaner *c = s->cleaner;
	struct segment_info info;
	int ok;

	if (!c)
		return map_freeze(s->map, behind);
	/* No move is under way: all that went into a full segment is frozen. */
	pthread_mutex_lock(&c->moving);
	for (uint32_t i = 0; i < s->geometry.segment_count; i++) {
		segtab_info(s->segtab, i, &info);
		c->cold[i] = info.used && info.last_recno == RECNO_COLD;
	}
	ok = map_freeze(s->map, behind);
	pthread_mutex_unlock(&c->moving);
	return ok;
}

int
clean_sync(lbs_store *s)
{
	struct cleaner *c = s->cleaner;
	struct cut cut;
	int rc;

	if (!c)
		return 0;
	rc = stream_cut(c->stream, &cut);
	return rc ? LBS_EFAILED : store_sync_chunks(s, c->stream, c->chunks);
}

void
clean_written(lbs_store *s)
{
	struct cleaner *c = s->cleaner;

	for (uint32_t i = 0; c && i < s->geometry.segment_count; i++)
		if (c->cold[i])
			segtab_set_last_recno(s->segtab, i, 0);
}
