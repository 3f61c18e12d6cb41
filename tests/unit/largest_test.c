/*
 * largest_test - a vdisk as large as a layer can be: its last blocks, in the map's last
 * region, are written, kept, discarded and given back like any others; one block more
 * is no vdisk. lbs create makes none of that size, so the metadata is told.
 */
#include "tests/unit/store.h"

#include <sqlite3.h>

#include "liblbs/format/layout.h"

#define SIZE (LBA_MAX * BLOCK_BYTES)
#define REGION ((uint64_t)MAP_REGION_BLOCKS * BLOCK_BYTES)
#define PLACES 5

static const uint64_t place[PLACES] = { 0, SIZE / 2 / BLOCK_BYTES * BLOCK_BYTES,
					SIZE + BLOCK_BYTES - REGION - BLOCK_BYTES,
					SIZE + BLOCK_BYTES - REGION,
					SIZE - BLOCK_BYTES };

static int
make_of(uint64_t size)
{
	char sql[80];
	sqlite3 *db;
	int rc;

	store_preallocate = 1; /* there is something to give back */
	rc = store_make_closed(MIB, 160 * MIB);
	if (rc)
		return rc;
	snprintf(sql, sizeof sql, "update vdisk set size = %llu",
		 (unsigned long long)size);
	rc = sqlite3_open(store_path, &db) ||
	     sqlite3_exec(db, sql, NULL, NULL, NULL);
	sqlite3_close(db);
	return rc;
}

static unsigned seen;

static int
see(void *ctx, uint64_t offset, uint64_t len, int is_data)
{
	(void)ctx;
	if (is_data) {
		/* Those that lie next to each other are one. */
		assert_true(seen < PLACES && offset == place[seen]);
		seen += (unsigned)(len / BLOCK_BYTES);
	}
	return 0;
}

static void
holds(unsigned count, uint8_t first)
{
	uint8_t block[BLOCK_BYTES];

	seen = 0;
	assert_int_equal(lbs_vdisk_extents(disk, SIZE, 0, see, NULL), 0);
	assert_int_equal(seen, count);
	for (unsigned i = 0; i < PLACES; i++) {
		assert_int_equal(lbs_vdisk_read(disk, block, sizeof block,
						place[i]), 0);
		assert_int_equal(block[17], first ? first + i : 0);
	}
}

static void
the_last_blocks_are_like_others(void **state)
{
	uint8_t block[BLOCK_BYTES];

	(void)state;
	assert_int_equal(make_of(SIZE), 0);
	assert_int_equal(store_open(0), 0);
	assert_true(lbs_vdisk_size(disk) == SIZE);
	for (unsigned i = 0; i < PLACES; i++) {
		memset(block, (int)(i + 3), sizeof block);
		assert_int_equal(lbs_vdisk_write(disk, block, sizeof block,
						 place[i], 0), 0);
	}
	holds(PLACES, 3);
	assert_int_equal(lbs_store_checkpoint(store), 0);
	holds(PLACES, 3);
	assert_int_equal(store_close(), 0);
	assert_int_equal(store_open(0), 0);
	holds(PLACES, 3);
	/* A record of the block behind the end. */
	assert_int_equal(lbs_store_clean(store, LBS_CLEAN_SHRINK, NULL, NULL), 0);
	assert_true(store_stat(LBS_STAT_CARD_GIVEN_BACK_BYTES) > 0);
	assert_int_equal(store_close(), 0);
	assert_int_equal(store_open(0), 0);
	holds(PLACES, 3);
	assert_int_equal(lbs_vdisk_discard(disk, SIZE, 0, 0), 0);
	holds(0, 0);
	assert_int_equal(lbs_store_checkpoint(store), 0);
	assert_int_equal(store_close(), 0);
	assert_int_equal(store_open(0), 0);
	holds(0, 0);
	assert_int_equal(lbs_vdisk_write(disk, block, 1, SIZE, 0), LBS_EINVAL);
}

static void
one_block_more_is_no_vdisk(void **state)
{
	(void)state;
	assert_int_equal(make_of(SIZE + BLOCK_BYTES), 0);
	assert_int_equal(store_open(0), LBS_ECORRUPT);
	assert_int_equal(store_told, LBS_ECORRUPT);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_last_blocks_are_like_others,
					  store_remove),
		cmocka_unit_test_teardown(one_block_more_is_no_vdisk,
					  store_remove),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
