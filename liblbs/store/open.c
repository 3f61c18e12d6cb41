/*
 * open.c - the life of an open store in whatever environment: loading, recovery,
 * threads, and a clean end.
 */
#include "liblbs/store/clean.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "liblbs/meta/mapstore.h"

uint64_t
store_sync_bytes(uint64_t env_sync_bytes, uint64_t capacity_bytes)
{
	uint64_t bytes = env_sync_bytes ? env_sync_bytes : SYNC_BYTES;
	uint64_t share = capacity_bytes / 64 / PAGE_BYTES * PAGE_BYTES;

	if (bytes > share)
		bytes = share;
	return bytes < 16 * PAGE_BYTES ? 16 * PAGE_BYTES : bytes;
}

/* What recovery may have to write again: an unsynced tail at its hard bound
 * (2 x) and a synced one that is not anchored yet (1 x), each ended by a write
 * that was let in below the bound; in segments that lose a little at their ends
 * to headers, indexes and frames that do not fit; and one for discards. */
uint32_t
store_reserve_segments(uint64_t sync_bytes, uint32_t segment_bytes)
{
	uint64_t bytes = 3 * sync_bytes +
			 2 * GROUP_BLOCKS_MAX * ZIP_FRAME_BYTES_MAX;
	uint32_t usable = segment_bytes - segment_bytes / 64 - 3 * PAGE_BYTES;

	return (uint32_t)((bytes + usable - 1) / usable) + 2;
}

/* The map asks for a page that is not in memory. db before map: no checkpoint
 * changes the page between reading it and giving it. */
static int
load_page(void *ctx, uint32_t layer, uint64_t page)
{
	lbs_store *s = ctx;
	uint64_t *entries = malloc(MAP_PAGE_BLOCKS * sizeof *entries);
	int rc = entries ? 0 : LBS_ENOMEM;

	if (rc == 0) {
		store_db_lock(s);
		rc = mapstore_page(s->meta, layer, page, entries);
		if (rc == 0)
			rc = map_page_put(s->map, layer, page, entries);
		store_db_unlock(s);
	}
	free(entries);
	return rc;
}

lbs_store *
store_new(const struct store_env *env, const struct lbs_open_options *options)
{
	lbs_store *s = calloc(1, sizeof *s);
	pthread_condattr_t attr;

	if (!s)
		return NULL;
	s->forks = store_forks();
	s->env = *env;
	s->event_fd = -1;
	if (options) {
		s->log = (struct logger){ options->log, options->log_ctx };
		s->rdonly = (options->flags & LBS_RDONLY) != 0;
		s->accept_loss = (options->flags & LBS_ACCEPT_LOSS) != 0;
	}
	pthread_mutex_init(&s->db, NULL);
	pthread_mutex_init(&s->db_next, NULL);
	pthread_mutex_init(&s->flush.lock, NULL);
	pthread_cond_init(&s->flush.done, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->flush.came, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&s->synced_lock, NULL);
	pthread_mutex_init(&s->checkpointing, NULL);
	pthread_mutex_init(&s->admitting, NULL);
	pthread_mutex_init(&s->filling, NULL);
	pthread_mutex_init(&s->syncing, NULL);
	pthread_mutex_init(&s->failure_lock, NULL);
	ranges_init(&s->ranges);
	return s;
}

void
store_free(lbs_store *s, int abandon)
{
	if (!s)
		return;
	if (s->event_fd >= 0)
		close(s->event_fd);
	cleaner_free(s);
	stream_free(s->stream);
	map_free(s->map);
	segtab_free(s->segtab);
	if (abandon)
		meta_abandon(s->meta);
	else
		meta_close(s->meta);
	secret_free(s->data_key);
	zip_free(s->sealer.zip);
	free(s->flush.chunks);
	ranges_destroy(&s->ranges);
	pthread_mutex_destroy(&s->failure_lock);
	pthread_mutex_destroy(&s->syncing);
	pthread_mutex_destroy(&s->filling);
	pthread_mutex_destroy(&s->admitting);
	pthread_mutex_destroy(&s->checkpointing);
	pthread_mutex_destroy(&s->synced_lock);
	pthread_cond_destroy(&s->flush.done);
	pthread_cond_destroy(&s->flush.came);
	pthread_mutex_destroy(&s->flush.lock);
	pthread_mutex_destroy(&s->db_next);
	pthread_mutex_destroy(&s->db);
	free(s);
}

