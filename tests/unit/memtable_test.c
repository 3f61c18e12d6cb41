/*
 * memtable_test - the table of changes against a plain array: single blocks,
 * unmapped ranges over and under them, and the sorted runs that a checkpoint
 * takes from it.
 */
#include "tests/unit/unit.h"

#include "liblbs/format/runs.h"
#include "liblbs/map/memtable.h"

#define LAYERS 2u
#define BLOCKS 3000u /* of each layer; the model is an array of all */
#define SLOTS 1024u
#define NOTHING UINT64_MAX

static uint64_t model[LAYERS][BLOCKS];
static struct memtable *table;

static int
setup(void **state)
{
	(void)state;
	table = memtable_new(SLOTS);
	for (uint32_t i = 0; i < LAYERS * BLOCKS; i++)
		model[i / BLOCKS][i % BLOCKS] = NOTHING;
	return table ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	memtable_free(table);
	return 0;
}

/* One change of the kinds that a guest causes. */
static void
change(void)
{
	uint32_t layer = (uint32_t)draw(LAYERS), count;
	uint64_t lba = draw(BLOCKS), position;

	if (draw(4)) { /* a record of some blocks */
		count = (uint32_t)draw_between(1, 8);
		position = position_make((uint32_t)draw(50),
					 4096 + 8 * (uint32_t)draw(1000));
		for (uint32_t i = 0; i < count && lba + i < BLOCKS; i++) {
			if (!memtable_fits(table, 1, 0))
				return;
			model[layer][lba + i] = position_next(position, i);
			memtable_put(table, map_key(layer + 1, lba + i),
				     model[layer][lba + i]);
		}
	} else {
		count = (uint32_t)draw_between(1, draw(2) ? 20 : BLOCKS);
		if (count > BLOCKS - lba)
			count = (uint32_t)(BLOCKS - lba);
		if (!memtable_fits(table, 0, 1))
			return;
		memtable_unmap(table, map_key(layer + 1, lba), count);
		for (uint32_t i = 0; i < count; i++)
			model[layer][lba + i] = 0;
	}
}

static void
check_gets(void)
{
	for (uint32_t l = 0; l < LAYERS; l++)
		for (uint64_t b = 0; b < BLOCKS; b++) {
			uint64_t value = NOTHING;
			int said = memtable_get(table, map_key(l + 1, b),
						&value);

			assert_int_equal(said, model[l][b] != NOTHING);
			assert_true(value == model[l][b]);
		}
}

static void
check_runs(void)
{
	static uint64_t seen[LAYERS][BLOCKS];
	struct memtable_run *runs;
	uint64_t end = 0;
	size_t n;

	for (uint32_t i = 0; i < LAYERS * BLOCKS; i++)
		seen[i / BLOCKS][i % BLOCKS] = NOTHING;
	runs = memtable_runs(table, &n);
	assert_int_equal(runs != NULL, !memtable_empty(table));
	for (size_t i = 0; i < n; i++) {
		uint64_t layer = runs[i].key >> 40;

		assert_true(runs[i].count > 0 && runs[i].key >= end);
		end = runs[i].key + runs[i].count;
		assert_true(layer >= 1 && layer <= LAYERS);
		if (runs[i].value)
			assert_true(runs[i].count <= RECORD_BLOCKS_MAX);
		for (uint64_t b = 0; b < runs[i].count; b++)
			seen[layer - 1][(runs[i].key & LBA_MAX) + b] =
				runs[i].value ? position_next(runs[i].value, b)
					      : 0;
	}
	assert_memory_equal(seen, model, sizeof model);
	free(runs);
}

static void
the_table_is_the_array(void **state)
{
	(void)state;
	assert_true(memtable_empty(table));
	check_runs();
	for (int i = 0; i < 600; i++) {
		change();
		if (i % 50 == 49) {
			check_gets();
			check_runs();
		}
	}
}

static void
a_cleared_table_says_nothing(void **state)
{
	size_t before = memtable_bytes(table);

	for (int i = 0; i < 100; i++)
		change();
	memtable_clear(table);
	teardown(state);
	setup(state);
	assert_true(memtable_empty(table));
	check_gets();
	assert_int_equal(memtable_bytes(table), before);
}

static void
room_is_three_quarters_and_never_more(void **state)
{
	uint32_t n = 0;

	(void)state;
	while (memtable_fits(table, 1, 0))
		memtable_put(table, map_key(1, n++), position_make(1, 4096));
	assert_int_equal(n, SLOTS * 3 / 4);
	/* What is there already may always change. */
	memtable_put(table, map_key(1, 0), position_make(2, 4096));
	assert_false(memtable_fits(table, 1, 0));
	assert_false(memtable_fits(table, UINT32_MAX, 0));
	assert_false(memtable_fits(table, 0, UINT32_MAX / 2));
}

static void
ranges_that_touch_become_one(void **state)
{
	struct memtable_run *runs;
	uint64_t value;
	size_t n;

	(void)state;
	memtable_unmap(table, map_key(1, 100), 100);
	memtable_unmap(table, map_key(1, 300), 100);
	memtable_unmap(table, map_key(1, 200), 100); /* between them */
	memtable_unmap(table, map_key(1, 150), 10);  /* inside */
	runs = memtable_runs(table, &n);
	assert_int_equal(n, 1);
	assert_true(runs->key == map_key(1, 100));
	assert_int_equal(runs->count, 300);
	free(runs);
	assert_false(memtable_get(table, map_key(1, 99), &value));
	assert_true(memtable_get(table, map_key(1, 399), &value));
	assert_false(memtable_get(table, map_key(1, 400), &value));
	/* A write into the hole counts; a hole over the write counts again. */
	memtable_put(table, map_key(1, 250), position_make(3, 4096));
	assert_true(memtable_get(table, map_key(1, 250), &value) && value);
	memtable_unmap(table, map_key(1, 0), UINT32_MAX);
	assert_true(memtable_get(table, map_key(1, 250), &value) && !value);
}

static void
growing_changes_nothing_but_the_room(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		change();
	assert_int_equal(memtable_grow(table, 5000, 5000), 0);
	assert_true(memtable_fits(table, 5000, 5000));
	check_gets();
	for (int i = 0; i < 300; i++)
		change();
	check_gets();
	check_runs();
}

int
main(int argc, char **argv)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(the_table_is_the_array),
		STORY(a_cleared_table_says_nothing),
		STORY(room_is_three_quarters_and_never_more),
		STORY(ranges_that_touch_become_one),
		STORY(growing_changes_nothing_but_the_room),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
