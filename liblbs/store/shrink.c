/*
 * shrink.c - gives chunk files back to the card, the last one first: nothing new
 * goes into it, what lives in it is cleaned out, the metadata forgets that it is
 * room, and then the file is removed. DESIGN.md, "Space".
 * Must never remove a file that the metadata calls room, nor give back room that
 * what was let in relies on.
 */
#include "liblbs/store/clean.h"

#include <string.h>
#include <unistd.h>

/* Rounds that may win nothing before a chunk file is left as it is. */
#define ROUNDS_IN_VAIN 3u
/* How long readers of the last blocks that were moved are waited for. */
#define READERS_WAIT_MS 5000u

/* Segments that must stay filled: that what lives, and as much as is always filled
 * ahead, may live in them; and that it fits with every eighth block dead, beside
 * what a round and the two streams have open. */
static uint32_t
segments_kept(lbs_store *s)
{
	uint32_t segments = s->geometry.segment_count, n;
	uint32_t per = s->geometry.segments_per_chunk;
	uint32_t ahead = store_ahead_segments(s);
	uint64_t live = segtab_live_total(s->segtab);
	uint64_t least = live / s->segment_blocks * 8 / 7 + ahead + 1 +
			 room_overhead(segments, s->reserve_segments,
				       s->geometry.segment_bytes);

	live += ahead * s->segment_blocks;
	for (n = least < segments ? (uint32_t)least : segments;
	     n < segments && room_live_max(n, s->reserve_segments,
					   s->geometry.segment_bytes) < live;
	     n++)
		;
	return (n + per - 1) / per * per;
}

/* The first segment of the last chunk file that has room; the count if none. */
static uint32_t
last_chunk(lbs_store *s)
{
	uint32_t i = s->geometry.segment_count, per = s->geometry.segments_per_chunk;
	struct segment_info info;

	while (i-- > 0) {
		segtab_info(s->segtab, i, &info);
		if (info.filled)
			return i / per * per;
	}
	return s->geometry.segment_count;
}

/* 1 if the chunk files from there on are no room from now on: writers may take
 * that back at any time, by asking for more (store_fill_one). */
static int
withdraw(lbs_store *s, uint32_t from)
{
	int ok;

	pthread_mutex_lock(&s->filling);
	ok = segtab_end(s->segtab) == s->geometry.segment_count;
	if (ok) {
		segtab_withdraw(s->segtab, from);
		store_room_settle(s);
		/* Who was let in meanwhile? */
		ok = map_allows(s->map, store_ahead_segments(s) *
					s->segment_blocks);
		if (!ok)
			store_room_restore(s);
	}
	pthread_mutex_unlock(&s->filling);
	return ok;
}

static void
restore(lbs_store *s)
{
	pthread_mutex_lock(&s->filling);
	store_room_restore(s);
	pthread_mutex_unlock(&s->filling);
}

/* ---- moving out ---------------------------------------------------------- */

/* A record that says nothing: behind it no anchor and no replay needs an older
 * one. It unmaps a block that no vdisk has. */
