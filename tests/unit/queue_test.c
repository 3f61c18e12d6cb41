/*
 * queue_test - queues of requests: what is submitted is done and told once, no more than
 * depth is taken, what is wrong is told; by one thread and by many.
 */
#include "tests/unit/queue.h"

#include <pthread.h>

/* ---- what is submitted is done ------------------------------------------------ */

#define DEPTH 24
#define LANE_BYTES (SIZE / DEPTH)
#define PIECE_MAX 40000

/* One request in flight; each has a lane of the disk to itself. */
struct lane {
	struct lbs_request r;
	struct iovec iov[3];
	uint8_t buf[PIECE_MAX];
	uint64_t base;
	size_t len;
	int is_busy;
};

static void
begin(struct lane *l)
{
	size_t len = (size_t)draw_between(1, PIECE_MAX);
	uint64_t at = draw(LANE_BYTES - len), first, last;
	size_t a = (size_t)draw(len + 1), b = (size_t)draw(len - a + 1);

	at += l->base;
	if (draw(3) == 0) { /* whole blocks are another path */
		at -= at % 4096;
		len = 4096;
		a = b = 0;
	}
	l->iov[0] = (struct iovec){ l->buf, a };
	l->iov[1] = (struct iovec){ l->buf + a, b };
	l->iov[2] = (struct iovec){ l->buf + a + b, len - a - b };
	l->len = len;
	l->r = request(LBS_OP_READ, l->iov, 3, at, l);
	switch (draw(8)) {
	case 0:
		l->r.op = LBS_OP_FLUSH;
		return;
	case 1:
		l->r.op = LBS_OP_DISCARD;
		l->r.len_bytes = len;
		first = (at + 4095) / 4096 * 4096;
		last = at + len == SIZE ? SIZE : (at + len) / 4096 * 4096;
		if (first < last)
			memset(data + first, 0, last - first);
		return;
	case 2:
		l->r.op = LBS_OP_WRITE_ZEROES;
		l->r.len_bytes = len;
		l->r.flags = draw(4) ? 0 : LBS_FUA;
		memset(data + at, 0, len);
		return;
	case 3:
	case 4:
	case 5:
		l->r.op = LBS_OP_WRITE;
		l->r.flags = draw(16) ? 0 : LBS_FUA;
		draw_bytes(l->buf, len);
		memcpy(data + at, l->buf, len);
		return;
	}
	memset(l->buf, 0xa5, len);
}

static void
end(struct lane *l)
{
	l->is_busy = 0;
	if (l->r.op == LBS_OP_READ)
		assert_memory_equal(l->buf, data + l->r.offset_bytes, l->len);
}

static void
many_requests(unsigned workers, unsigned flags)
{
	struct lane *lanes = calloc(DEPTH, sizeof *lanes);
	int flying = 0;

	queue = open_queue(workers, DEPTH, flags);
	for (int i = 0; i < DEPTH; i++)
		lanes[i].base = (uint64_t)i * LANE_BYTES;
	for (int i = 0; i < 2000; i++) {
		struct lane *l = &lanes[draw(DEPTH)];
		struct lbs_completion c;

		while (l->is_busy) {
			c = next_done(flags ? 0 : i);
			assert_int_equal(c.result, 0);
			end(c.user);
			flying--;
		}
		begin(l);
		l->is_busy = 1;
		assert_int_equal(submit(l->r), 1);
		flying++;
	}
	for (int i = 0; flying; i++, flying--) {
		struct lbs_completion c = next_done(flags ? 0 : i);

		assert_int_equal(c.result, 0);
		end(c.user);
	}
	assert_int_equal(lbs_queue_close(queue), 0);
	free(lanes);
}

static void
each_request_is_done_and_told_once(void **state)
{
	(void)state;
	many_requests(1, 0);
	many_requests(3, 0);
	many_requests(2, LBS_QUEUE_WAITER);
}

static void
no_more_than_depth_is_taken(void **state)
{
	struct lbs_completion c[16];
	struct lbs_request r[12];
	unsigned seen = 0;
	int n = 0;

	(void)state;
	queue = open_queue(1, 8, 0);
	for (int i = 0; i < 12; i++)
		r[i] = request(LBS_OP_READ, NULL, 0, 0, &r[i]);
	assert_int_equal(lbs_queue_submit(queue, r, 12), 8);
	assert_int_equal(lbs_queue_submit(queue, r + 8, 4), 0);
	assert_int_equal(lbs_queue_drain(queue), 0);
	/* Done, but not told: there is still no room. */
	assert_int_equal(lbs_queue_submit(queue, r + 8, 4), 0);
	while (n < 3)
		n += lbs_queue_reap(queue, c + n, (unsigned)(3 - n), 0);
	assert_int_equal(lbs_queue_submit(queue, r + 8, 4), 3);
	while (n < 11) {
		int got = lbs_queue_wait(queue, c + n, 16);

		assert_true(got > 0);
		n += got;
	}
	/* Each once; in no order, for who drains performs beside the thread. */
	for (int i = 0; i < 11; i++)
		seen |= 1u << ((struct lbs_request *)c[i].user - r);
	assert_int_equal(seen, 0x7ff);
	assert_int_equal(lbs_queue_wait(queue, c, 16), 0);
	assert_int_equal(lbs_queue_close(queue), 0);
}

/* ---- errors -------------------------------------------------------------------- */

