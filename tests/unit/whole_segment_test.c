/*
 * whole_segment_test.c - a segment is written from its first page to its last: no page
 * of a closed one keeps what an earlier use left there (FORMAT.md section 7), and the
 * card need not fill in what it was not given.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/store.h"

#define CHUNKS 4
#define PAGE   4096
#define OLD    0xee /* what an earlier use left */

static uint8_t segment[MIB];

static int
chunk(int i)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%04d.lbs", store_card, i);
	return open(path, O_RDWR | O_CLOEXEC);
}

static void
leave_old_bytes(void)
{
	memset(segment, OLD, sizeof segment);
	for (int i = 0; i < CHUNKS; i++) {
		int fd = chunk(i);

		assert_true(fd >= 0);
		for (int k = 0; k < 8; k++)
			assert_int_equal(pwrite(fd, segment, MIB, k * (int)MIB),
					 MIB);
		close(fd);
	}
}

static int
is_old(const uint8_t *bytes, size_t len)
{
	return bytes[0] == OLD && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* Closed segments, and pages of them that still are as they were. */
static void
look(int *closed, int *old)
{
	for (int i = 0; i < CHUNKS; i++) {
		int fd = chunk(i);

		for (int k = 0; k < 8; k++) {
			assert_int_equal(pread(fd, segment, MIB, k * (int)MIB),
					 MIB);
			if (is_old(segment + MIB - 32, 32))
				continue;
			++*closed;
			for (size_t at = 0; at < MIB; at += PAGE)
				*old += is_old(segment + at, PAGE);
		}
		close(fd);
	}
}

/* Records of every size, so that segments end in every way. */
static void
no_page_is_left_out(void **state)
{
	static uint8_t data[64 * PAGE];
	int closed = 0, old = 0;

	(void)state;
	store_preallocate = 1;
	assert_int_equal(store_make(16 * MIB, CHUNKS * 8 * MIB), 0);
	leave_old_bytes();
	for (int i = 0; i < 4500; i++) {
		uint64_t blocks = 1 + draw64() % (i % 50 ? 1 : 64);

		assert_int_equal(lbs_vdisk_write(disk, data, blocks * PAGE,
						 (uint64_t)i % 60 * 64 * PAGE,
						 0), 0);
		if (draw64() % 3 == 0)
			assert_int_equal(lbs_vdisk_flush(disk), 0);
	}
	assert_int_equal(store_close(), 0);
	look(&closed, &old);
	assert_in_range(closed, 15, CHUNKS * 8);
	assert_int_equal(old, 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(no_page_is_left_out, store_remove),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