static int
say_nothing(lbs_store *s)
{
	const struct meta_vdisk *v = &s->vdisks[0];
	struct append_change c = {
		.kind = RECORD_UNMAP,
		.level = ROOM_DISCARD,
		.extent = { v->layer, 1,
			    (v->size_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES },
	};
	int rc = 0;

	while (rc == 0 && !map_admit(s->map, &c.extent, 1, 0))
		rc = store_checkpoint(s);
	if (rc)
		return rc;
	rc = stream_append(s->stream, &c);
	if (rc)
		map_unadmit(s->map, &c.extent, 1);
	return rc ? rc : store_flush_anchored(s);
}

static uint32_t
used_from(lbs_store *s, uint32_t from)
{
	struct segment_info info;
	uint32_t n = 0;

	for (uint32_t i = from; i < s->geometry.segment_count; i++) {
		segtab_info(s->segtab, i, &info);
		n += (uint32_t)info.used;
	}
	return n;
}

/* Neither stream writes there any more, and everything that was written there is
 * in the map or dead. */
static int
leave(lbs_store *s, uint32_t from)
{
	struct cleaner *c = s->cleaner;
	int rc;

	pthread_mutex_lock(&c->lock);
	stream_leave(c->stream, from);
	pthread_mutex_unlock(&c->lock);
	stream_leave(s->stream, from);
	rc = say_nothing(s);
	/* Whatever changed in the map. */
	atomic_store(&c->freed, 1);
	return rc ? rc : store_checkpoint(s);
}

/* 1 once nothing is in use from there on; 0 if that cannot be had. */
static int
move_out(lbs_store *s, uint32_t from, lbs_progress_fn *progress, void *ctx)
{
	uint64_t segment = s->geometry.segment_bytes;
	uint32_t total = used_from(s, from), left = total, before, vain = 0;
	/* Also where nothing is in use: the card file will name the session. */
	int rc = leave(s, from);

	while (rc >= 0 && (left = used_from(s, from)) > 0) {
		if (progress && progress(ctx, (total - left) * segment,
					 total * segment))
			return LBS_ECANCELLED;
		if (segtab_end(s->segtab) != from || vain == ROUNDS_IN_VAIN)
			return 0;
		before = left;
		/* Room for copying comes of what is dead elsewhere. */
		if (vain)
			rc = clean_round(s, (struct clean_worth){
				.max_live = s->segment_blocks - 1 });
		if (rc >= 0)
			rc = clean_round(s, (struct clean_worth){ .from = from });
		vain = used_from(s, from) < before ? 0 : vain + 1;
	}
	if (rc == LBS_ENOSPC)
		return 0;
	for (uint32_t i = 0; rc >= 0 && i < READERS_WAIT_MS &&
			     segtab_busy_to(s->segtab) > from; i++)
		usleep(1000);
	return rc < 0 ? rc : segtab_busy_to(s->segtab) <= from;
}

/* ---- giving back --------------------------------------------------------- */

/* The metadata forgets that the files were room. Counts as a checkpoint, so that
 * the card can tell a metadata file that does not know of it. */
static int
commit(lbs_store *s, uint32_t chunk)
{
	struct meta_state state = { s->session,
				    atomic_load(&s->checkpoint) + 1,
				    atomic_load(&s->checkpoint_recno) };
	int rc;

	store_db_lock(s);
	rc = meta_begin(s->meta);
	if (rc == 0) {
		rc = meta_chunks_cut(s->meta, chunk);
		if (rc == 0)
			rc = meta_state_set(s->meta, &state);
		if (rc == 0)
			rc = meta_commit(s->meta);
		else
			meta_rollback(s->meta);
	}
	store_db_unlock(s);
	if (rc)
		return store_fail(s, rc, "that room was given back could not be "
				  "noted: make internal flash work and open the "
				  "store again");
	atomic_store(&s->checkpoint, state.checkpoint);
	return 0;
}

/* Also files that a power cut left behind here. One that stays does no harm: it is
 * used again when that room is needed. */
static uint64_t
remove_files(lbs_store *s, uint32_t chunk)
{
	struct medium *card = s->env.card;
	char name[MEDIUM_NAME_BYTES];
	uint64_t bytes = 0, size;
	int err;

	for (uint32_t i = geometry_chunks(&s->geometry); i-- > chunk;) {
		if (card->ops->open(card, i, 0) ||
		    card->ops->size(card, i, &size))
			continue;
		err = card->ops->remove(card, i);
		if (err) {
			medium_file_name(i, name);
			warn(&s->log, code_of_errno(err),
			     "the chunk file %s could not be removed (%s): it "
			     "is not needed any more", name, strerror(-err));
			continue;
		}
		bytes += size;
	}
	if (bytes && (err = card->ops->sync_dir(card)))
		warn(&s->log, code_of_errno(err),
		     "the card's directory could not be synced (%s)",
		     strerror(-err));
	return bytes;
}

/* 1 if it was done, 0 if somebody needs the room after all. */
static int
give_back(lbs_store *s, uint32_t from)
{
	uint32_t chunk = from / s->geometry.segments_per_chunk;
	struct card_sealed now;
	int rc = 0, err;

	/* No round, no checkpoint, no filling. */
	pthread_mutex_lock(&s->cleaner->lock);
	pthread_mutex_lock(&s->checkpointing);
	pthread_mutex_lock(&s->filling);
	if (segtab_end(s->segtab) != from || segtab_busy_to(s->segtab) > from)
		goto out;
	rc = store_may_write(s);
	if (rc == 0)
		rc = commit(s, chunk);
	if (rc)
		goto out;
	segtab_empty(s->segtab, from);
	now = (struct card_sealed){ s->session, atomic_load(&s->checkpoint),
				    s->session };
	err = card_file_write(&s->sealer, s->env.card, &now);
	if (err) {
		rc = store_fail(s, LBS_EIO, "the card failed (%s): check it and "
				"open the store again", strerror(-err));
		goto out;
	}
	count(s, LBS_STAT_CARD_GIVEN_BACK_BYTES, remove_files(s, chunk));
	rc = 1;
out:
	if (segtab_end(s->segtab) == from)
		store_room_restore(s);
	pthread_mutex_unlock(&s->filling);
	pthread_mutex_unlock(&s->checkpointing);
	pthread_mutex_unlock(&s->cleaner->lock);
	return rc;
}

int
store_shrink(lbs_store *s, lbs_progress_fn *progress, void *ctx)
{
	uint32_t from;
	int rc;

	do {
		rc = store_checkpoint(s);
		from = last_chunk(s);
		if (rc || from >= s->geometry.segment_count ||
		    from < segments_kept(s) || !withdraw(s, from))
			break;
		rc = move_out(s, from, progress, ctx);
		if (rc > 0)
			rc = give_back(s, from);
		else
			restore(s);
	} while (rc > 0);
	return rc;
}