static void
what_is_wrong_is_told(void **state)
{
	struct iovec iov = { data, 4096 };
	struct lbs_queue_options o = { .struct_size = sizeof o };
	struct lbs_completion c;
	struct lbs_request r;
	lbs_queue *q;

	(void)state;
	queue = open_queue(0, 0, 0);
	assert_int_equal(done(request(0, &iov, 1, 0, NULL)), LBS_EINVAL);
	assert_int_equal(done(request(6, &iov, 1, 0, NULL)), LBS_EINVAL);
	assert_int_equal(done(request(LBS_OP_READ, &iov, 1, SIZE - 4095, NULL)),
			 LBS_EINVAL);
	assert_int_equal(done(request(LBS_OP_WRITE, &iov, 1, SIZE, NULL)),
			 LBS_EINVAL);
	assert_int_equal(done(request(LBS_OP_WRITE, NULL, 1, 0, NULL)),
			 LBS_EINVAL);
	assert_int_equal(done(request(LBS_OP_WRITE, &iov, -1, 0, NULL)),
			 LBS_EINVAL);
	r = request(LBS_OP_READ, &iov, 1, 0, NULL);
	r.flags = LBS_FUA;
	assert_int_equal(done(r), LBS_EINVAL);
	r = request(LBS_OP_WRITE, &iov, 1, 0, NULL);
	r.flags = 8;
	assert_int_equal(done(r), LBS_EINVAL);
	r.flags = 0;
	r.vdisk = NULL;
	assert_int_equal(done(r), LBS_EINVAL);
	assert_int_equal(lbs_queue_reap(queue, NULL, 1, 0), LBS_EINVAL);
	assert_int_equal(lbs_queue_reap(queue, &c, 1, 1000001), LBS_EINVAL);
	assert_int_equal(lbs_queue_submit(queue, NULL, 1), LBS_EINVAL);
	assert_int_equal(lbs_queue_close(queue), 0);
	assert_int_equal(lbs_queue_close(NULL), 0);
	o.workers = 65;
	assert_int_equal(lbs_queue_open(store, &o, &q), LBS_EINVAL);
	o.workers = 0;
	o.depth = 65537;
	assert_int_equal(lbs_queue_open(store, &o, &q), LBS_EINVAL);
	o.depth = 0;
	o.flags = 2;
	assert_int_equal(lbs_queue_open(store, &o, &q), LBS_EINVAL);
	o.flags = 0;
	o.struct_size--;
	assert_int_equal(lbs_queue_open(store, &o, &q), LBS_EINVAL);
}

static void
a_store_for_reading_takes_no_writes(void **state)
{
	struct iovec iov = { data, 4096 };
	uint8_t block[4096], *was = data;

	(void)state;
	assert_int_equal(lbs_vdisk_read(disk, block, sizeof block, 4096), 0);
	assert_int_equal(store_close(), 0);
	assert_int_equal(store_open(LBS_RDONLY), 0);
	queue = open_queue(2, 16, 0);
	data = calloc(1, SIZE);
	iov.iov_base = data;
	assert_int_equal(done(request(LBS_OP_WRITE, &iov, 1, 4096, NULL)),
			 LBS_EROFS);
	assert_int_equal(done(request(LBS_OP_FLUSH, NULL, 0, 0, NULL)),
			 LBS_EROFS);
	assert_int_equal(done(request(LBS_OP_READ, &iov, 1, 4096, NULL)), 0);
	assert_memory_equal(data, block, sizeof block);
	assert_int_equal(lbs_queue_close(queue), 0);
	free(data);
	data = was;
	assert_int_equal(store_close(), 0);
	assert_int_equal(store_open(0), 0);
}

/* ---- many threads --------------------------------------------------------------- */

static _Atomic int told, bad;

#define SUBMITTERS 4
#define EACH 600

static void *
submit_many(void *arg)
{
	int me = *(int *)arg;
	static uint8_t zeroes[4096];
	static struct iovec iov = { zeroes, sizeof zeroes };

	for (int i = 0; i < EACH;) {
		struct lbs_request r =
			request(i % 7 == 3 ? LBS_OP_FLUSH : LBS_OP_WRITE, &iov,
				1, (uint64_t)(me * EACH + i) * 4096, NULL);
		int n = lbs_queue_submit(queue, &r, 1);

		if (n < 0)
			bad++;
		if (n == 1)
			i++;
		else
			sched_yield();
	}
	return NULL;
}

static void *
reap_many(void *arg)
{
	struct lbs_completion c[8];

	(void)arg;
	while (told < SUBMITTERS * EACH) {
		int n = lbs_queue_reap(queue, c, 8, 100);

		for (int i = 0; i < n; i++)
			bad += c[i].result != 0;
		told += n;
	}
	return NULL;
}

/* With others reaping beside it, too. */
static void *
wait_many(void *arg)
{
	struct lbs_completion c[8];
	int n;

	(void)arg;
	while (told < SUBMITTERS * EACH)
		while ((n = lbs_queue_wait(queue, c, 8)) > 0) {
			for (int i = 0; i < n; i++)
				bad += c[i].result != 0;
			told += n;
		}
	return NULL;
}

static void
many_threads_share_a_queue(void **state)
{
	pthread_t t[SUBMITTERS + 4];
	int me[SUBMITTERS];

	(void)state;
	told = bad = 0;
	queue = open_queue(3, 32, 0);
	for (int i = 0; i < SUBMITTERS; i++) {
		me[i] = i;
		pthread_create(&t[i], NULL, submit_many, &me[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_create(&t[SUBMITTERS + i], NULL,
			       i % 2 ? wait_many : reap_many, NULL);
	for (int i = 0; i < SUBMITTERS + 4; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(told, SUBMITTERS * EACH);
	assert_int_equal(bad, 0);
	assert_int_equal(lbs_queue_close(queue), 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(each_request_is_done_and_told_once),
		T(no_more_than_depth_is_taken),
		T(what_is_wrong_is_told),
		T(a_store_for_reading_takes_no_writes),
		T(many_threads_share_a_queue),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, queue_setup, queue_teardown);
}
