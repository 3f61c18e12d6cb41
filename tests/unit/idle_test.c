/*
 * idle_test - cleaning while nobody writes: it begins only once nobody does, makes room
 * for a burst from what is worth it, ends, and changes no byte.
 */
#include "tests/unit/own_card.h"

#include "liblbs/store/internal.h"

#define SIZE (96 * MIB)
#define PIECE (64ull << 10)

static uint8_t *model, *buf;

static int
setup(void **state)
{
	(void)state;
	model = calloc(1, SIZE);
	buf = calloc(1, SIZE);
	store_preallocate = 1; /* nobody stops to fill the card */
	return store_make(SIZE, 160 * MIB);
}

static int
teardown(void **state)
{
	free(model);
	free(buf);
	return store_remove(state);
}

static void
write_piece(uint64_t i)
{
	draw_bytes(model + i * PIECE, PIECE);
	assert_int_equal(lbs_vdisk_write(disk, model + i * PIECE, PIECE,
					 i * PIECE, 0), 0);
}

/* What the cleaner's thread does while nobody writes: seconds pass. */
static void
time_passes(void)
{
	store_clean_tick(store);
	store_clean_tick(store);
}

static void
room_is_made_while_nobody_writes(void **state)
{
	uint64_t at, free_before, rounds = 0;

	(void)state;
	own_card_make();
	own_card_open(0);
	for (at = 0; at < SIZE / PIECE; at++)
		write_piece(at);
	/* Every second piece of each segment dies, until room is short enough that
	 * one would clean if nobody wrote. */
	for (at = 0; at < SIZE / PIECE; at += 2) {
		write_piece(at);
		assert_false(store_clean_wanted(store));
		time_passes();
		if (store_clean_wanted(store))
			break;
	}
	assert_true(at < SIZE / PIECE);
	assert_int_equal(store_stat(LBS_STAT_CLEANED_BLOCKS), 0);

	/* Somebody writes again. */
	write_piece(at);
	assert_false(store_clean_wanted(store));
	store_clean_tick(store);
	assert_false(store_clean_wanted(store));
	store_clean_tick(store);
	assert_true(store_clean_wanted(store));

	free_before = store_stat(LBS_STAT_SEGMENTS_FREE);
	while (store_clean_wanted(store)) {
		assert_int_equal(store_clean_ahead(store), 0);
		assert_true(++rounds < 100000);
		/* Its own records are nobody's writes. */
		time_passes();
	}
	assert_true(store_stat(LBS_STAT_CLEANED_BLOCKS) > 0);
	assert_int_equal(lbs_store_checkpoint(store), 0);
	assert_true(store_stat(LBS_STAT_SEGMENTS_FREE) > free_before);
	assert_false(store_clean_wanted(store));

	assert_int_equal(lbs_vdisk_read(disk, buf, SIZE, 0), 0);
	assert_memory_equal(buf, model, SIZE);
	own_card_close();
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(room_is_made_while_nobody_writes,
						setup, teardown),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
