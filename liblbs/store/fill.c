/*
 * fill.c - room on the card: chunk files are really written, segment by
 * segment, before the log runs through them, and a segment counts as room only
 * when it is written, synced and committed (DESIGN.md conditions 13 and 14).
 * Growing a FAT file while logging into it would rewrite both FATs at each
 * sync; in the steady state nothing grows.
 */
#include "liblbs/store/clean.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITE_BYTES (512u << 10) /* the recording unit of SD class 10 */

/* The first segment that is not filled; count if there is none. They are filled
 * in order, but a loss that was accepted may have left a gap: of a segment cut
 * short there, what is left is not written over while it is in use. */
static uint32_t
next_unfilled(lbs_store *s)
{
	struct segment_info info;
	uint32_t i;

	for (i = 0; i < s->geometry.segment_count; i++) {
		segtab_info(s->segtab, i, &info);
		if (!info.filled && !info.used)
			break;
	}
	return i;
}

static int
write_segment(lbs_store *s, uint32_t segment)
{
	static const uint8_t zeroes[64u << 10];
	struct iovec iov[WRITE_BYTES / sizeof zeroes];
	struct medium *card = s->env.card;
	uint32_t chunk = geometry_chunk(&s->geometry, segment);
	uint64_t at = geometry_offset(&s->geometry, segment);
	uint32_t left = s->geometry.segment_bytes;
	int made = card->ops->open(card, chunk, 0) == -ENOENT;
	int err = card->ops->open(card, chunk, MEDIUM_OPEN_CREATE);

	for (size_t i = 0; i < sizeof iov / sizeof iov[0]; i++)
		iov[i] = (struct iovec){ (void *)zeroes, sizeof zeroes };
	while (!err && left) {
		uint32_t n = left < WRITE_BYTES ? left : WRITE_BYTES;

		err = card->ops->pwritev(card, chunk, iov,
					 (int)(n / sizeof zeroes), at);
		at += n;
		left -= n;
		if (!err)
			count(s, LBS_STAT_CARD_FILL_BYTES, n);
	}
	/* This sync covers the log's pages in the chunk too: its failure is
	 * never "the card is full", and nobody else may sync the file before
	 * the store knows. */
	pthread_mutex_lock(&s->syncing);
	if (!err && card->ops->sync(card, chunk)) {
		err = -EIO;
		store_fail(s, LBS_EIO,
			   "the card failed to sync a chunk file: check the card "
			   "and open the store again");
	}
	pthread_mutex_unlock(&s->syncing);
	if (s->stream)
		stream_synced_beside(s->stream, chunk);
	if (s->cleaner)
		stream_synced_beside(s->cleaner->stream, chunk);
	if (!err && (made || geometry_offset(&s->geometry, segment) == 0))
		err = card->ops->sync_dir(card);
	return err;
}

/* filling is held. */
static int
fill_one(lbs_store *s)
{
	uint32_t segment, chunk;
	int rc, err;

	/* Room that was about to be given back is needed after all. */
	if (segtab_end(s->segtab) < s->geometry.segment_count) {
		store_room_restore(s);
		return 0;
	}
	segment = next_unfilled(s);
	if (segment >= s->geometry.segment_count)
		return LBS_ENOSPC;
	chunk = geometry_chunk(&s->geometry, segment);
	/* What a newer metadata file may have filled and written. */
	rc = s->env.card->ops->open(s->env.card, chunk, 0) == 0
		     ? store_check_not_newer(s, segment)
		     : 0;
	if (rc)
		return rc;
	err = write_segment(s, segment);
	if (err) {
		if (code_of_errno(err) == LBS_ENOSPC) {
			if (!s->card_full)
				warn(&s->log, LBS_ENOSPC,
				     "the card is full at %llu MiB, below the "
				     "store's capacity: make room on the card",
				     (unsigned long long)segment *
					     s->geometry.segment_bytes >> 20);
			s->card_full = 1;
			return LBS_ENOSPC;
		}
		store_event(s, LBS_EVENT_CARD_GONE);
		return store_fail(s, LBS_EIO,
				  "the card failed while filling a chunk file "
				  "(%s): check the card and open the store again",
				  strerror(-err));
	}
	s->card_full = 0;
	store_db_lock(s);
	rc = meta_chunk_put(s->meta, chunk,
			    segment % s->geometry.segments_per_chunk + 1);
	store_db_unlock(s);
	if (rc)
		return store_fail(s, rc, "new room on the card could not be "
				  "noted: make internal flash work and open the "
				  "store again");
	segtab_fill(s->segtab, segment);
	store_room_settle(s);
	return 0;
}

int
store_fill_one(lbs_store *s)
{
	int rc;

	pthread_mutex_lock(&s->filling);
	rc = fill_one(s);
	pthread_mutex_unlock(&s->filling);
	return rc;
}

int
store_fill_wanted(lbs_store *s)
{
	uint32_t filled, free;

	segtab_room(s->segtab, &filled, &free);
	/* Segments for the log, and blocks that may live in what is filled. */
	return !atomic_load(&s->card_full) && filled < s->geometry.segment_count &&
	       segtab_end(s->segtab) == s->geometry.segment_count &&
	       (free < store_ahead_segments(s) + s->reserve_segments ||
		!map_allows(s->map, store_ahead_segments(s) * s->segment_blocks));
}

int
store_next_segment(void *ctx, int level, uint32_t *segment)
{
	lbs_store *s = ctx;
	uint32_t filled, free, keep = store_room_kept(s, level);
	int rc, tries = 0;

	for (;;) {
		segtab_room(s->segtab, &filled, &free);
		/* What is not filled yet counts as room while the card has it. */
		if (free + (s->geometry.segment_count - filled) <= keep)
			return LBS_ENOSPC;
		if (free <= keep || free == 0) {
			if (level == ROOM_CLEANER &&
			    segtab_end(s->segtab) < s->geometry.segment_count)
				return LBS_ENOSPC;
			rc = store_fill_one(s);
			/* The store's own thread may have filled the last one
			 * just before. */
			if (rc == LBS_ENOSPC)
				segtab_room(s->segtab, &filled, &free);
			if (rc && !(rc == LBS_ENOSPC && free > keep))
				return rc;
			continue;
		}
		if (segtab_take(s->segtab, segment) == 0)
			break;
		/* All that is free is still being read: that takes no time. */
		if (++tries > 10000)
			return LBS_ENOSPC;
		usleep(100);
	}
	rc = store_check_not_newer(s, *segment);
	if (rc)
		segtab_release(s->segtab, *segment);
	return rc;
}
