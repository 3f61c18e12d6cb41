/*
 * queue.h - what the tests of queues share: a store, a queue, a request asked and its
 * completion waited for in every way there is.
 */
#ifndef LBS_TESTS_QUEUE_H
#define LBS_TESTS_QUEUE_H

#include <poll.h>

#include "tests/unit/store.h"

#define SIZE (24 * MIB)
#define BLOCKS (SIZE / 4096)

static lbs_queue *queue;
static uint8_t *data; /* SIZE bytes: what the disk should hold */

static inline int
queue_setup(void **state)
{
	(void)state;
	data = calloc(1, SIZE);
	return store_make(SIZE, 160 * MIB);
}

static inline int
queue_teardown(void **state)
{
	free(data);
	return store_remove(state);
}

static inline lbs_queue *
open_queue(unsigned workers, unsigned depth, unsigned flags)
{
	struct lbs_queue_options o = { .struct_size = sizeof o,
				       .flags = flags, .workers = workers,
				       .depth = depth };
	lbs_queue *q = NULL;

	assert_int_equal(lbs_queue_open(store, &o, &q), 0);
	return q;
}

static inline struct lbs_request
request(int op, const struct iovec *iov, int iov_count, uint64_t at, void *user)
{
	return (struct lbs_request){ .vdisk = disk, .op = op, .iov = iov,
				     .iov_count = iov_count,
				     .offset_bytes = at, .user = user };
}

static inline int
submit(struct lbs_request r)
{
	return lbs_queue_submit(queue, &r, 1);
}

/* Once a wake-up was lost nothing works: the other tests need not wait for theirs. */
static int stuck;

static inline int
unless_stuck(void **state)
{
	(void)state;
	return stuck ? -1 : 0;
}

/* Sleeps until the event wakes us. */
static inline void
sleep_for_event(void)
{
	struct pollfd p = { .fd = lbs_queue_fd(queue), .events = POLLIN };

	stuck = poll(&p, 1, 30000) != 1;
	assert_false(stuck);
}

static inline int
is_readable(void)
{
	struct pollfd p = { .fd = lbs_queue_fd(queue), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* The next completion, however it is waited for: by the event, looking, helping. */
static inline struct lbs_completion
next_done(int how)
{
	struct lbs_completion c;

	if (how % 3 == 0) {
		assert_int_equal(lbs_queue_wait(queue, &c, 1), 1);
		return c;
	}
	for (;;) {
		int n = lbs_queue_reap(queue, &c, 1, how % 3 == 1 ? 0 : 20);

		assert_in_range(n, 0, 1);
		if (n == 1)
			return c;
		sleep_for_event();
	}
}

/* One request and its result. */
static inline int
done(struct lbs_request r)
{
	struct lbs_completion c;

	r.user = &c;
	assert_int_equal(submit(r), 1);
	c = next_done(1);
	assert_ptr_equal(c.user, r.user);
	return c.result;
}

/* A test of a main() of queues. */
#define T(test) cmocka_unit_test_setup(test, unless_stuck)

#endif
