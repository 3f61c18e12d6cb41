/*
 * queue_short_test - what is short and waits for nothing is done by who submits it: a
 * lone request, half of several. What would wait for the card, for a page of the map,
 * for another's write, or asks the card for what comes next, is not: submitting
 * returns while the card still thinks.
 */
#include "tests/unit/store.h"

#include "liblbs/medium/medium.h"
#include "liblbs/store/env.h"
#include "liblbs/store/internal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>

#define SIZE (24 * MIB)
#define BLOCKS (SIZE / 4096)

/* ---- a card that counts who comes, and can be slow ------------------------------ */

static struct slow_card {
	struct medium base;
	struct medium *real;
	_Atomic int is_cold;	/* it would have to wait for each read */
	_Atomic int now, waits;	/* reads: that were not to wait, that may */
	pthread_mutex_t gate;	/* reads that may wait do so here */
} card;

/* This thread is in lbs_queue_submit. */
static _Thread_local int submitting;
/* Calls that may wait, made there. */
static _Atomic int held_up;

static struct medium *
real(struct medium *m)
{
	return ((struct slow_card *)m)->real;
}

static int
slow_open(struct medium *m, uint32_t file, int flags)
{
	held_up += submitting;
	return real(m)->ops->open(real(m), file, flags);
}

static int
slow_size(struct medium *m, uint32_t file, uint64_t *size)
{
	return real(m)->ops->size(real(m), file, size);
}

static ssize_t
slow_pread(struct medium *m, uint32_t file, void *p, size_t len, uint64_t at)
{
	held_up += submitting;
	card.waits++;
	if (!submitting) {
		pthread_mutex_lock(&card.gate);
		pthread_mutex_unlock(&card.gate);
	}
	return real(m)->ops->pread(real(m), file, p, len, at);
}

static ssize_t
slow_pread_now(struct medium *m, uint32_t file, void *p, size_t len, uint64_t at)
{
	ssize_t n = -EAGAIN;

	card.now++;
	/* Bytes that are not the last word. */
	if (card.is_cold)
		memset(p, 0x5a, len);
	else
		n = real(m)->ops->pread(real(m), file, p, len, at);
	return n;
}

static int
slow_pwritev(struct medium *m, uint32_t file, const struct iovec *iov, int n,
	     uint64_t at)
{
	return real(m)->ops->pwritev(real(m), file, iov, n, at);
}

static void
slow_prefetch(struct medium *m, uint32_t file, uint64_t at, size_t len)
{
	held_up += submitting;
	real(m)->ops->prefetch(real(m), file, at, len);
}

static int
slow_sync(struct medium *m, uint32_t file)
{
	held_up += submitting;
	return real(m)->ops->sync(real(m), file);
}

static int
slow_sync_dir(struct medium *m)
{
	return real(m)->ops->sync_dir(real(m));
}

static int
slow_lock(struct medium *m)
{
	return real(m)->ops->lock(real(m));
}

static const struct medium_ops slow_ops = {
	.open = slow_open, .size = slow_size, .pread = slow_pread,
	.pread_now = slow_pread_now, .pwritev = slow_pwritev,
	.prefetch = slow_prefetch, .sync = slow_sync,
	.sync_dir = slow_sync_dir, .lock = slow_lock,
};

/* ---- the store over it ----------------------------------------------------------- */

static uint8_t *model;
static lbs_queue *queue;

static void
open_over(void)
{
	struct store_env env = { .card = &card.base, .meta_path = store_path,
				 .threads = 1 };
	struct lbs_open_options o = { .struct_size = sizeof o,
				      .map_limit_bytes = 4 * MIB,
				      .log = store_tell };
	struct lbs_queue_options of_queue = { .struct_size = sizeof of_queue };

	assert_int_equal(medium_posix_open(store_card, 0, &card.real), 0);
	assert_int_equal(store_open_env(&env, &o, &store), 0);
	assert_int_equal(lbs_vdisk_open(store, NULL, &disk), 0);
	assert_int_equal(lbs_queue_open(store, &of_queue, &queue), 0);
	card.is_cold = 0;
	held_up = 0;
}

