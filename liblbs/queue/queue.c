/*
 * queue.c - the life of a queue of requests, and what comes in. The contract is in
 * lbs.h. Must never wait for a medium in lbs_queue_submit, nor for any lock that
 * somebody holds over one.
 */
#include "liblbs/grow.h"
#include "liblbs/queue/queue.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WORKERS_DEFAULT 2
#define WORKERS_MAX 64
#define DEPTH_DEFAULT 128
#define DEPTH_MAX 65536
/* What who submits performs itself of it, at most: some 40 microseconds. */
#define SHARE_MAX 8
#define SHARE_BYTES (32u << 10)

static void
queue_free(lbs_queue *q)
{
	if (q->event >= 0)
		close(q->event);
	pthread_mutex_destroy(&q->reaping);
	pthread_mutex_destroy(&q->giving);
	pthread_cond_destroy(&q->drained);
	pthread_mutex_destroy(&q->lock);
	free(q->workers);
	free(q->slots);
	free(q);
}

static lbs_queue *
queue_new(lbs_store *store, const struct lbs_queue_options *options)
{
	lbs_queue *q = calloc(1, sizeof *q);
	pthread_mutexattr_t attr;

	if (!q)
		return NULL;
	q->store = store;
	q->forks = store->forks;
	q->is_waiter = (options->flags & LBS_QUEUE_WAITER) != 0;
	q->done_fn = options->done;
	q->done_ctx = options->done_ctx;
	q->depth = options->depth ? options->depth : DEPTH_DEFAULT;
	turns_init(&q->turns);
	/* Held for a fraction of a microsecond: spin before sleeping. */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&q->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_cond_init(&q->drained, NULL);
	pthread_mutex_init(&q->giving, NULL);
	pthread_mutex_init(&q->reaping, NULL);
	slot_list_init(&q->ready);
	slot_list_init(&q->flushes);
	slot_list_init(&q->told);
	q->event = q->done_fn ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->slots = calloc(q->depth, sizeof *q->slots);
	q->workers = calloc(options->workers ? options->workers
					     : WORKERS_DEFAULT,
			    sizeof *q->workers);
	if ((!q->done_fn && q->event < 0) || !q->slots || !q->workers) {
		queue_free(q);
		return NULL;
	}
	for (unsigned i = q->depth; i-- > 0;) {
		q->slots[i].next = q->free;
		q->free = &q->slots[i];
	}
	return q;
}

/* Nothing is pending, so all threads are idle or about to be. */
static void
stop(lbs_queue *q)
{
	struct queue_worker *w, *next;

	pthread_mutex_lock(&q->lock);
	q->stopping = 1;
	w = q->idle;
	q->idle = NULL;
	pthread_mutex_unlock(&q->lock);
	for (; w; w = next) {
		next = w->next;
		queue_wake(w);
	}
	for (unsigned i = 0; i < q->worker_count; i++)
		pthread_join(q->workers[i].thread, NULL);
}

API int
lbs_queue_open(lbs_store *store, const struct lbs_queue_options *options,
	       lbs_queue **out)
{
	struct lbs_queue_options o = { .struct_size = sizeof o };
	unsigned workers;
	lbs_queue *q;
	int rc = 0;

	if (!store || !out ||
	    (options && grow_in(&o, sizeof o, GROW_QUEUE, options)) ||
	    o.flags & ~(uint32_t)LBS_QUEUE_WAITER || o.workers > WORKERS_MAX ||
	    o.depth > DEPTH_MAX)
		return LBS_EINVAL;
	*out = NULL;
	if (store->forks != store_forks())
		return LBS_EFORK;
	q = queue_new(store, &o);
	if (!q)
		return LBS_ENOMEM;
	workers = o.workers ? o.workers : WORKERS_DEFAULT;
	while (rc == 0 && q->worker_count < workers) {
		struct queue_worker *w = &q->workers[q->worker_count];

		w->queue = q;
		rc = queue_worker_start(w);
		if (rc == 0)
			q->worker_count++;
	}
	if (rc) {
		stop(q);
		queue_free(q);
		return fail(&store->log, rc, "a thread could not be started");
	}
	*out = q;
	return 0;
}

API int
lbs_queue_close(lbs_queue *q)
{
	if (!q)
		return 0;
	if (q->forks != store_forks())
		return LBS_EFORK; /* the parent's: not even memory is ours */
	(void)lbs_queue_drain(q);
	stop(q);
	queue_free(q);
	return 0;
}

/* Puts a request into a slot. lock is held. */
static struct slot *
fill_slot(lbs_queue *q, const struct lbs_request *request)
{
	struct slot *s = q->free;

	if (!s)
		return NULL;
	q->free = s->next;
	s->request = *request;
	s->is_written = 0;
	atomic_fetch_add(&q->pending, 1);
	return s;
}

