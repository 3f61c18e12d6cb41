/*
 * queue_test - queues of requests: what is submitted is done and told once, a flush
 * covers what had completed, the event wakes who sleeps, closing drains, and what
 * was told survives the death of the process.
 */
#include "tests/unit/store.h"

#include "liblbs/store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>

#define SIZE (24 * MIB)
#define BLOCKS (SIZE / 4096)

static lbs_queue *queue;
static uint8_t *data; /* SIZE bytes: what the disk should hold */

static int
setup(void **state)
{
	(void)state;
	data = calloc(1, SIZE);
	return store_make(SIZE, 160 * MIB);
}

static int
teardown(void **state)
{
	free(data);
	return store_remove(state);
}

static lbs_queue *
open_queue(unsigned workers, unsigned depth, unsigned flags)
{
	struct lbs_queue_options o = { .struct_size = sizeof o,
				       .flags = flags, .workers = workers,
				       .depth = depth };
	lbs_queue *q = NULL;

	assert_int_equal(lbs_queue_open(store, &o, &q), 0);
	return q;
}

static struct lbs_request
request(int op, const struct iovec *iov, int iov_count, uint64_t at, void *user)
{
	return (struct lbs_request){ .vdisk = disk, .op = op, .iov = iov,
				     .iov_count = iov_count,
				     .offset_bytes = at, .user = user };
}

static int
submit(struct lbs_request r)
{
	return lbs_queue_submit(queue, &r, 1);
}

/* Once a wake-up was lost nothing works: the other tests need not wait for theirs. */
static int stuck;

static int
unless_stuck(void **state)
{
	(void)state;
	return stuck ? -1 : 0;
}

/* Sleeps until the event wakes us. */
static void
sleep_for_event(void)
{
	struct pollfd p = { .fd = lbs_queue_fd(queue), .events = POLLIN };

	stuck = poll(&p, 1, 30000) != 1;
	assert_false(stuck);
}

