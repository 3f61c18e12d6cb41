/*
 * ctl_clean.c - see ctl_clean.h. Must never outlive the store, nor hold its lock
 * while it cleans.
 */
#include "frontends/common/ctl_clean.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum state { IDLE, RUNNING, DONE, STOPPED, FAILED };

struct ctl_clean {
	lbs_store *store;
	pthread_mutex_t lock; /* guards the rest */
	pthread_t thread;
	enum state state;
	int joinable, stop, rc;
	unsigned flags; /* of lbs_store_clean */
	uint64_t done, total, segments, blocks, given_back;
};

struct ctl_clean *
ctl_clean_new(lbs_store *store)
{
	struct ctl_clean *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->store = store;
	pthread_mutex_init(&job->lock, NULL);
	return job;
}

static int
progress(void *ctx, uint64_t done, uint64_t total)
{
	struct ctl_clean *job = ctx;
	int stop;

	pthread_mutex_lock(&job->lock);
	job->done = done;
	job->total = total;
	stop = job->stop;
	pthread_mutex_unlock(&job->lock);
	return stop;
}

static void *
run(void *arg)
{
	struct ctl_clean *job = arg;
	uint64_t before[LBS_STAT_COUNT], after[LBS_STAT_COUNT];
	int rc;

	lbs_store_stat(job->store, before);
	rc = lbs_store_clean(job->store, job->flags, progress, job);
	lbs_store_stat(job->store, after);
	pthread_mutex_lock(&job->lock);
	job->segments = after[LBS_STAT_CLEANED_SEGMENTS] -
			before[LBS_STAT_CLEANED_SEGMENTS];
	job->blocks = after[LBS_STAT_CLEANED_BLOCKS] -
		      before[LBS_STAT_CLEANED_BLOCKS];
	job->given_back = after[LBS_STAT_CARD_GIVEN_BACK_BYTES] -
			  before[LBS_STAT_CARD_GIVEN_BACK_BYTES];
	job->rc = rc;
	job->state = rc == 0		     ? DONE
		     : rc == LBS_ECANCELLED ? STOPPED
					     : FAILED;
	pthread_mutex_unlock(&job->lock);
	return NULL;
}

int
ctl_clean_start(struct ctl_clean *job, unsigned flags)
{
	sigset_t all, before;
	int rc = 0;

	pthread_mutex_lock(&job->lock);
	if (job->state != RUNNING) {
		if (job->joinable)
			pthread_join(job->thread, NULL);
		job->stop = job->rc = 0;
		job->done = job->total = job->segments = job->blocks = 0;
		job->given_back = 0;
		job->flags = flags;
		/* Signals are for the front end's own threads. */
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		rc = pthread_create(&job->thread, NULL, run, job) ? LBS_ENOMEM
								   : 0;
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		job->joinable = rc == 0;
		job->state = rc == 0 ? RUNNING : IDLE;
	}
	pthread_mutex_unlock(&job->lock);
	return rc;
}

void
ctl_clean_stop(struct ctl_clean *job)
{
	pthread_mutex_lock(&job->lock);
	job->stop = 1;
	pthread_mutex_unlock(&job->lock);
}

json_t *
ctl_clean_state(struct ctl_clean *job, int *failure)
{
	static const char *const words[] = { "idle", "running", "done",
					     "stopped", "failed" };
	json_t *answer;

	pthread_mutex_lock(&job->lock);
	*failure = job->state == FAILED ? job->rc : 0;
	answer = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "state",
			   words[job->state], "done", (json_int_t)job->done,
			   "total", (json_int_t)job->total, "segments",
			   (json_int_t)job->segments, "blocks",
			   (json_int_t)job->blocks, "given_back",
			   (json_int_t)job->given_back);
	pthread_mutex_unlock(&job->lock);
	return answer;
}

void
ctl_clean_free(struct ctl_clean *job)
{
	if (!job)
		return;
	ctl_clean_stop(job);
	if (job->joinable)
		pthread_join(job->thread, NULL);
	pthread_mutex_destroy(&job->lock);
	free(job);
}
