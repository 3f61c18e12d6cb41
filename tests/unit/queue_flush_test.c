/*
 * queue_flush_test - flushes through a queue: each covers what had completed, also
 * beside another, and those that wait together share a sync.
 */
#include "tests/unit/queue.h"

#include "liblbs/store/internal.h"

#include <pthread.h>

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

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(a_flush_covers_what_had_completed),
		T(a_flush_beside_another_covers_its_own),
		T(flushes_that_wait_together_share_a_sync),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, queue_setup, queue_teardown);
}