/* Leaves what was put on a list to the threads, and leaves the lock. */
static void
hand_over(lbs_queue *q)
{
	struct queue_worker *w = NULL;

	if (!q->is_waiter || atomic_load(&q->pending) > 1)
		w = queue_wake_whom(q);
	pthread_mutex_unlock(&q->lock);
	queue_wake(w);
}

/* Performs a read or write of one piece if it is short and waits for no medium: 1. */
static int
perform(const lbs_queue *q, const struct lbs_request *r, int *result)
{
	if ((r->op != LBS_OP_WRITE && r->op != LBS_OP_READ) || r->flags ||
	    r->iov_count != 1 || !r->iov || !r->vdisk ||
	    r->vdisk->store != q->store)
		return 0;
	if (r->op == LBS_OP_WRITE) {
		if (!store_write_is_short(r->vdisk, r->iov->iov_len,
					  r->offset_bytes))
			return 0;
		*result = lbs_vdisk_writev(r->vdisk, r->iov, 1, r->offset_bytes,
					   0);
		return 1;
	}
	/* Who waits next reads it himself, and may wait for the card. */
	if (q->is_waiter)
		return 0;
	*result = store_read_at_once(r->vdisk, r->iov, r->offset_bytes);
	return *result <= 0;
}

/* How many of the n that it has just submitted the caller performs itself. A lone
 * one: handing it to a thread and the result back would take longer. Of several, no
 * more than half: a thread begins with the others meanwhile. */
static unsigned
own_share(const lbs_queue *q, unsigned n)
{
	if (q->done_fn)
		return 0;
	if (n == 1)
		return atomic_load(&q->pending) == 1;
	if (q->is_waiter)
		return 0;
	return n / 2 < SHARE_MAX ? n / 2 : SHARE_MAX;
}

/* Performs up to n of what waits, as long as it is short. */
static void
perform_share(lbs_queue *q, unsigned n)
{
	size_t bytes = 0;
	struct slot *s;
	int result;

	/* Who performs reaps next: no event is needed meanwhile. */
	atomic_fetch_add(&q->looking, 1);
	for (; n && bytes < SHARE_BYTES; n--) {
		pthread_mutex_lock(&q->lock);
		s = slot_get(&q->ready);
		pthread_mutex_unlock(&q->lock);
		if (!s)
			break;
		if (!perform(q, &s->request, &result)) {
			pthread_mutex_lock(&q->lock);
			slot_put_back(&q->ready, s);
			hand_over(q);
			break;
		}
		bytes += s->request.iov->iov_len;
		queue_done(q, s, result);
	}
	atomic_fetch_sub(&q->looking, 1);
	queue_tell(q);
}

API int
lbs_queue_submit(lbs_queue *q, const struct lbs_request *requests,
		 unsigned count)
{
	struct slot *s;
	unsigned n = 0, own;

	if (q->forks != store_forks())
		return LBS_EFORK;
	if (count && !requests)
		return LBS_EINVAL;
	pthread_mutex_lock(&q->lock);
	while (n < count && (s = fill_slot(q, &requests[n]))) {
		slot_put(s->request.op == LBS_OP_FLUSH ? &q->flushes : &q->ready,
			 s);
		n++;
	}
	own = own_share(q, n);
	if (own && n == 1 && q->ready.head)
		pthread_mutex_unlock(&q->lock); /* no thread for a lone one */
	else
		hand_over(q);
	if (own)
		perform_share(q, own);
	return (int)n;
}

/* Takes those that bear user out of a list and puts them on another. */
static int
take_out(struct slot_list *from, void *user, struct slot_list *to)
{
	struct slot_list kept;
	struct slot *s, *next;
	int n = 0;

	slot_list_init(&kept);
	for (s = from->head; s; s = next) {
		/* The write of one that waits for its flush is done. */
		int is_his = s->request.user == user && !s->is_written;

		next = s->next;
		slot_put(is_his ? to : &kept, s);
		n += is_his;
	}
	slot_list_init(from);
	for (s = kept.head; s; s = next) {
		next = s->next;
		slot_put(from, s);
	}
	return n;
}

API int
lbs_queue_cancel(lbs_queue *q, void *user)
{
	struct slot_list out;
	struct slot *s;
	int n;

	if (q->forks != store_forks())
		return LBS_EFORK;
	slot_list_init(&out);
	pthread_mutex_lock(&q->lock);
	n = take_out(&q->ready, user, &out) + take_out(&q->flushes, user, &out);
	pthread_mutex_unlock(&q->lock);
	while ((s = slot_get(&out)))
		queue_done(q, s, LBS_ECANCELLED);
	queue_tell(q);
	return n;
}
