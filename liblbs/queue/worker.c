/*
 * worker.c - what performs a queue's requests: its threads, and callers that wait
 * anyway. Takes one request at a time, so that none waits behind another while a
 * thread is free; all flushes that wait are one.
 */
#include "liblbs/queue/queue.h"
#include "liblbs/thread.h"

#include <time.h>

/* So many completions may be held back from a sleeper while their thread goes on
 * with a short request: waking costs as much as a small write. */
#define HELD_MAX 8
/* A read is taken to be short if the one before was: its data was in the kernel's
 * memory. */
#define SHORT_READ_NS 20000

/* Who performs, across its requests. */
struct hand {
	lbs_queue *queue;
	int is_helper;		/* leaves soon: others must see to what is left */
	int flushed_last;	/* so that neither kind starves the other */
	int is_holding;		/* it has completed what the sleeper was not told */
	int reads_are_short;
};

static int
has_work(const lbs_queue *q)
{
	return q->ready.head || (q->flushes.head && !q->flushing);
}

struct queue_worker *
queue_wake_whom(lbs_queue *q)
{
	struct queue_worker *w = has_work(q) ? q->idle : NULL;

	if (w)
		q->idle = w->next;
	return w;
}

void
queue_wake(struct queue_worker *w)
{
	if (w)
		turn_give(&w->turn, TURN_DONE);
}

/* ---- one request ------------------------------------------------------- */

static int
call(lbs_queue *q, const struct lbs_request *r)
{
	unsigned flags = r->flags & ~(unsigned)LBS_FUA;

	if (!r->vdisk || r->vdisk->store != q->store || r->iov_count < 0 ||
	    (r->iov_count && !r->iov))
		return LBS_EINVAL;
	switch (r->op) {
	case LBS_OP_READ:
		return r->flags ? LBS_EINVAL
				: lbs_vdisk_readv(r->vdisk, r->iov, r->iov_count,
						  r->offset_bytes);
	case LBS_OP_WRITE:
		return lbs_vdisk_writev(r->vdisk, r->iov, r->iov_count,
					r->offset_bytes, flags);
	case LBS_OP_DISCARD:
		return lbs_vdisk_discard(r->vdisk, r->len_bytes,
					 r->offset_bytes, flags);
	case LBS_OP_WRITE_ZEROES:
		return lbs_vdisk_write_zeroes(r->vdisk, r->len_bytes,
					      r->offset_bytes, flags);
	}
	return LBS_EINVAL;
}

static void
complete(struct hand *h, struct slot *s, int result)
{
	queue_done(h->queue, s, result);
	h->is_holding = 1;
}

static void
tell_held(struct hand *h)
{
	if (h->is_holding)
		queue_tell(h->queue);
	h->is_holding = 0;
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Leaves what a flush has to end to the next one. */
static void
await_flush(struct hand *h, struct slot *s)
{
	lbs_queue *q = h->queue;
	struct queue_worker *w = NULL;

	s->is_written = 1;
	pthread_mutex_lock(&q->lock);
	slot_put(&q->flushes, s);
	if (h->is_helper)
		w = queue_wake_whom(q);
	pthread_mutex_unlock(&q->lock);
	queue_wake(w);
}

static void
perform(struct hand *h, struct slot *s)
{
	int op = s->request.op, rc;
	uint64_t begun;

	/* Writes wait for no medium, as a rule. */
	if ((op != LBS_OP_WRITE && !(op == LBS_OP_READ && h->reads_are_short)) ||
	    atomic_load(&h->queue->untold) >= HELD_MAX)
		tell_held(h);
	begun = op == LBS_OP_READ ? now_ns() : 0;
	rc = call(h->queue, &s->request);
	if (op == LBS_OP_READ)
		h->reads_are_short = now_ns() - begun < SHORT_READ_NS;
	if (rc == 0 && s->request.flags & LBS_FUA)
		await_flush(h, s);
	else
		complete(h, s, rc);
}

/* All that waits for a flush, by one. */
static void
perform_flush(struct hand *h, struct slot *s)
{
	lbs_queue *q = h->queue;
	struct queue_worker *w = NULL;
	struct slot *next;
	int rc;

	tell_held(h);
	rc = store_flush(q->store);
	for (; s; s = next) {
		next = s->next;
		if (!s->is_written)
			count(q->store, LBS_STAT_FLUSH_OPS, 1);
		complete(h, s, rc);
	}
	pthread_mutex_lock(&q->lock);
	q->flushing = 0;
	if (h->is_helper)
		w = queue_wake_whom(q);
	pthread_mutex_unlock(&q->lock);
	queue_wake(w);
}

/* ---- hands ------------------------------------------------------------- */

/* Takes what comes next and performs it, if there is anything: 1. Called and left
 * with the lock. */
static int
step(struct hand *h)
{
	lbs_queue *q = h->queue;
	struct queue_worker *other;
	struct slot *s;
	int is_flush;

	if (!has_work(q))
		return 0;
	is_flush = q->flushes.head && !q->flushing &&
		   !(h->flushed_last && q->ready.head);
	if (is_flush) {
		s = q->flushes.head;
		slot_list_init(&q->flushes);
		q->flushing = 1;
	} else {
		s = slot_get(&q->ready);
	}
	h->flushed_last = is_flush;
	/* One wakes the next, so that who submits wakes one at most. */
	other = queue_wake_whom(q);
	pthread_mutex_unlock(&q->lock);
	queue_wake(other);
	if (is_flush)
		perform_flush(h, s);
	else
		perform(h, s);
	pthread_mutex_lock(&q->lock);
	return 1;
}

int
queue_help(lbs_queue *q)
{
	struct hand h = { .queue = q, .is_helper = 1 };
	int did;

	pthread_mutex_lock(&q->lock);
	did = step(&h);
	pthread_mutex_unlock(&q->lock);
	return did;
}

static void *
work(void *arg)
{
	struct queue_worker *w = arg;
	lbs_queue *q = w->queue;
	struct hand h = { .queue = q };

	pthread_mutex_lock(&q->lock);
	for (;;) {
		if (step(&h))
			continue;
		if (q->stopping)
			break;
		turn_init(&w->turn);
		w->next = q->idle;
		q->idle = w;
		pthread_mutex_unlock(&q->lock);
		tell_held(&h);
		turn_wait(&w->turn, &q->turns);
		pthread_mutex_lock(&q->lock);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

int
queue_worker_start(struct queue_worker *w)
{
	return thread_start(&w->thread, work, w);
}
