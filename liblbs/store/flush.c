/*
 * flush.c - durability: group commit of flushes, and the anchor.
 *
 * DESIGN.md promise 1: a round of flushes fixes its cut (everything acknowledged
 * before has a lower record number), syncs every chunk file written since the last sync,
 * commits the anchor on internal flash, and only then answers. Flushes that
 * arrive while one is under way share the next one, which waits a little for those
 * that are likely to come. Must never let a lone flush wait.
 */
#include "liblbs/store/clean.h"

#include <string.h>
#include <time.h>

/* A leader waits for at most this share of what a sync takes lately, and not at all
 * where that is so short that waking up takes about as long. */
#define WAIT_SHARE 8u
#define WAIT_SYNC_NS 500000u
/* After a wait that brought nobody so many rounds do without. */
#define WAIT_UNPAID 4u
/* A flush in so many bytes of log is often. */
#define OFTEN_BYTES (256u << 10)

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
	uint32_t chunks = geometry_chunks(&s->geometry);
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

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Writers that each flush come back soon after a round has let them go. A round that
 * begins with the first of them leaves the rest to the next one, and so on: half of
 * them share a sync. So the leader waits until as many are here as lately were, as
 * jbd2 waits before it closes a transaction and databases before a group commit.
 * flush.lock is held, and given up meanwhile. */
static void
gather(lbs_store *s)
{
	uint32_t before = s->flush.waiting;
	struct timespec at;
	uint64_t until;
	int rc = 0;

	if (before >= s->flush.crowd || s->flush.sync_ns < WAIT_SYNC_NS)
		return;
	if (s->flush.unpaid) {
		s->flush.unpaid--;
		return;
	}
	until = now_ns() + s->flush.sync_ns / WAIT_SHARE;
	at = (struct timespec){ (time_t)(until / 1000000000u),
				(long)(until % 1000000000u) };
	while (rc == 0 && s->flush.waiting < s->flush.crowd)
		rc = pthread_cond_timedwait(&s->flush.came, &s->flush.lock, &at);
	if (s->flush.waiting == before)
		s->flush.unpaid = WAIT_UNPAID;
}

static void
note_flush(lbs_store *s)
{
	uint64_t log = stream_log_bytes(s->stream);

	atomic_store(&s->flushed_after, log - atomic_load(&s->flushed_at));
	atomic_store(&s->flushed_at, log);
}

int
store_flushes_often(lbs_store *s)
{
	uint64_t since = stream_log_bytes(s->stream) -
			 atomic_load(&s->flushed_at);

	return atomic_load(&s->flushed_after) < OFTEN_BYTES &&
	       since < OFTEN_BYTES;
}

/* A round as its leader sees it; flush.lock is held, and given up meanwhile. */
static int
lead_round(lbs_store *s, int anchored)
{
	uint64_t begun;
	uint32_t taken;
	struct cut cut;
	int rc;

	s->flush.leading = 1;
	if (!anchored) {
		gather(s);
		note_flush(s);
	}
	taken = s->flush.waiting;
	s->flush.waiting = 0;
	s->flush.rounds++;
	pthread_mutex_unlock(&s->flush.lock);
	begun = now_ns();
	rc = round_of(s, anchored, &cut);
	begun = now_ns() - begun;
	pthread_mutex_lock(&s->flush.lock);
	s->flush.sync_ns += begun / 4 - s->flush.sync_ns / 4;
	s->flush.crowd = taken + s->flush.waiting;
	s->flush.leading = 0;
	if (rc == 0 && cut.recno > atomic_load(&s->durable_recno))
		atomic_store(&s->durable_recno, cut.recno);
	pthread_cond_broadcast(&s->flush.done);
	return rc;
}

static int
flush(lbs_store *s, int anchored)
{
	uint64_t mine, round;
	int rc;

	rc = store_may_write(s);
	if (rc)
		return rc;
	/* Whatever was acknowledged is pushed. */
	mine = stream_pushed(s->stream);
	pthread_mutex_lock(&s->flush.lock);
	/* What is due anyway, once in a while, is no crowd. */
	round = anchored ? UINT64_MAX : s->flush.rounds;
	if (!anchored && ++s->flush.waiting >= s->flush.crowd &&
	    s->flush.leading)
		pthread_cond_signal(&s->flush.came);
	while ((rc = atomic_load(&s->failed) ? LBS_EFAILED : 0) == 0 &&
	       (atomic_load(&s->durable_recno) < mine || anchored)) {
		if (s->flush.leading) {
			pthread_cond_wait(&s->flush.done, &s->flush.lock);
			continue;
		}
		rc = lead_round(s, anchored);
		anchored = 0;
		if (rc)
			break;
	}
	/* No round has counted it: it had begun, or there was nothing to do. */
	if (round == s->flush.rounds)
		s->flush.waiting--;
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