static void
close_over(void)
{
	assert_int_equal(lbs_queue_close(queue), 0);
	assert_int_equal(store_close(), 0);
	card.real->ops->close(card.real);
}

static int
setup(void **state)
{
	int rc = store_make(SIZE, 160 * MIB);

	(void)state;
	card.base.ops = &slow_ops;
	pthread_mutex_init(&card.gate, NULL);
	model = malloc(SIZE);
	draw_bytes(model, SIZE);
	/* A hole, too. */
	memset(model + 8 * MIB, 0, MIB);
	for (uint64_t at = 0; at < SIZE && rc == 0; at += MIB)
		if (at != 8 * MIB)
			rc = lbs_vdisk_write(disk, model + at, MIB, at, 0);
	/* All room is there: nobody looks at the card to make more, unasked. */
	while (rc == 0)
		rc = store_fill_one(store);
	return rc == LBS_ENOSPC ? store_close() : rc;
}

static int
teardown(void **state)
{
	free(model);
	pthread_mutex_destroy(&card.gate);
	return store_remove(state);
}

static void
submit_read(const struct iovec *iov, uint64_t at)
{
	struct lbs_request r = { .vdisk = disk, .op = LBS_OP_READ, .iov = iov,
				 .iov_count = 1, .offset_bytes = at,
				 .user = &card };
	int n;

	submitting = 1;
	n = lbs_queue_submit(queue, &r, 1);
	submitting = 0;
	assert_int_equal(n, 1);
}

/* Whether it was told by ms later, with this result. */
static int
is_told(int ms, int result)
{
	struct pollfd event = { .fd = lbs_queue_fd(queue), .events = POLLIN };
	struct lbs_completion c;
	int n;

	while (poll(&event, 1, ms) == 1) {
		n = lbs_queue_reap(queue, &c, 1, 0);
		if (n == 0)
			continue;
		assert_int_equal(n, 1);
		assert_ptr_equal(c.user, &card);
		assert_int_equal(c.result, result);
		return 1;
	}
	return 0;
}

static void
load_the_map(void)
{
	static uint8_t block[4096];

	for (uint64_t at = 0; at < SIZE; at += 64 * 4096)
		assert_int_equal(lbs_vdisk_read(disk, block, 4096, at), 0);
}

static void
what_waits_for_nothing_is_read_at_once(void **state)
{
	static uint8_t buf[20000];
	struct iovec iov = { buf, 0 };
	int at_once = 0;

	(void)state;
	open_over();
	load_the_map();
	for (int i = 0; i < 2000; i++) {
		uint64_t at = draw(SIZE - sizeof buf);

		iov.iov_len = (size_t)draw_between(1, 16384);
		memset(buf, 0xa5, sizeof buf);
		submit_read(&iov, at);
		if (is_told(0, 0))
			at_once++;
		else
			assert_true(is_told(30000, 0));
		assert_memory_equal(buf, model + at, iov.iov_len);
		assert_int_equal(buf[iov.iov_len], 0xa5);
	}
	/* But for the few that seemed to be in a sequence. */
	assert_true(at_once > 1800);
	assert_int_equal(held_up, 0);
	iov.iov_len = 16384;
	submit_read(&iov, SIZE - 4096);
	assert_true(is_told(30000, LBS_EINVAL));
	close_over();
}

static void
what_waits_for_the_card_is_left_to_a_thread(void **state)
{
	static uint8_t buf[4096];
	struct iovec iov = { buf, sizeof buf };

	(void)state;
	open_over();
	load_the_map();
	card.is_cold = 1;
	card.now = card.waits = 0;
	for (int i = 1; i <= 20; i++) {
		uint64_t at = draw(2048) * 4096; /* one call each */

		pthread_mutex_lock(&card.gate);
		submit_read(&iov, at);
		assert_int_equal(card.now, i);
		assert_false(is_told(i == 1 ? 50 : 0, 0));
		pthread_mutex_unlock(&card.gate);
		assert_true(is_told(30000, 0));
		assert_int_equal(card.waits, i);
		assert_memory_equal(buf, model + at, sizeof buf);
	}
	assert_int_equal(held_up, 0);
	close_over();
}

