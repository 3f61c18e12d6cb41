/*
 * queue_close_test - the end of a queue: closing does what was submitted, a child is
 * refused, and what was told survives the death of the process.
 */
#include "tests/unit/queue.h"

#include <sys/mman.h>

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
		/* A slow machine is given a few seconds, once it has begun. */
		for (uint64_t most = 200 + draw(3000), i = 0;
		     l->total < most && i < (l->total ? 3000 : 60000); i++)
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

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(closing_does_what_was_submitted),
		T(a_child_is_refused),
		T(death_loses_nothing_told),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, queue_setup, queue_teardown);
}