/* The run page belongs to this session from now on. */
static void
start_run_page(lbs_store *s)
{
	struct run_page *run = s->env.run;
	struct log_position behind;

	if (!run)
		return;
	map_position(s->map, &behind);
	/* The boot last: until it is there the rest says nothing. */
	run->session = s->session;
	run->acked_record = behind.recno;
	memcpy(run->store_id, s->sealer.store_id, STORE_ID_BYTES);
	/* What is stored is kept whenever the process dies; only the order must be
	 * the one written here. */
	atomic_signal_fence(memory_order_release);
	memcpy(run->boot_id, s->env.boot_id, sizeof run->boot_id);
}

int
store_open_env(const struct store_env *env,
	       const struct lbs_open_options *options, lbs_store **out)
{
	lbs_store *s = store_new(env, options);
	struct card_sealed on_card;
	int rc;

	*out = NULL;
	if (!s)
		return LBS_ENOMEM;
	rc = secret_init() ? LBS_EINTERNAL : 0;
	if (rc == 0)
		rc = meta_open(env->meta_path, env->vfs,
			       s->rdonly ? META_RDONLY : 0, &s->log, &s->meta);
	if (rc == 0)
		rc = store_load_tables(s);
	if (rc == 0)
		rc = card_file_check(&s->sealer, env->card, s->rdonly, &s->log,
				     &on_card);
	if (rc == 0)
		rc = store_load_state(s, &on_card);
	if (rc == 0) {
		s->map = map_new(options ? options->map_limit_bytes : 0,
				 load_page, s);
		rc = s->map ? 0 : fail(&s->log, LBS_ENOMEM, "out of memory");
	}
	if (rc == 0) {
		store_room_count(s);
		store_room_settle(s);
		rc = store_recover(s, &on_card);
	}
	if (rc == 0 && !s->rdonly)
		rc = cleaner_start(s);
	if (rc == 0 && !s->rdonly) {
		start_run_page(s);
		/* What was replayed counts towards the next checkpoint; too
		 * many pieces or too much of it, and it is written now. */
		if ((uint64_t)s->piece_count * s->geometry.segment_bytes >
			    PIECES_BYTES ||
		    s->piece_count > PIECES_MAX / 2 ||
		    map_wants_checkpoint(s->map))
			rc = store_checkpoint(s);
	}
	if (rc == 0 && !s->rdonly)
		(void)store_meta_has_room(s);
	if (rc == 0)
		rc = background_start(s);
	if (rc)
		/* A refused store is left as it was found. */
		store_free(s, 1);
	else
		*out = s;
	return rc;
}

void
store_abandon(lbs_store *s)
{
	if (!s)
		return;
	background_stop(s);
	store_free(s, 1);
}

/* Everything durable and in the map: nothing is left to replay. */
static int
finish(lbs_store *s)
{
	struct meta_total total;
	int rc = store_checkpoint(s);

	/* No thread is left; what was filled may not have been noted. */
	store_totals(s, &total);
	if (rc ||
	    (!s->piece_count && !memcmp(&total, &s->saved, sizeof total)))
		return rc;
	store_db_lock(s);
	rc = meta_begin(s->meta);
	if (rc == 0) {
		rc = meta_pieces_set(s->meta, NULL, 0);
		if (rc == 0)
			rc = meta_total_set(s->meta, &total);
		if (rc == 0)
			rc = meta_commit(s->meta);
		else
			meta_rollback(s->meta);
	}
	store_db_unlock(s);
	return rc;
}

API int
lbs_store_close(lbs_store *s)
{
	struct posix *posix;
	int rc = 0;

	if (!s)
		return 0;
	posix = s->posix;
	if (s->forks != store_forks())
		return LBS_EFORK; /* the parent's: not even memory is ours */
	store_posix_finishing(posix);
	background_stop(s);
	cleaner_stop(s);
	if (!s->rdonly)
		rc = atomic_load(&s->failed) ? LBS_EFAILED : finish(s);
	store_free(s, rc != 0 || s->rdonly);
	store_posix_free(posix);
	return rc;
}

API int
lbs_store_checkpoint(lbs_store *s)
{
	return store_checkpoint(s);
}
