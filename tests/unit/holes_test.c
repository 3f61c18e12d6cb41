/*
 * holes_test - block status over a disk that is mostly empty costs what is mapped:
 * regions without rows are skipped, and nothing that was written is, wherever it
 * is (in memory, being written, in the metadata).
 */
#include "tests/unit/store.h"

#define SIZE (64ull << 30) /* 128 regions of the map, 8192 pages */
#define PLACES 5

/* At the edges of regions and of the disk, and inside. */
static const uint64_t place[PLACES] = { 0, 512 * MIB - 4096, 5 * 512 * MIB,
					33 * MIB + 60 * 512 * MIB, SIZE - 4096 };

static int
setup(void **state)
{
	(void)state;
	return store_make(SIZE, 64 * MIB);
}

static uint64_t data[PLACES + 1], holes, expected;
static unsigned seen;

static int
see(void *ctx, uint64_t offset, uint64_t len, int is_data)
{
	(void)ctx;
	assert_true(offset == expected);
	expected += len;
	if (!is_data) {
		holes += len;
	} else {
		assert_true(seen < PLACES && len == 4096);
		data[seen++] = offset;
	}
	return 0;
}

static void
look(unsigned count)
{
	uint64_t before = store_stat(LBS_STAT_MAP_PAGE_LOADS);

	seen = 0;
	holes = expected = 0;
	assert_int_equal(lbs_vdisk_extents(disk, SIZE, 0, see, NULL), 0);
	assert_true(expected == SIZE && holes == SIZE - count * 4096ull);
	assert_int_equal(seen, count);
	for (unsigned i = 0; i < count; i++)
		assert_true(data[i] == place[i]);
	/* A region has 64 pages. */
	assert_true(store_stat(LBS_STAT_MAP_PAGE_LOADS) - before <= PLACES * 65);
}

static void
empty_regions_are_skipped(void **state)
{
	uint8_t block[4096] = { 1 };

	(void)state;
	look(0);
	for (unsigned i = 0; i < PLACES; i++) {
		/* The others are in the metadata, this one in memory. */
		assert_int_equal(lbs_vdisk_write(disk, block, sizeof block,
						 place[i], 0), 0);
		look(i + 1);
		assert_int_equal(lbs_store_checkpoint(store), 0);
		look(i + 1);
	}
	assert_int_equal(store_close(), 0);
	assert_int_equal(store_open(LBS_RDONLY), 0);
	look(PLACES);
	assert_int_equal(store_close(), 0);
	assert_int_equal(store_open(0), 0);
	/* A hole in memory over what is mapped. */
	assert_int_equal(lbs_vdisk_discard(disk, SIZE, 0, 0), 0);
	look(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(empty_regions_are_skipped,
						setup, store_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
