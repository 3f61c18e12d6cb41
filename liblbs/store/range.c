/*
 * range.c - a list is enough: it holds as many ranges as there are requests in
 * flight.
 */
#include "liblbs/store/range.h"

void
ranges_init(struct ranges *r)
{
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->left, NULL);
	r->head = NULL;
	r->tail = &r->head;
	r->waiting = 0;
}

void
ranges_destroy(struct ranges *r)
{
	pthread_cond_destroy(&r->left);
	pthread_mutex_destroy(&r->lock);
}

static int
conflict(const struct range *a, const struct range *b)
{
	return (a->exclusive || b->exclusive) && a->layer == b->layer &&
	       a->first < b->first + b->count && b->first < a->first + a->count;
}

static int
must_wait(const struct ranges *r, const struct range *range)
{
	for (const struct range *at = r->head; at != range; at = at->next)
		if (conflict(at, range))
			return 1;
	return 0;
}

void
range_enter(struct ranges *r, struct range *range)
{
	pthread_mutex_lock(&r->lock);
	range->next = NULL;
	*r->tail = range;
	r->tail = &range->next;
	while (must_wait(r, range)) {
		r->waiting++;
		pthread_cond_wait(&r->left, &r->lock);
		r->waiting--;
	}
	pthread_mutex_unlock(&r->lock);
}

void
range_leave(struct ranges *r, struct range *range)
{
	struct range **at = &r->head;

	pthread_mutex_lock(&r->lock);
	while (*at != range)
		at = &(*at)->next;
	*at = range->next;
	if (!range->next)
		r->tail = at;
	if (r->waiting)
		pthread_cond_broadcast(&r->left);
	pthread_mutex_unlock(&r->lock);
}

int
ranges_are_short(struct ranges *r, uint64_t blocks)
{
	const struct range *at;

	pthread_mutex_lock(&r->lock);
	for (at = r->head; at && !at->exclusive && at->count <= blocks;)
		at = at->next;
	pthread_mutex_unlock(&r->lock);
	return !at;
}
