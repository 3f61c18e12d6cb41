/*
 * background.c - what happens without being asked: the sync that bounds the
 * unsynced tail (DESIGN.md condition 18), checkpoints, filling ahead, cleaning. Threads start
 * only after the front end has forked; without threads the same happens inline
 * after a write, which is how the tests make it repeatable.
 */
#include "liblbs/store/internal.h"
#include "liblbs/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define LOOK_BYTES (64u << 10)

struct worker {
	struct background *of;
	pthread_t thread;
	pthread_cond_t wake;
	int (*work)(lbs_store *s);
	int (*due)(lbs_store *s);
	void (*tick)(lbs_store *s); /* each period, or NULL */
	int asked, running;
	int repeat;		/* as long as it is due, not once a wake-up */
	unsigned period_seconds; /* 0: only when asked */
};

enum { SYNCER, CHECKPOINTER, FILLER, CLEANER, WORKERS };

struct background {
	lbs_store *store;
	pthread_mutex_t lock;
	_Atomic int stopping;
	struct worker worker[WORKERS];
};

static int
sync_due(lbs_store *s)
{
	struct stream_stats st;

	stream_stats(s->stream, &st);
	return st.unsynced_bytes > 0;
}

static uint64_t
log_since_checkpoint(lbs_store *s)
{
	struct stream_stats st;

	stream_stats(s->stream, &st);
	return st.log_bytes - atomic_load(&s->log_bytes_at_checkpoint);
}

static int
checkpoint_due(lbs_store *s)
{
	return map_wants_checkpoint(s->map) ||
	       log_since_checkpoint(s) >= s->checkpoint_log_bytes;
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct background *b = w->of;

	pthread_mutex_lock(&b->lock);
	while (!b->stopping) {
		if (!w->asked) {
			if (w->period_seconds) {
				struct timespec at;

				clock_gettime(CLOCK_MONOTONIC, &at);
				at.tv_sec += w->period_seconds;
				if (pthread_cond_timedwait(&w->wake, &b->lock,
							   &at) == ETIMEDOUT &&
				    w->tick)
					w->tick(b->store);
			} else {
				pthread_cond_wait(&w->wake, &b->lock);
			}
			if (b->stopping)
				break;
		}
		w->asked = 0;
		pthread_mutex_unlock(&b->lock);
		/* An error has stopped the store and been told; the thread only
		 * ends with the store. */
		while (!atomic_load(&b->store->failed) && !b->stopping &&
		       w->due(b->store) && w->work(b->store) == 0 && w->repeat)
			;
		pthread_mutex_lock(&b->lock);
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

static void
ask(struct background *b, int which)
{
	pthread_mutex_lock(&b->lock);
	if (!b->worker[which].asked) {
		b->worker[which].asked = 1;
		pthread_cond_signal(&b->worker[which].wake);
	}
	pthread_mutex_unlock(&b->lock);
}

int
background_start(lbs_store *s)
{
	static const struct {
		int (*work)(lbs_store *);
		int (*due)(lbs_store *);
		unsigned period;
		int repeat;
		void (*tick)(lbs_store *);
	} kind[WORKERS] = {
		[SYNCER] = { store_flush_anchored, sync_due, SYNC_SECONDS, 0,
			     NULL },
		[CHECKPOINTER] = { store_checkpoint, checkpoint_due, 0, 0, NULL },
		[FILLER] = { store_fill_one, store_fill_wanted, 0, 1, NULL },
		[CLEANER] = { store_clean_ahead, store_clean_wanted,
			      IDLE_SECONDS, 1, store_clean_tick },
	};
	pthread_condattr_t attr;
	struct background *b;

	if (!s->env.threads || s->rdonly)
		return 0;
	b = calloc(1, sizeof *b);
	if (!b)
		return LBS_ENOMEM;
	b->store = s;
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	s->background = b;
	for (int i = 0; i < WORKERS; i++) {
		struct worker *w = &b->worker[i];

		w->of = b;
		w->work = kind[i].work;
		w->due = kind[i].due;
		w->period_seconds = i == SYNCER && s->env.sync_seconds
					    ? s->env.sync_seconds
					    : kind[i].period;
		w->repeat = kind[i].repeat;
		w->tick = kind[i].tick;
		pthread_cond_init(&w->wake, &attr);
		if (thread_start(&w->thread, work, w)) {
			background_stop(s);
			pthread_condattr_destroy(&attr);
			return fail(&s->log, LBS_ENOMEM,
				    "a thread could not be started");
		}
		w->running = 1;
	}
	pthread_condattr_destroy(&attr);
	ask(b, FILLER);
	return 0;
}

void
background_stop(lbs_store *s)
{
	struct background *b = s->background;

	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	b->stopping = 1;
	for (int i = 0; i < WORKERS; i++)
		pthread_cond_signal(&b->worker[i].wake);
	pthread_mutex_unlock(&b->lock);
	for (int i = 0; i < WORKERS; i++) {
		if (b->worker[i].running)
			pthread_join(b->worker[i].thread, NULL);
		pthread_cond_destroy(&b->worker[i].wake);
	}
	pthread_mutex_destroy(&b->lock);
	free(b);
	s->background = NULL;
}

int
background_after_write(lbs_store *s)
{
	struct stream_stats st;
	int rc = 0;

	if (s->background) {
		uint64_t now = stream_log_bytes(s->stream);
		uint64_t last = atomic_load_explicit(&s->looked_at,
						     memory_order_relaxed);

		/* The bounds are MiB: looking every 64 KiB is often enough, and
		 * keeps six locks out of each small write. */
		if (now - last < LOOK_BYTES)
			return 0;
		atomic_store_explicit(&s->looked_at, now, memory_order_relaxed);
		(void)store_meta_has_room(s);
	}
	stream_stats(s->stream, &st);
	if (s->background) {
		if (st.unsynced_bytes >= s->sync_bytes)
			ask(s->background, SYNCER);
		if (checkpoint_due(s))
			ask(s->background, CHECKPOINTER);
		if (store_fill_wanted(s))
			ask(s->background, FILLER);
		if (store_clean_wanted(s))
			ask(s->background, CLEANER);
		/* The hard bound: writers wait for the card. */
		if (st.unsynced_bytes >= 2 * s->sync_bytes)
			rc = store_flush(s);
		return rc ? rc : store_clean_pace(s);
	}
	if (st.unsynced_bytes >= s->sync_bytes)
		rc = store_flush(s);
	if (rc == 0 && checkpoint_due(s))
		rc = store_checkpoint(s);
	return rc ? rc : store_clean_pace(s);
}