static void
what_waits_for_the_map_is_left_to_a_thread(void **state)
{
	static uint8_t buf[4096];
	struct iovec iov = { buf, sizeof buf };

	(void)state;
	open_over();
	card.now = 0;
	store_db_lock(store); /* internal flash is slow */
	submit_read(&iov, 4096);
	assert_int_equal(card.now, 0);
	assert_false(is_told(50, 0));
	store_db_unlock(store);
	assert_true(is_told(30000, 0));
	assert_memory_equal(buf, model + 4096, sizeof buf);
	assert_int_equal(held_up, 0);
	close_over();
}

static void
a_sequence_is_read_ahead_by_a_thread(void **state)
{
	static uint8_t buf[16384];
	struct iovec iov = { buf, sizeof buf };
	uint64_t before;

	(void)state;
	open_over();
	before = store_stat(LBS_STAT_CARD_PREFETCH_CALLS);
	for (uint64_t at = 0; at < SIZE; at += sizeof buf) {
		submit_read(&iov, at);
		assert_true(is_told(30000, 0));
		assert_memory_equal(buf, model + at, sizeof buf);
	}
	assert_true(store_stat(LBS_STAT_CARD_PREFETCH_CALLS) - before >=
		    SIZE / (512 * 1024) / 2);
	assert_int_equal(held_up, 0);
	close_over();
}

/* ---- several --------------------------------------------------------------------- */

#define MANY 16

static uint8_t many_bufs[MANY][4096];
static struct iovec many_iov[MANY];
static struct lbs_request many[MANY];

/* At places that are no sequence. */
static void
submit_many(int op, uint64_t stride)
{
	int n;

	for (unsigned i = 0; i < MANY; i++) {
		many_iov[i] = (struct iovec){ many_bufs[i], 4096 };
		many[i] = (struct lbs_request){
			.vdisk = disk, .op = op, .iov = &many_iov[i],
			.iov_count = 1, .offset_bytes = i * stride,
			.user = &many[i]
		};
	}
	submitting = 1;
	n = lbs_queue_submit(queue, many, MANY);
	submitting = 0;
	assert_int_equal(n, MANY);
}

static void
reap_all(int done)
{
	struct pollfd event = { .fd = lbs_queue_fd(queue), .events = POLLIN };
	struct lbs_completion c[MANY];

	while (done < MANY) {
		int n;

		assert_int_equal(poll(&event, 1, 30000), 1);
		n = lbs_queue_reap(queue, c, MANY, 0);
		for (int i = 0; i < n; i++)
			assert_int_equal(c[i].result, 0);
		done += n;
	}
	assert_int_equal(done, MANY);
}

static void
half_of_several_are_read_at_once(void **state)
{
	struct lbs_completion c[MANY];
	int n;

	(void)state;
	open_over();
	load_the_map();
	/* The threads wait, so what is done now is the caller's share. */
	pthread_mutex_lock(&card.gate);
	submit_many(LBS_OP_READ, MIB);
	n = lbs_queue_reap(queue, c, MANY, 0);
	/* The hole is read without the card, by anyone. */
	assert_in_range(n, MANY / 2, MANY / 2 + 1);
	pthread_mutex_unlock(&card.gate);
	reap_all(n);
	for (unsigned i = 0; i < MANY; i++)
		assert_memory_equal(many_bufs[i], model + i * MIB, 4096);
	/* Nobody's, if the card would have to be waited for. */
	card.is_cold = 1;
	pthread_mutex_lock(&card.gate);
	submit_many(LBS_OP_READ, MIB / 2);
	n = lbs_queue_reap(queue, c, MANY, 0);
	assert_int_equal(n, 0);
	pthread_mutex_unlock(&card.gate);
	reap_all(n);
	for (unsigned i = 0; i < MANY; i++)
		assert_memory_equal(many_bufs[i], model + i * MIB / 2, 4096);
	assert_int_equal(held_up, 0);
	close_over();
}

