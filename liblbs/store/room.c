/*
 * room.c - who may take which segments, how much may live, and the pace at which
 * the cleaner keeps up with writers. DESIGN.md promise 9 and "Space".
 * Must never let a writer take what the cleaner or recovery needs to go on.
 */
#include "liblbs/store/clean.h"

#include <stdlib.h>
#include <unistd.h>

#include "liblbs/format/record.h"

/* ---- sizes --------------------------------------------------------------- */

/* In a store without compression. With it, blocks that stay as they are take 8 bytes
 * more: less than the part of a segment that must be dead for it to be cleaned. */
uint32_t
room_segment_blocks(uint32_t segment_bytes)
{
	uint32_t each = record_bytes(1, 1) + INDEX_ENTRY_BYTES;
	uint32_t n = (segment_bytes - SEGMENT_HEADER_BYTES) / each;

	while (SEGMENT_HEADER_BYTES + n * record_bytes(1, 1) >
	       ((segment_bytes - index_tail_bytes(n)) & ~(PAGE_BYTES - 1)))
		n--;
	return n;
}

uint32_t
room_clean_batch(uint32_t segments, uint32_t segment_bytes)
{
	uint32_t k = segments / 256;
	uint32_t max = CLEAN_BLOCKS_MAX / room_segment_blocks(segment_bytes);

	if (max > CLEAN_VICTIMS_MAX)
		max = CLEAN_VICTIMS_MAX;
	k = k < max ? k : max;
	return k < 2 ? 2 : k;
}

/* How many segments a request of a guest may span. */
static uint32_t
room_group_segments(uint32_t segment_bytes)
{
	uint32_t n = room_segment_blocks(segment_bytes);

	return (GROUP_BLOCKS_MAX + n - 1) / n;
}

uint32_t
room_overhead(uint32_t segments, uint32_t recovery, uint32_t segment_bytes)
{
	/* Kept back for recovery and the cleaner; one request; two open. */
	return recovery + room_clean_batch(segments, segment_bytes) + 1 +
	       room_group_segments(segment_bytes) + 2;
}

uint64_t
room_live_max(uint32_t segments, uint32_t recovery, uint32_t segment_bytes)
{
	uint32_t kept = room_overhead(segments, recovery, segment_bytes);

	/* One block in sixteen is dead at the least, so that there is always
	 * something to gain. */
	return segments > kept ? (uint64_t)(segments - kept) *
					 room_segment_blocks(segment_bytes) /
					 16 * 15
			       : 0;
}

/* Only what is filled counts: the card may be full of other files before the
 * capacity is reached, and what was let in by then is written over for ever. */
void
store_room_settle(lbs_store *s)
{
	uint32_t filled, free;

	segtab_room(s->segtab, &filled, &free);
	map_set_live_max(s->map, room_live_max(filled, s->reserve_segments,
					       s->geometry.segment_bytes));
}

void
store_room_count(lbs_store *s)
{
	uint32_t filled, free, n = s->geometry.segment_count;
	uint64_t live = segtab_live_total(s->segtab), max;
	int low;

	map_set_live(s->map, live);
	segtab_room(s->segtab, &filled, &free);
	/* A card that is full before the capacity is: what is there counts. */
	if (atomic_load(&s->card_full))
		n = filled;
	max = room_live_max(n, s->reserve_segments, s->geometry.segment_bytes);
	low = live > max - max / 16;
	if (!atomic_exchange(&s->space_low, low) && low)
		store_event(s, LBS_EVENT_SPACE_LOW);
}

uint32_t
store_ahead_segments(lbs_store *s)
{
	return (uint32_t)((s->fill_ahead_bytes + s->geometry.segment_bytes - 1) /
			  s->geometry.segment_bytes);
}

void
store_room_restore(lbs_store *s)
{
	segtab_withdraw(s->segtab, s->geometry.segment_count);
	store_room_settle(s);
}

/* ---- who may take what --------------------------------------------------- */

/* Segments that recovery would need for the log beyond the anchor and one group
 * more, whatever the number of writers that got in below the sync bound. */
