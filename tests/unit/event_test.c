/*
 * event_test - what a store tells unasked: a full store, a damaged block; the
 * event is readable until it was taken. The card that fails is in fault_test.
 */
#include "tests/unit/store.h"

#include <fcntl.h>
#include <poll.h>

#define SIZE (64 * MIB)

static int
setup(void **state)
{
	(void)state;
	return store_make(SIZE, 24 * MIB);
}

static int
is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void
nothing_happens_by_itself(void **state)
{
	int fd = lbs_store_event_fd(store);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(lbs_store_event_fd(store), fd);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_false(is_readable(fd));
	assert_int_equal(lbs_store_events(store), 0);
}

static void
a_full_store_says_so(void **state)
{
	uint8_t block[65536];
	int fd = lbs_store_event_fd(store), rc = 0;
	unsigned seen = 0;

	(void)state;
	draw_bytes(block, sizeof block);
	for (uint64_t at = 0; rc == 0 && at < SIZE; at += sizeof block)
		rc = lbs_vdisk_write(disk, block, sizeof block, at, 0);
	assert_int_equal(rc, LBS_ENOSPC);
	assert_true(is_readable(fd));
	seen = lbs_store_events(store);
	assert_int_equal(seen, LBS_EVENT_FULL | LBS_EVENT_SPACE_LOW);
	assert_false(is_readable(fd));
	/* Again, and found by who asks for the event only then. */
	assert_int_equal(lbs_vdisk_write(disk, block, sizeof block,
					 SIZE - sizeof block, 0), LBS_ENOSPC);
	assert_true(is_readable(fd));
	assert_int_equal(lbs_store_events(store), LBS_EVENT_FULL);
	assert_int_equal(lbs_vdisk_discard(disk, SIZE, 0, 0), 0);
	assert_int_equal(lbs_store_checkpoint(store), 0);
	assert_int_equal(lbs_store_events(store), 0);
}

/* Flips a bit in the middle of each segment. */
static void
damage(void)
{
	char name[128];
	uint8_t b;

	for (int chunk = 0; chunk < 3; chunk++) {
		int fd;

		snprintf(name, sizeof name, "%s/%04d.lbs", store_card, chunk);
		fd = open(name, O_RDWR);
		for (off_t at = MIB / 2; at < 8 * (off_t)MIB && fd >= 0; at += MIB) {
			assert_int_equal(pread(fd, &b, 1, at), 1);
			b ^= 1;
			assert_int_equal(pwrite(fd, &b, 1, at), 1);
		}
		if (fd >= 0)
			close(fd);
	}
}

static void
a_damaged_block_is_told(void **state)
{
	uint8_t *all = malloc(4 * MIB);
	int rc = 0;

	(void)state;
	draw_bytes(all, 4 * MIB);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(lbs_vdisk_write(disk, all + i * MIB, MIB,
						 i * MIB, 0), 0);
	assert_int_equal(lbs_vdisk_flush(disk), 0);
	damage();
	assert_int_equal(lbs_store_events(store) & LBS_EVENT_INTEGRITY, 0);
	rc = lbs_vdisk_read(disk, all, 4 * MIB, 0);
	assert_int_equal(rc, LBS_EDAMAGED);
	assert_true(lbs_store_events(store) & LBS_EVENT_INTEGRITY);
	free(all);
}

static void
a_child_is_refused(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		store_child_says(lbs_store_event_fd(store) == LBS_EFORK &&
				 lbs_store_events(store) == 0);
	assert_true(store_child_said(pid));
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_happens_by_itself),
		cmocka_unit_test(a_full_store_says_so),
		cmocka_unit_test(a_damaged_block_is_told),
		cmocka_unit_test(a_child_is_refused),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, setup, store_remove);
}
