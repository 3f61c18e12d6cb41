/*
 * clean.c - the cleaner's rounds: see clean.h. DESIGN.md, "The cleaner", argues
 * why a cut at any write of it is harmless.
 * Must never free a segment: checkpoints do.
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
	c->chunks = calloc(geometry_chunks(&s->geometry), 1);
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

int
clean_is_current(lbs_store *s, const struct clean_block *b)
{
	uint64_t position;
	int rc = map_lookup(s->map, map_key_layer(b->key), map_key_lba(b->key),
			    1, &position, NULL, NULL);

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
		rc = clean_is_current(s, &b);
		rc = rc > 0 ? add_block(c, &b) : rc;
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
		rc = clean_copy(s, blocks);
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