static uint32_t
tail_segments(lbs_store *s)
{
	/* In this order: the other way round a flush in between would leave less
	 * than nothing. */
	uint64_t anchored = atomic_load(&s->log_bytes_anchored);
	uint64_t tail = stream_log_bytes(s->stream) - anchored;
	uint32_t usable = s->geometry.segment_bytes -
			  s->geometry.segment_bytes / 8 - 2 * PAGE_BYTES;

	return (uint32_t)((tail + GROUP_BLOCKS_MAX * ZIP_FRAME_BYTES_MAX) / usable) +
	       2;
}

/* Is more kept for it than what always is? */
static int
is_tail_long(lbs_store *s)
{
	return tail_segments(s) > s->reserve_segments;
}

uint32_t
store_room_kept(lbs_store *s, int level)
{
	uint32_t keep = s->reserve_segments, tail, taken, clean;

	if (level == ROOM_RECOVERY)
		return 0;
	tail = s->stream ? tail_segments(s) : 0;
	/* Openings may have used up what is kept back for them; a discard, which
	 * alone makes room again, leaves them what they need at this moment. */
	if (level == ROOM_DISCARD)
		return tail < keep - 1 ? tail : keep - 1;
	/* If this refuses, the checkpoint that the writer then asks for moves
	 * the anchor, and the tail is short again. */
	if (tail > keep)
		keep = tail;
	if (level == ROOM_CLEANER)
		return keep;
	/* The cleaner gives back what it takes at the end of its round. */
	clean = s->clean_batch + 1;
	taken = s->cleaner ? atomic_load(&s->cleaner->taken) : 0;
	return keep + (clean > taken ? clean - taken : 0);
}

/* Free segments, and what the card has still to be filled with. */
static uint32_t
room_segments(lbs_store *s)
{
	uint32_t filled, free;

	segtab_room(s->segtab, &filled, &free);
	return free + (atomic_load(&s->card_full)
			       ? 0
			       : s->geometry.segment_count - filled);
}

/* Those that writers may still take. */
static uint32_t
writers_segments(lbs_store *s)
{
	uint32_t have = room_segments(s), kept = store_room_kept(s,
								 ROOM_ORDINARY);

	return have > kept ? have - kept : 0;
}

uint64_t
store_room_blocks(lbs_store *s)
{
	return (uint64_t)writers_segments(s) * s->segment_blocks +
	       stream_rest(s->stream) / (record_bytes(1, 1) + INDEX_ENTRY_BYTES);
}

uint32_t
store_clean_batch(lbs_store *s)
{
	uint32_t have = room_segments(s), filled;
	uint32_t kept = store_room_kept(s, ROOM_CLEANER);
	uint32_t batch = s->clean_batch;
	uint32_t can;

	/* The cleaner itself takes no withdrawn room back. */
	if (segtab_end(s->segtab) < s->geometry.segment_count)
		segtab_room(s->segtab, &filled, &have);
	can = have > kept ? have - kept : 0;
	/* Each victim may need a segment. */
	return can < batch ? can : batch;
}

/* ---- admission ----------------------------------------------------------- */

/* Checkpoints that a write near the end of the room waits for while others write, a
 * millisecond apart, since who was let in must first be in the log: one or two are
 * nearly always enough. After so many of them others are not let in, so that what they
 * write ends to count as new. */
#define ADMIT_TRIES 1000
#define ADMIT_BESIDE 8

/* Fills the card until it may hold so many blocks more: 0, LBS_ENOSPC, or an error
 * that stopped the store. */
static int
fill_for(lbs_store *s, uint32_t holes)
{
	int rc = 0;

	while (rc == 0 && !map_allows(s->map, holes))
		rc = store_fill_one(s);
	return rc;
}

/* Checkpoints until so many holes may be written, 1, or it is sure that they may not,
 * 0; or an error. Blocks that were written twice are counted twice until a checkpoint,
 * and what others write meanwhile as new: refused is only what does not fit beside
 * what lives. */
static int
count_for(lbs_store *s, uint32_t holes)
{
	int rc, ok, tries = 0;

	do {
		if (tries == ADMIT_BESIDE) {
			pthread_mutex_lock(&s->admitting);
			atomic_store(&s->is_admitting, 1);
		}
		if (tries)
			usleep(1000);
		rc = store_checkpoint(s);
		ok = map_allows(s->map, holes);
	} while (rc == 0 && !ok && map_may_allow(s->map, holes) &&
		 ++tries < ADMIT_TRIES);
	if (tries >= ADMIT_BESIDE) {
		atomic_store(&s->is_admitting, 0);
		pthread_mutex_unlock(&s->admitting);
	}
	return rc ? rc : ok;
}

