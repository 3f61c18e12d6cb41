/*
 * queue_event_test - how completions are told: the event wakes who sleeps, callbacks
 * are called in the library's threads, what has not begun can be cancelled.
 */
#include "tests/unit/queue.h"

#include <fcntl.h>
#include <pthread.h>

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

#define THREADS 2

static void
the_event_is_readable_until_all_was_reaped(void **state)
{
	struct lbs_completion c[10];
	struct lbs_request r[10];

	(void)state;
	queue = open_queue(THREADS, 10, 0);
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
		/* Once more without cause at most, of each who had seen one done
		 * before we took it. */
		for (int looks = 0; is_readable(); looks++) {
			assert_in_range(looks, 0, THREADS);
			assert_int_equal(lbs_queue_reap(queue, c, 10, 0), 0);
		}
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
		/* Who finds nothing takes the event back, while others are done. */
		for (uint64_t looks = draw(64); looks; looks--)
			assert_int_equal(lbs_queue_reap(queue, c, 0, 0), 0);
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

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(the_event_is_readable_until_all_was_reaped),
		T(no_wake_up_is_lost),
		T(a_lone_write_is_done_at_once),
		T(a_callback_is_told_each_and_may_submit),
		T(a_request_is_in_flight_until_its_callback_returns),
		T(what_has_not_begun_is_cancelled),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, queue_setup, queue_teardown);
}
