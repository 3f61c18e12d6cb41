/*
 * sort_test - entries sorted by radix are what qsort makes of them.
 */
#include "tests/unit/unit.h"

#include "liblbs/map/sort.h"

#define MAX 3000u

static int
by_key(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static void
as_qsort(void **state)
{
	static struct entry a[MAX], b[MAX], spare[MAX];

	(void)state;
	for (int round = 0; round < 300; round++) {
		size_t n = draw(MAX + 1);
		/* Keys that differ in few, neighbouring, or all bits. */
		uint64_t mask = draw(3) ? draw(UINT64_MAX) >> draw(64)
					: UINT64_MAX,
			 common = draw(UINT64_MAX);

		for (size_t i = 0; i < n; i++) {
			a[i].key = (draw(UINT64_MAX) & mask) |
				   (common & ~mask);
			a[i].value = ~a[i].key; /* goes with its key */
		}
		memcpy(b, a, sizeof a);
		qsort(b, n, sizeof *b, by_key);
		sort_entries(a, spare, n);
		assert_memory_equal(a, b, sizeof a);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(as_qsort) };

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