int
store_room_admit(lbs_store *s, const struct extent *extent, uint32_t *fresh)
{
	uint32_t holes;
	int rc;

	if (atomic_load(&s->is_admitting)) { /* another's turn */
		pthread_mutex_lock(&s->admitting);
		pthread_mutex_unlock(&s->admitting);
	}
	/* Far from full: nothing needs to be looked up. */
	*fresh = extent->count_blocks;
	if (map_allows(s->map, extent->count_blocks))
		return 0;
	/* What is written over needs no room; the range is the caller's. */
	rc = map_holes(s->map, extent->layer, extent->lba, extent->count_blocks,
		       &holes);
	*fresh = holes;
	if (rc || !holes || map_allows(s->map, holes))
		return rc;
	rc = atomic_load(&s->card_full) ? LBS_ENOSPC : fill_for(s, holes);
	if (rc != LBS_ENOSPC)
		return rc;
	rc = count_for(s, holes);
	if (rc)
		return rc < 0 ? rc : 0;
	/* Perhaps the card has got room again. */
	return fill_for(s, holes);
}

/* ---- the pace ------------------------------------------------------------ */

/* A round begins when writers may take fewer than this: more before a large one, so
 * that there are more writes to share its work. */
static uint32_t
low_water(const lbs_store *s)
{
	return 3 + room_group_segments(s->geometry.segment_bytes) +
	       s->clean_batch / 8;
}

/* What the round wins, so that the room stays as it is; less where it is below a
 * segment less than what rounds begin at, more where it is above. A quarter is left
 * for the round's checkpoint. */
uint64_t
store_round_allows(lbs_store *s)
{
	struct cleaner *c = s->cleaner;
	uint64_t room = atomic_load(&c->room), all = c->victim_count;
	uint64_t want = (uint64_t)(low_water(s) - 1) * s->segment_blocks;
	uint64_t work = atomic_load(&c->work), wins;

	all *= s->segment_blocks;
	wins = (all > work ? all - work : 0) * room / want;
	return wins < room * 3 / 4 ? wins : room * 3 / 4;
}

/* Blocks that a round which has copied so many is behind: it must have copied all
 * when writers have used what it allows. */
static uint64_t
pace(lbs_store *s, uint64_t done)
{
	struct cleaner *c = s->cleaner;
	uint64_t room = atomic_load(&c->room), now = store_room_blocks(s);
	uint64_t used = room > now ? room - now : 0, want;
	uint64_t work = atomic_load(&c->work);
	uint64_t allowed = atomic_load(&c->allowed);

	want = allowed ? work * used / allowed : used ? work : 0;
	want = want < work ? want : work;
	return want > done ? want - done : 0;
}

static uint64_t
behind(lbs_store *s)
{
	return pace(s, atomic_load(&s->cleaner->done));
}

/* As many blocks as a segment is worth cleaning at. */
static struct clean_worth
worth(const lbs_store *s)
{
	uint32_t least = s->segment_blocks / 64;

	return (struct clean_worth){
		.max_live = s->segment_blocks - (least ? least : 1)
	};
}

/* What a writer copies now. Where flushes come often, nothing until a whole step is
 * due, or all that is left is: a block at a time would be a page or two of the cleaner's
 * segment in each sync, which the card takes as a write of its own. */
static uint32_t
due(lbs_store *s)
{
	struct cleaner *c = s->cleaner;
	uint64_t blocks = behind(s);

	if (blocks >= CLEAN_STEP_BLOCKS)
		return CLEAN_STEP_BLOCKS;
	if (atomic_load(&c->done) + blocks < atomic_load(&c->work) &&
	    store_flushes_often(s))
		return 0;
	return (uint32_t)blocks;
}

