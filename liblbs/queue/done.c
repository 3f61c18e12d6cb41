/*
 * done.c - what a queue tells: completions in the order in which they came, the
 * event that wakes an event loop, waiting.
 *
 * The event is readable exactly while given is 1. Why no wake-up is lost: who
 * completes first puts the slot on done and then looks at looking and given; who
 * takes either back empties done after that. So a completion that relies on either
 * is still found. given is taken back only by who finds nothing: who submits and
 * reaps in turn then neither writes nor reads the event.
 */
#include "liblbs/queue/queue.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

/* How long a waiter looks before it sleeps: about what the sleep costs. */
#define WAIT_LOOK_US 5
#define LOOK_US_MAX 1000000u

/* ---- the event --------------------------------------------------------- */

static void
give(lbs_queue *q)
{
	const uint64_t one = 1;

	if (atomic_load(&q->given))
		return;
	pthread_mutex_lock(&q->giving);
	if (!atomic_load(&q->given)) {
		atomic_store(&q->given, 1);
		while (write(q->event, &one, sizeof one) < 0 && errno == EINTR)
			;
	}
	pthread_mutex_unlock(&q->giving);
}

static void
take_back(lbs_queue *q)
{
	uint64_t n;

	if (!atomic_load(&q->given))
		return;
	pthread_mutex_lock(&q->giving);
	if (atomic_load(&q->given)) {
		while (read(q->event, &n, sizeof n) < 0 && errno == EINTR)
			;
		atomic_store(&q->given, 0);
	}
	pthread_mutex_unlock(&q->giving);
}

void
queue_tell(lbs_queue *q)
{
	if (q->done_fn)
		return;
	atomic_store_explicit(&q->untold, 0, memory_order_relaxed);
	/* Who waits has to see, too, that the last one was told to another. */
	if (atomic_load(&q->waiting) ||
	    (atomic_load(&q->done) && !atomic_load(&q->looking)))
		give(q);
}

/* ---- completing -------------------------------------------------------- */

/* One less in flight. The queue lives on: its threads are joined before it is
 * freed. */
static void
settle(lbs_queue *q)
{
	if (atomic_fetch_sub(&q->pending, 1) > 1 ||
	    !atomic_load(&q->draining))
		return;
	pthread_mutex_lock(&q->lock);
	pthread_cond_broadcast(&q->drained);
	pthread_mutex_unlock(&q->lock);
}

void
queue_done(lbs_queue *q, struct slot *s, int result)
{
	void *user = s->request.user;

	if (q->done_fn) {
		/* Free before it is told: the callback may submit. */
		pthread_mutex_lock(&q->lock);
		s->next = q->free;
		q->free = s;
		pthread_mutex_unlock(&q->lock);
		q->done_fn(q->done_ctx, user, result);
	} else {
		s->result = result;
		s->next = atomic_load(&q->done);
		while (!atomic_compare_exchange_weak(&q->done, &s->next, s))
			;
		atomic_fetch_add_explicit(&q->untold, 1,
					  memory_order_relaxed);
	}
	settle(q);
}

/* ---- reaping ----------------------------------------------------------- */

/* Moves what is done behind what was taken before. */
static void
take_done(lbs_queue *q)
{
	struct slot *s = atomic_exchange(&q->done, NULL), *first = NULL, *next;

	for (; s; s = next) {
		next = s->next;
		s->next = first;
		first = s;
	}
	for (; first; first = next) {
		next = first->next;
		slot_put(&q->told, first);
	}
}

static unsigned
reap(lbs_queue *q, struct lbs_completion *out, unsigned max)
{
	struct slot *head = NULL, **tail = &head;
	unsigned n = 0;

	pthread_mutex_lock(&q->reaping);
	take_done(q);
	if (!q->told.head) {
		take_back(q);
		take_done(q);
	}
	while (n < max && q->told.head) {
		struct slot *s = slot_get(&q->told);

		out[n].user = s->request.user;
		out[n++].result = s->result;
		*tail = s;
		tail = &s->next;
	}
	if (n) {
		pthread_mutex_lock(&q->lock);
		*tail = q->free;
		q->free = head;
		pthread_mutex_unlock(&q->lock);
	}
	/* It stays readable as long as there is more; and who sleeps for what
	 * was just handed out must see that. */
	if (q->told.head || atomic_load(&q->waiting))
		give(q);
	pthread_mutex_unlock(&q->reaping);
	return n;
}

static uint64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Until something is done or the time is over. */
static void
look(lbs_queue *q, unsigned us)
{
	uint64_t end = now_us() + us;

	atomic_fetch_add(&q->looking, 1);
	do
		for (int i = 0; i < 64 && !atomic_load(&q->done); i++)
			turn_relax();
	while (!atomic_load(&q->done) && now_us() < end);
	atomic_fetch_sub(&q->looking, 1);
}

API int
lbs_queue_reap(lbs_queue *q, struct lbs_completion *out, unsigned max,
	       unsigned look_us)
{
	unsigned n;

	if (q->forks != store_forks())
		return LBS_EFORK;
	if (q->done_fn || (max && !out) || look_us > LOOK_US_MAX)
		return LBS_EINVAL;
	if (max > q->depth)
		max = q->depth;
	n = reap(q, out, max);
	if (n || !max || !look_us)
		return (int)n;
	look(q, look_us);
	return (int)reap(q, out, max);
}

static void
sleep_for_event(lbs_queue *q)
{
	struct pollfd event = { .fd = q->event, .events = POLLIN };

	atomic_fetch_add(&q->waiting, 1);
	/* Completed before that, and told to another: nobody will give again. */
	if (atomic_load(&q->pending))
		(void)poll(&event, 1, -1);
	atomic_fetch_sub(&q->waiting, 1);
}

API int
lbs_queue_wait(lbs_queue *q, struct lbs_completion *out, unsigned max)
{
	unsigned n;

	if (q->forks != store_forks())
		return LBS_EFORK;
	if (q->done_fn || !max || !out)
		return LBS_EINVAL;
	if (max > q->depth)
		max = q->depth;
	for (;;) {
		/* In this order: what is not pending is done. */
		unsigned pending = atomic_load(&q->pending);

		n = reap(q, out, max);
		if (n || !pending)
			return (int)n;
		if (queue_help(q))
			continue;
		look(q, WAIT_LOOK_US);
		if (!atomic_load(&q->done))
			sleep_for_event(q);
	}
}

API int
lbs_queue_drain(lbs_queue *q)
{
	if (q->forks != store_forks())
		return LBS_EFORK;
	while (queue_help(q))
		;
	queue_tell(q);
	atomic_fetch_add(&q->draining, 1);
	pthread_mutex_lock(&q->lock);
	while (atomic_load(&q->pending))
		pthread_cond_wait(&q->drained, &q->lock);
	pthread_mutex_unlock(&q->lock);
	atomic_fetch_sub(&q->draining, 1);
	return 0;
}

API int
lbs_queue_fd(lbs_queue *q)
{
	if (q->forks != store_forks())
		return LBS_EFORK;
	return q->done_fn ? LBS_EINVAL : q->event;
}
