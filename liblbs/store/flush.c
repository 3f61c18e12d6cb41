/*
 * flush.c - durability: group commit of flushes, and the anchor.
 *
 * DESIGN.md promise 1: a round of flushes fixes its cut (everything acknowledged
 * before has a lower record number), syncs every chunk file written since the last sync,
 * commits the anchor on internal flash, and only then answers. Flushes that
 * arrive while one is under way share the next one.
 */
#include "liblbs/store/clean.h"

#include <string.h>

int
store_anchor_in(lbs_store *s, const struct cut *cut)
{
	struct meta_anchor anchor = { cut->recno, cut->segment, cut->offset };
	int rc;

	if (cut->recno <= s->anchor.recno)
		return 0;
	rc = meta_anchor_set(s->meta, &anchor);
	if (rc == 0)
		s->anchor = anchor;
	return rc;
}

static int
commit_anchor(lbs_store *s, const struct cut *cut)
{
	struct meta_counters before, after;
	int rc;

	store_db_lock(s);
	meta_counters(s->meta, &before);
	rc = store_anchor_in(s, cut);
	meta_counters(s->meta, &after);
	s->anchor_bytes += after.bytes - before.bytes;
	s->anchor_commits += after.commits - before.commits;
	store_db_unlock(s);
	return rc;
}

/* The other stream may have written to the chunk, too. */
static void
tell_other(lbs_store *s, const struct stream *st, uint32_t chunk)
{
	if (s->cleaner)
		stream_synced_beside(st == s->stream ? s->cleaner->stream
						     : s->stream, chunk);
}

int
store_sync_chunks(lbs_store *s, struct stream *st, uint8_t *dirty)
{
	uint32_t chunks = geometry_chunk(&s->geometry,
					 s->geometry.segment_count) + 1;
	struct medium *card = s->env.card;
	char name[MEDIUM_NAME_BYTES];

	stream_take_dirty(st, dirty);
	for (uint32_t i = 0; i < chunks; i++) {
		int err = 0, rc = 0;

		if (!dirty[i])
			continue;
		count(s, LBS_STAT_CARD_SYNCS, 1);
		pthread_mutex_lock(&s->syncing);
		if (atomic_load(&s->failed))
			rc = LBS_EFAILED;
		else
			err = card->ops->sync(card, i);
		if (err) {
			store_event(s, LBS_EVENT_CARD_GONE);
			medium_file_name(i, name);
			rc = store_fail(s, LBS_EIO,
					"the card failed to sync %s (%s): check "
					"the card and open the store again",
					name, strerror(-err));
		}
		pthread_mutex_unlock(&s->syncing);
		if (rc)
			return rc;
		tell_other(s, st, i);
	}
	return 0;
}

/* One round, by one thread at a time. */
static int
lead(lbs_store *s, const struct cut *cut, uint64_t log_bytes, int anchored)
{
	int rc = store_sync_chunks(s, s->stream, s->flush.chunks);

	if (rc)
		return rc;
	pthread_mutex_lock(&s->synced_lock);
	s->synced = *cut;
	pthread_mutex_unlock(&s->synced_lock);
	if (s->freshness == LBS_FRESHNESS_FLUSH || anchored ||
	    log_bytes - atomic_load(&s->log_bytes_anchored) >= s->sync_bytes) {
		rc = commit_anchor(s, cut);
		if (rc)
			return store_fail(s, rc,
					  "the anchor could not be committed: "
					  "make internal flash work and open the "
					  "store again");
		atomic_store(&s->log_bytes_anchored, log_bytes);
	}
	return 0;
}

/* One round: only who leads it moves the log on to a fresh page, so flushes that
 * share a sync share that, too. log_bytes is read before the cut, which covers at
 * least as much. */
static int
round_of(lbs_store *s, int anchored, struct cut *cut)
{
	uint64_t log_bytes = stream_log_bytes(s->stream);
	int rc = stream_cut(s->stream, cut);

	if (rc)
		return atomic_load(&s->failed) ? LBS_EFAILED : rc;
	return lead(s, cut, log_bytes, anchored);
}

static int
flush(lbs_store *s, int anchored)
{
	uint64_t mine;
	struct cut cut;
	int rc;

	rc = store_may_write(s);
	if (rc)
		return rc;
	/* Whatever was acknowledged is pushed. */
	mine = stream_pushed(s->stream);
	pthread_mutex_lock(&s->flush.lock);
	while ((rc = atomic_load(&s->failed) ? LBS_EFAILED : 0) == 0 &&
	       (atomic_load(&s->durable_recno) < mine || anchored)) {
		if (s->flush.leading) {
			pthread_cond_wait(&s->flush.done, &s->flush.lock);
			continue;
		}
		s->flush.leading = 1;
		pthread_mutex_unlock(&s->flush.lock);
		rc = round_of(s, anchored, &cut);
		pthread_mutex_lock(&s->flush.lock);
		s->flush.leading = 0;
		anchored = 0;
		if (rc == 0 && cut.recno > atomic_load(&s->durable_recno))
			atomic_store(&s->durable_recno, cut.recno);
		pthread_cond_broadcast(&s->flush.done);
		if (rc)
			break;
	}
	pthread_mutex_unlock(&s->flush.lock);
	return rc;
}

int
store_flush(lbs_store *s)
{
	return flush(s, 0);
}

int
store_flush_anchored(lbs_store *s)
{
	return flush(s, 1);
}
