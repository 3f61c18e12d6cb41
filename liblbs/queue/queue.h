/*
 * queue.h - the inside of a queue of requests, shared by queue.c (its life, what
 * comes in), worker.c (what performs it) and done.c (what goes out).
 * Must never hold a lock over a request or a callback.
 */
#ifndef LBS_QUEUE_QUEUE_H
#define LBS_QUEUE_QUEUE_H

#include <stdatomic.h>

#include "liblbs/log/turn.h"
#include "liblbs/store/internal.h"

/* A request from its submission until it is told. In one list at a time: free,
 * ready, flushes, done, or told; or held by who performs it. */
struct slot {
	struct slot *next;
	struct lbs_request request;
	int result;
	int is_written;		/* LBS_FUA: all but the flush is done */
};

/* First in, first out. */
struct slot_list {
	struct slot *head, **tail;
};

struct queue_worker {
	lbs_queue *queue;
	pthread_t thread;
	struct turn turn;	/* given when there is work */
	struct queue_worker *next; /* in idle */
};

struct lbs_queue {
	/* constant */
	lbs_store *store;
	unsigned forks;		/* as in lbs_store */
	int is_waiter;		/* LBS_QUEUE_WAITER */
	lbs_done_fn *done_fn;	/* NULL: completions are reaped */
	void *done_ctx;
	unsigned depth, worker_count;
	int event;		/* eventfd, or -1 with done_fn */
	struct slot *slots;
	struct turns turns;	/* of idle workers */
	struct queue_worker *workers;

	pthread_mutex_t lock;	/* guards all up to the next lock */
	struct slot *free;
	struct slot_list ready; /* to be performed */
	struct slot_list flushes; /* to be performed by the next flush */
	int flushing;		/* by one worker */
	struct queue_worker *idle;
	int stopping;
	pthread_cond_t drained;

	_Atomic unsigned pending; /* submitted, and not yet completed (with a
				   * callback: told) */
	_Atomic int draining;	/* how many wait for drained */
	_Atomic int waiting;	/* how many sleep in lbs_queue_wait */
	_Atomic(struct slot *) done; /* completed, the last one first */
	_Atomic unsigned untold; /* of these, since the event was last given */
	_Atomic int looking;	/* so many look at done: no event is needed */

	pthread_mutex_t giving;	/* a leaf: guards the event */
	_Atomic int given;	/* it is readable; written under giving */

	pthread_mutex_t reaping; /* guards told; taken before lock */
	struct slot_list told;	/* taken off done, and not yet handed out */
};

static inline void
slot_list_init(struct slot_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

static inline void
slot_put(struct slot_list *l, struct slot *s)
{
	s->next = NULL;
	*l->tail = s;
	l->tail = &s->next;
}

static inline struct slot *
slot_get(struct slot_list *l)
{
	struct slot *s = l->head;

	if (s && !(l->head = s->next))
		l->tail = &l->head;
	return s;
}

/* It is the first again. */
static inline void
slot_put_back(struct slot_list *l, struct slot *s)
{
	if (!(s->next = l->head))
		l->tail = &s->next;
	l->head = s;
}

/* ---- worker.c ---- */

/* Starts a thread; 0 or LBS_ENOMEM. */
int queue_worker_start(struct queue_worker *w);
/* Performs something that nobody performs yet: 1, or 0 if there is nothing. For
 * a caller that waits anyway. */
int queue_help(lbs_queue *q);
/* Takes an idle worker to be woken, if there is work for one. lock is held. */
struct queue_worker *queue_wake_whom(lbs_queue *q);
/* Wakes it; no lock is held. NULL is allowed. */
void queue_wake(struct queue_worker *w);

/* ---- done.c ---- */

/* Completes a request. With a callback it is told at once, else by the next
 * queue_tell; the slot is the queue's again. */
void queue_done(lbs_queue *q, struct slot *s, int result);
/* Makes the event readable if there is something to reap and nobody looks. */
void queue_tell(lbs_queue *q);

#endif
