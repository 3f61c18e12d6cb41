/*
 * pages_test - the cache of decoded map pages against a list by last use: what
 * was used last stays, and memory stays within what was asked for.
 */
#include "tests/unit/unit.h"

#include "liblbs/map/memtable.h"
#include "liblbs/map/pages.h"
#include "liblbs/meta/mapstore.h"

#define MAX 16u
#define KEYS 64u

/* The model: keys, the newest last. */
static uint64_t list[MAX];
static uint32_t count;

static void
use(uint64_t key)
{
	uint32_t i = 0;

	while (i < count && list[i] != key)
		i++;
	if (i == count && count == MAX)
		i = 0; /* the oldest goes */
	else if (i == count)
		count++;
	memmove(list + i, list + i + 1, (count - i - 1) * sizeof *list);
	list[count - 1] = key;
}

static int
is_here(uint64_t key)
{
	for (uint32_t i = 0; i < count; i++)
		if (list[i] == key)
			return 1;
	return 0;
}

/* Keys of the first and of the last layer, near and far. */
static uint64_t
key_of(uint64_t n)
{
	return map_key(n % 2 ? 1 : LAYER_MAX, n % 3 ? n : LBA_MAX - n);
}

static void
the_least_recently_used_page_goes_first(void **state)
{
	struct pages *p = pages_new(MAX);

	(void)state;
	count = 0;
	for (int i = 0; i < 5000; i++) {
		uint64_t key = key_of(draw(draw(2) ? KEYS : 8));
		uint64_t *entries = pages_find(p, key);

		assert_int_equal(entries != NULL, is_here(key));
		if (!entries) {
			entries = pages_insert(p, key);
			assert_non_null(entries);
			for (uint32_t b = 0; b < MAP_PAGE_BLOCKS; b += 97)
				entries[b] = key;
		}
		use(key);
		for (uint32_t b = 0; b < MAP_PAGE_BLOCKS; b += 97)
			assert_true(entries[b] == key);
		assert_true(pages_bytes(p) <=
			    MAX * (MAP_PAGE_BLOCKS * 8 + 64ul));
	}
	pages_clear(p);
	for (uint64_t n = 0; n < KEYS; n++)
		assert_null(pages_find(p, key_of(n)));
	pages_free(p);
	pages_free(NULL);
}

static void
there_is_room_for_a_few_pages_at_least(void **state)
{
	struct pages *p = pages_new(0);

	(void)state;
	for (uint64_t n = 0; n < 4; n++)
		assert_non_null(pages_insert(p, key_of(n)));
	for (uint64_t n = 0; n < 4; n++)
		assert_non_null(pages_find(p, key_of(n)));
	assert_non_null(pages_insert(p, key_of(4)));
	assert_null(pages_find(p, key_of(0)));
	pages_free(p);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least_recently_used_page_goes_first),
		cmocka_unit_test(there_is_room_for_a_few_pages_at_least),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