static int
is_readable(void)
{
	struct pollfd p = { .fd = lbs_queue_fd(queue), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* The next completion, however it is waited for: by the event, looking, helping. */
static struct lbs_completion
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
static int
done(struct lbs_request r)
{
	struct lbs_completion c;

	r.user = &c;
	assert_int_equal(submit(r), 1);
	c = next_done(1);
	assert_ptr_equal(c.user, r.user);
	return c.result;
}

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

/* ---- flushes -------------------------------------------------------------------- */

static void
a_flush_covers_what_had_completed(void **state)
{
	struct iovec iov = { data, 4096 };
	struct lbs_request r;
	uint64_t last;

	(void)state;
	queue = open_queue(2, 64, 0);
	for (int i = 0; i < 40; i++) {
		for (int k = 0; k < 5; k++)
			assert_int_equal(done(request(LBS_OP_WRITE, &iov, 1,
						      draw(BLOCKS) * 4096,
						      NULL)), 0);
		last = store_stat(LBS_STAT_LAST_RECORD);
		switch (i % 3) {
		case 0:
			r = request(LBS_OP_FLUSH, NULL, 0, 0, NULL);
			break;
		case 1:
			r = request(LBS_OP_WRITE, &iov, 1, 8192, NULL);
			r.flags = LBS_FUA;
			last++;
			break;
		default:
			r = request(LBS_OP_DISCARD, NULL, 0, 8192, NULL);
			r.len_bytes = 4096;
			r.flags = LBS_FUA;
			last++;
		}
		assert_int_equal(done(r), 0);
		assert_true(store_stat(LBS_STAT_DURABLE_RECORD) >= last);
	}
	assert_int_equal(lbs_queue_close(queue), 0);
}

/* One that comes while another runs is not covered by that one, whose cut was
 * before it: that one is held up behind its cut, in the metadata's lock. */
static void
a_flush_beside_another_covers_its_own(void **state)
{
	struct iovec iov = { data, 4096 };
	int first, second;

	(void)state;
	queue = open_queue(2, 16, 0);
	assert_int_equal(done(request(LBS_OP_WRITE, &iov, 1, 0, NULL)), 0);
	for (int i = 0; i < 50; i++) {
		struct log_position last;
		uint64_t durable;
		void *user;
		int leads = 0;

		assert_int_equal(lbs_vdisk_writev(disk, &iov, 1, 0, 0), 0);
		store_db_lock(store);
		assert_int_equal(submit(request(LBS_OP_FLUSH, NULL, 0, 0,
						&first)), 1);
		while (!leads) {
			usleep(100);
			pthread_mutex_lock(&store->flush.lock);
			leads = store->flush.leading;
			pthread_mutex_unlock(&store->flush.lock);
		}
		/* The other thread writes. */
		assert_int_equal(submit(request(LBS_OP_WRITE, &iov, 1, 4096,
						&iov)), 1);
		do {
			user = next_done(2).user;
		} while (user != &iov);
		assert_int_equal(submit(request(LBS_OP_FLUSH, NULL, 0, 0,
						&second)), 1);
		store_db_unlock(store);
		do {
			user = next_done(2).user;
		} while (user != &second);
		durable = atomic_load(&store->durable_recno);
		map_position(store->map, &last);
		assert_true(durable >= last.recno);
	}
	assert_int_equal(lbs_queue_close(queue), 0);
}

static void
flushes_that_wait_together_share_a_sync(void **state)
{
	struct iovec iov = { data, 4096 };
	struct lbs_request r[100];
	uint64_t flushes = store_stat(LBS_STAT_FLUSH_OPS), commits;

	(void)state;
	queue = open_queue(2, 128, 0);
	commits = store_stat(LBS_STAT_META_ANCHORS);
	for (int i = 0; i < 100; i++) {
		r[i] = request(i % 2 ? LBS_OP_FLUSH : LBS_OP_WRITE, &iov, 1,
			       (uint64_t)i * 4096, NULL);
		r[i].flags = i % 2 ? 0 : LBS_FUA;
	}
	assert_int_equal(lbs_queue_submit(queue, r, 100), 100);
	for (int i = 0; i < 100; i++)
		assert_int_equal(next_done(i).result, 0);
	assert_int_equal(store_stat(LBS_STAT_FLUSH_OPS) - flushes, 50);
	/* Alone they would have been a hundred. */
	assert_true(store_stat(LBS_STAT_META_ANCHORS) - commits <= 60);
	assert_int_equal(lbs_queue_close(queue), 0);
}

/* ---- the event ------------------------------------------------------------------ */

/* What the kernel counts for it: how often it was written since it was read. */
static unsigned
event_count(void)
{
	char name[64], line[128];
	unsigned n = 99;
	FILE *f;

	snprintf(name, sizeof name, "/proc/self/fdinfo/%d",
		 lbs_queue_fd(queue));
	f = fopen(name, "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "eventfd-count: %x", &n) == 1)
			break;
	fclose(f);
	return n;
}

static void
the_event_is_readable_until_all_was_reaped(void **state)
{
	struct lbs_completion c[10];
	struct lbs_request r[10];

	(void)state;
	queue = open_queue(2, 10, 0);
	assert_false(is_readable());
	for (int i = 0; i < 10; i++)
		r[i] = request(LBS_OP_READ, NULL, 0, 0, NULL);
	for (int round = 0; round < 20; round++) {
		assert_int_equal(lbs_queue_submit(queue, r, 10), 10);
		assert_int_equal(lbs_queue_drain(queue), 0);
		for (int i = 0; i < 10000 && !is_readable(); i++)
			usleep(1000);
		assert_true(is_readable());
		assert_int_equal(event_count(), 1);
		assert_int_equal(lbs_queue_reap(queue, c, 4, 0), 4);
		assert_true(is_readable());
		assert_int_equal(lbs_queue_reap(queue, c, 0, 0), 0);
		assert_true(is_readable());
		assert_int_equal(lbs_queue_reap(queue, c, 10, 0), 6);
		/* At most once more, without cause. */
		(void)!lbs_queue_reap(queue, c, 10, 0);
		usleep(2000);
		assert_int_equal(lbs_queue_reap(queue, c, 10, 0), 0);
		assert_false(is_readable());
	}
	assert_true(fcntl(lbs_queue_fd(queue), F_GETFD) & FD_CLOEXEC);
	assert_int_equal(lbs_queue_close(queue), 0);
}

/* An event loop that only ever sleeps in poll hears of every completion. */
static void
no_wake_up_is_lost(void **state)
{
	struct iovec iov = { data, 4096 };
	struct lbs_completion c[3];
	int flying = 0, left = 20000;

	(void)state;
	queue = open_queue(3, 16, 0);
	while (left || flying) {
		int n = 0;

		/* Reads of nothing: what is in flight has no memory in common. */
		while (left && flying < (int)(1 + draw(16)) &&
		       submit(draw(2) ? request(LBS_OP_READ, NULL, 0, 0, NULL)
				      : request(LBS_OP_WRITE, &iov, 1,
						draw(64) * 4096, NULL)) == 1) {
			flying++;
			left--;
		}
		sleep_for_event();
		n = lbs_queue_reap(queue, c, 3, 0);
		assert_in_range(n, 0, 3);
		flying -= n;
	}
	assert_int_equal(lbs_queue_close(queue), 0);
}

/* A lone small write needs no thread: it is done when submit returns. */
static void
a_lone_write_is_done_at_once(void **state)
{
	struct iovec iov = { data, 4096 };
	struct lbs_completion c;
	int at_once = 0;

	(void)state;
	queue = open_queue(2, 16, 0);
	for (int i = 0; i < 200; i++) {
		struct lbs_request r = request(LBS_OP_WRITE, &iov, 1,
					       draw(BLOCKS) * 4096, &c);

		assert_int_equal(submit(r), 1);
		at_once += is_readable();
		c = next_done(1);
		assert_int_equal(c.result, 0);
	}
	assert_true(at_once > 100);
	assert_int_equal(lbs_queue_close(queue), 0);
}

/* ---- callbacks ------------------------------------------------------------------ */

static _Atomic int told, bad, cancelled;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static lbs_queue *
open_calling(unsigned workers, lbs_done_fn *fn)
{
	struct lbs_queue_options o = { .struct_size = sizeof o,
				       .workers = workers, .depth = 64,
				       .done = fn, .done_ctx = &told };
	lbs_queue *q = NULL;

	told = bad = cancelled = 0;
	assert_int_equal(lbs_queue_open(store, &o, &q), 0);
	return q;
}

/* Submits its successor, until the chain is at its end. */
static void
go_on(void *ctx, void *user, int result)
{
	uintptr_t left = (uintptr_t)user;
	sigset_t blocked;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	bad += result != 0 || ctx != &told || !sigismember(&blocked, SIGUSR1) ||
	       !sigismember(&blocked, SIGTERM);
	told++;
	if (left > 1) {
		struct lbs_request r = request(LBS_OP_READ, NULL, 0, 0,
					       (void *)(left - 1));

		bad += lbs_queue_submit(queue, &r, 1) != 1;
	}
}

static void
a_callback_is_told_each_and_may_submit(void **state)
{
	struct lbs_completion c;

	(void)state;
	queue = open_calling(3, go_on);
	for (int i = 0; i < 4; i++)
		assert_int_equal(submit(request(LBS_OP_READ, NULL, 0, 0,
						(void *)(uintptr_t)50)), 1);
	assert_int_equal(lbs_queue_fd(queue), LBS_EINVAL);
	assert_int_equal(lbs_queue_reap(queue, &c, 1, 0), LBS_EINVAL);
	assert_int_equal(lbs_queue_wait(queue, &c, 1), LBS_EINVAL);
	/* Draining waits for the whole chains: each is in flight until its
	 * callback has returned. But it helps, so signals may be open here. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	assert_int_equal(lbs_queue_drain(queue), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	assert_int_equal(told, 200);
	assert_int_equal(bad, 0);
	assert_int_equal(lbs_queue_close(queue), 0);
}

static _Atomic int begun;

static void
be_slow(void *ctx, void *user, int result)
{
	(void)ctx;
	(void)user;
	(void)result;
	begun = 1;
	usleep(100000);
	told++;
}

static void
a_request_is_in_flight_until_its_callback_returns(void **state)
{
	(void)state;
	queue = open_calling(1, be_slow);
	for (int i = 1; i <= 3; i++) {
		begun = 0;
		assert_int_equal(submit(request(LBS_OP_FLUSH, NULL, 0, 0,
						NULL)), 1);
		while (!begun)
			usleep(1000);
		if (i < 3)
			assert_int_equal(lbs_queue_drain(queue), 0);
		else
			assert_int_equal(lbs_queue_close(queue), 0);
		assert_int_equal(told, i);
	}
}

static void
pass_gate(void *ctx, void *user, int result)
{
	(void)ctx;
	(void)user;
	cancelled += result == LBS_ECANCELLED;
	told++;
	if (result == 0) {
		pthread_mutex_lock(&gate);
		pthread_mutex_unlock(&gate);
	}
}

static void
what_has_not_begun_is_cancelled(void **state)
{
	struct iovec iov = { data, 4096 };
	uint8_t mark[4096];
	int mine, other;

	(void)state;
	memset(mark, 77, sizeof mark);
	assert_int_equal(lbs_vdisk_write(disk, mark, sizeof mark, 0, 0), 0);
	memset(data, 78, 4096);
	queue = open_calling(1, pass_gate);
	pthread_mutex_lock(&gate);
	assert_int_equal(submit(request(LBS_OP_READ, &iov, 0, 0, NULL)), 1);
	while (!told)
		usleep(1000);
	/* The one thread is at the gate. */
	for (int i = 0; i < 5; i++)
		assert_int_equal(submit(request(LBS_OP_WRITE, &iov, 1, 0,
						&mine)), 1);
	assert_int_equal(submit(request(LBS_OP_FLUSH, NULL, 0, 0, &mine)), 1);
	assert_int_equal(submit(request(LBS_OP_READ, &iov, 0, 0, &other)), 1);
	assert_int_equal(lbs_queue_cancel(queue, &told), 0);
	assert_int_equal(lbs_queue_cancel(queue, &mine), 6);
	assert_int_equal(cancelled, 6);
	assert_int_equal(lbs_queue_cancel(queue, &mine), 0);
	pthread_mutex_unlock(&gate);
	assert_int_equal(lbs_queue_close(queue), 0);
	assert_int_equal(told, 8);
	assert_int_equal(cancelled, 6);
	assert_int_equal(lbs_vdisk_read(disk, data, 4096, 0), 0);
	assert_memory_equal(data, mark, sizeof mark);
}

/* ---- the end -------------------------------------------------------------------- */

static void
closing_does_what_was_submitted(void **state)
{
	struct lbs_request r[64];
	struct iovec iov[64];
	uint8_t *blocks = malloc(64 * 4096), block[4096];

	(void)state;
	for (int round = 0; round < 10; round++) {
		draw_bytes(blocks, 64 * 4096);
		queue = open_queue(2, 64, 0);
		for (int i = 0; i < 64; i++) {
			iov[i] = (struct iovec){ blocks + i * 4096, 4096 };
			r[i] = request(LBS_OP_WRITE, &iov[i], 1,
				       (uint64_t)i * 4096, NULL);
		}
		assert_int_equal(lbs_queue_submit(queue, r, 64), 64);
		assert_int_equal(lbs_queue_close(queue), 0);
		for (int i = 0; i < 64; i++) {
			assert_int_equal(lbs_vdisk_read(disk, block, 4096,
							(uint64_t)i * 4096), 0);
			assert_memory_equal(block, blocks + i * 4096, 4096);
		}
	}
	free(blocks);
}

static void
a_child_is_refused(void **state)
{
	struct iovec iov = { data, 4096 };
	struct lbs_request r = request(LBS_OP_WRITE, &iov, 1, 0, NULL);
	struct lbs_completion c;
	lbs_queue *other;
	pid_t pid;

	(void)state;
	queue = open_queue(2, 16, 0);
	pid = fork();
	if (pid == 0)
		store_child_says(lbs_queue_submit(queue, &r, 1) == LBS_EFORK &&
				 lbs_queue_reap(queue, &c, 1, 0) == LBS_EFORK &&
				 lbs_queue_wait(queue, &c, 1) == LBS_EFORK &&
				 lbs_queue_drain(queue) == LBS_EFORK &&
				 lbs_queue_cancel(queue, NULL) == LBS_EFORK &&
				 lbs_queue_fd(queue) == LBS_EFORK &&
				 lbs_queue_open(store, NULL, &other) ==
					 LBS_EFORK &&
				 lbs_queue_close(queue) == LBS_EFORK);
	assert_true(store_child_said(pid));
	assert_int_equal(done(r), 0);
	assert_int_equal(lbs_queue_close(queue), 0);
}

/* ---- many threads --------------------------------------------------------------- */

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

/* ---- death ---------------------------------------------------------------------- */

#define DEATH_BLOCKS 256

/* What a process that is killed was told, block by block: the number of the last
 * write that was submitted, and of the last that was told. */
struct ledger {
	_Atomic uint32_t submitted[DEATH_BLOCKS], told[DEATH_BLOCKS];
	_Atomic uint32_t total;
};

static void
live_until_killed(struct ledger *l)
{
	static uint8_t buf[16][4096];
	struct iovec iov[16];
	struct lbs_completion c[16];
	uint32_t block_of[16], number[16], number_next = 1;
	int busy[16] = { 0 };

	if (store_open(0))
		_exit(1);
	queue = open_queue(2, 16, 0);
	for (;;) {
		int n;

		for (int i = 0; i < 16; i++) {
			uint32_t b = (uint32_t)(draw(DEATH_BLOCKS / 16) * 16) +
				     (uint32_t)i; /* never two of a block */
			struct lbs_request r;

			if (busy[i])
				continue;
			block_of[i] = b;
			number[i] = number_next++;
			for (int k = 0; k < 4096; k += 4)
				memcpy(&buf[i][k], &number[i], 4);
			iov[i] = (struct iovec){ buf[i], 4096 };
			r = request(LBS_OP_WRITE, &iov[i], 1,
				    (uint64_t)b * 4096, &busy[i]);
			l->submitted[b] = number[i];
			busy[i] = 1;
			if (submit(r) != 1)
				_exit(2);
		}
		n = lbs_queue_wait(queue, c, 16);
		for (int k = 0; k < n; k++) {
			int i = (int)((int *)c[k].user - busy);

			if (c[k].result)
				_exit(3);
			busy[i] = 0;
			l->told[block_of[i]] = number[i];
			l->total++;
		}
	}
}

static void
death_loses_nothing_told(void **state)
{
	struct ledger *l = mmap(NULL, sizeof *l, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint32_t block[1024];
	int status;

	(void)state;
	assert_true(l != MAP_FAILED);
	for (int round = 0; round < 5; round++) {
		pid_t pid;

		assert_int_equal(lbs_vdisk_discard(disk, SIZE, 0, 0), 0);
		assert_int_equal(store_close(), 0);
		memset(l, 0, sizeof *l);
		pid = fork();
		if (pid == 0)
			live_until_killed(l);
		for (uint64_t most = 200 + draw(3000), i = 0;
		     l->total < most && i < 30000; i++)
			usleep(1000);
		assert_true(l->total > 0);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(store_open(0), 0);
		for (uint32_t b = 0; b < DEATH_BLOCKS; b++) {
			assert_int_equal(lbs_vdisk_read(disk, block, 4096,
							(uint64_t)b * 4096), 0);
			/* One in flight a block: what was told, or what came
			 * after. */
			if (block[0] != l->told[b])
				assert_int_equal(block[0], l->submitted[b]);
			for (int k = 1; k < 1024; k++)
				assert_int_equal(block[k], block[0]);
		}
	}
	munmap(l, sizeof *l);
}

#define T(test) cmocka_unit_test_setup(test, unless_stuck)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(each_request_is_done_and_told_once),
		T(no_more_than_depth_is_taken),
		T(what_is_wrong_is_told),
		T(a_store_for_reading_takes_no_writes),
		T(a_flush_covers_what_had_completed),
		T(a_flush_beside_another_covers_its_own),
		T(flushes_that_wait_together_share_a_sync),
		T(the_event_is_readable_until_all_was_reaped),
		T(no_wake_up_is_lost),
		T(a_lone_write_is_done_at_once),
		T(a_callback_is_told_each_and_may_submit),
		T(a_request_is_in_flight_until_its_callback_returns),
		T(what_has_not_begun_is_cancelled),
		T(closing_does_what_was_submitted),
		T(a_child_is_refused),
		T(many_threads_share_a_queue),
		T(death_loses_nothing_told),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, setup, teardown);
}