static int
a_block_is_being_written(void)
{
	int yes;

	pthread_mutex_lock(&store->ranges.lock);
	yes = store->ranges.head != NULL;
	pthread_mutex_unlock(&store->ranges.lock);
	return yes;
}

/* A write of part of a block reads the rest first, and keeps others out of the block
 * while the card thinks. */
static void
a_write_behind_a_slow_one_is_left_to_a_thread(void **state)
{
	struct iovec iov = { many_bufs[0], 512 };
	struct lbs_request part = { .op = LBS_OP_WRITE, .iov = &iov,
				    .iov_count = 1, .user = &card };
	lbs_queue *first, *second;

	(void)state;
	open_over();
	load_the_map();
	part.vdisk = disk;
	second = queue;
	assert_int_equal(lbs_queue_open(store, NULL, &first), 0);
	for (int i = 0; i < 20; i++) {
		draw_bytes(many_bufs, sizeof many_bufs);
		pthread_mutex_lock(&card.gate);
		assert_int_equal(lbs_queue_submit(first, &part, 1), 1);
		while (!a_block_is_being_written())
			usleep(100);
		/* Sixteen to one block: if we did one we would wait for ever. */
		submit_many(LBS_OP_WRITE, 0);
		pthread_mutex_unlock(&card.gate);
		queue = first;
		assert_true(is_told(30000, 0));
		queue = second;
		reap_all(0);
		/* The last one performed came after the part. */
		assert_int_equal(lbs_vdisk_read(disk, model, 4096, 0), 0);
		for (unsigned k = 0; k < MANY; k++)
			if (!memcmp(model, many_bufs[k], 4096))
				goto found;
		fail();
found:;
	}
	assert_int_equal(held_up, 0);
	assert_int_equal(lbs_queue_close(first), 0);
	close_over();
}

/* A new segment's header is read before it is written over, and the log stands still
 * meanwhile. */
static void
a_write_is_left_to_a_thread_while_a_segment_is_fetched(void **state)
{
	struct lbs_queue_options o = { .struct_size = sizeof o, .depth = 512 };
	static uint8_t block[4096];
	struct iovec iov = { block, sizeof block };
	struct lbs_request r = { .op = LBS_OP_WRITE, .iov = &iov,
				 .iov_count = 1 };
	lbs_queue *first;

	(void)state;
	open_over();
	load_the_map();
	r.vdisk = disk;
	assert_int_equal(lbs_queue_open(store, &o, &first), 0);
	card.waits = 0;
	pthread_mutex_lock(&card.gate);
	/* A segment is 1 MiB. */
	for (int i = 0; i < 512; i++)
		assert_int_equal(lbs_queue_submit(first, &r, 1), 1);
	while (!card.waits)
		usleep(100);
	submit_many(LBS_OP_WRITE, MIB);
	pthread_mutex_unlock(&card.gate);
	reap_all(0);
	assert_int_equal(held_up, 0);
	assert_int_equal(lbs_queue_close(first), 0);
	close_over();
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_waits_for_nothing_is_read_at_once),
		cmocka_unit_test(what_waits_for_the_card_is_left_to_a_thread),
		cmocka_unit_test(what_waits_for_the_map_is_left_to_a_thread),
		cmocka_unit_test(a_sequence_is_read_ahead_by_a_thread),
		cmocka_unit_test(half_of_several_are_read_at_once),
		cmocka_unit_test(a_write_behind_a_slow_one_is_left_to_a_thread),
		cmocka_unit_test(
			a_write_is_left_to_a_thread_while_a_segment_is_fetched),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, setup, teardown);
}