int
store_clean_pace(lbs_store *s)
{
	struct cleaner *c = s->cleaner;
	uint32_t blocks;
	int rc = 0;

	if (c->phase == CLEAN_IDLE && writers_segments(s) >= low_water(s))
		return 0;
	/* Beginning and ending are for the cleaner's own thread if there is one:
	 * both may write a checkpoint. */
	if (s->background &&
	    (c->phase == CLEAN_IDLE || c->phase >= CLEAN_ENDING))
		return 0;
	pthread_mutex_lock(&c->lock);
	if (c->phase == CLEAN_IDLE && !s->background)
		rc = clean_begin(s, worth(s));
	/* Listing is a step a write, however much there is to copy. */
	if (rc >= 0 && c->phase == CLEAN_LISTING)
		rc = clean_step(s, 0);
	else
		while (rc >= 0 && c->phase == CLEAN_COPYING &&
		       (blocks = due(s)) > 0)
			rc = clean_step(s, blocks);
	if (rc >= 0 && c->phase == CLEAN_ENDING && !s->background)
		rc = clean_step(s, 0);
	pthread_mutex_unlock(&c->lock);
	return rc < 0 ? rc : 0;
}

int
store_make_room(lbs_store *s, unsigned tries)
{
	uint64_t log = stream_log_bytes(s->stream);
	int is_long = is_tail_long(s), rc;
	uint32_t have;

	/* Perhaps something died since the last checkpoint. */
	if (tries == 0) {
		rc = store_checkpoint(s);
		return rc ? rc : 1;
	}
	/* Each round gains a block at least; this many gain what a group needs. */
	if (!s->cleaner || tries > s->geometry.segment_count + 64)
		return 0;
	rc = clean_round(s, worth(s));
	if (rc)
		return rc;
	/* Nothing to gain, perhaps because another's round has just won it. */
	have = writers_segments(s);
	if (have >= room_group_segments(s->geometry.segment_bytes) ||
	    (have && tries < 8))
		return 1;
	/* Or because others have so much on the way that it took the cleaner's room,
	 * and theirs: once that is anchored, it is there again. */
	if (!is_long && !is_tail_long(s) && log == stream_log_bytes(s->stream))
		return 0;
	rc = store_flush_anchored(s);
	return rc ? rc : 1;
}

/* ---- the thread ---------------------------------------------------------- */

/* While nobody writes, room is made for a burst: until so many segments are
 * free, from segments that are worth it. */
static uint32_t
idle_water(const lbs_store *s)
{
	uint32_t share = s->geometry.segment_count / 16;

	return share > low_water(s) ? share : low_water(s);
}

static struct clean_worth
idle_worth(const lbs_store *s)
{
	return (struct clean_worth){ .max_live = s->segment_blocks / 4 * 3,
				     .wins = 1 };
}

static int
is_idle(lbs_store *s)
{
	return atomic_load(&s->cleaner->idle) &&
	       stream_log_bytes(s->stream) == atomic_load(&s->cleaner->seen);
}

void
store_clean_tick(lbs_store *s)
{
	uint64_t log = stream_log_bytes(s->stream);

	atomic_store(&s->cleaner->idle,
		     log == atomic_exchange(&s->cleaner->seen, log));
}

/* The thread keeps an eighth of the round ahead of what writers must wait for, so
 * that they seldom do; while nobody writes it does not wait for them. */
static int
is_ahead(lbs_store *s)
{
	struct cleaner *c = s->cleaner;
	uint64_t work = atomic_load(&c->work), done = atomic_load(&c->done);

	return behind(s) == 0 && done > work / 8 &&
	       pace(s, done - work / 8) == 0;
}

int
store_clean_wanted(lbs_store *s)
{
	struct cleaner *c = s->cleaner;

	switch (atomic_load(&c->phase)) {
	case CLEAN_IDLE:
		return writers_segments(s) <
			       (is_idle(s) ? idle_water(s) : low_water(s)) &&
		       !clean_is_barren(s);
	case CLEAN_COPYING:
		return is_idle(s) || !is_ahead(s);
	case CLEAN_CHECKPOINT:
		return 0;
	}
	return 1;
}

int
store_clean_ahead(lbs_store *s)
{
	struct cleaner *c = s->cleaner;
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = clean_begin(s, writers_segments(s) < low_water(s) ? worth(s)
								: idle_worth(s));
	if (rc > 0)
		rc = clean_step(s, CLEAN_STEP_BLOCKS);
	pthread_mutex_unlock(&c->lock);
	return rc < 0 ? rc : 0;
}
