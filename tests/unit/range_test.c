/*
 * range_test - who may write which blocks at the same time: a read-modify-write
 * has its block to itself, whole-block writers pass each other, and nobody
 * waits for ever.
 */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "liblbs/store/range.h"

#define THREADS 6
#define ROUNDS 1500
#define BLOCKS 16

static struct ranges ranges;
/* Who is inside each block: shared entries count 1, an exclusive one 1000. */
static _Atomic int inside[BLOCKS];
static _Atomic int faults;

static void *
writer(void *arg)
{
	unsigned seed = *(unsigned *)arg;

	for (int i = 0; i < ROUNDS; i++) {
		unsigned r = seed = seed * 1103515245u + 12345u;
		struct range range = { .layer = 1,
				       .first = (r >> 8) % BLOCKS,
				       .exclusive = (r >> 16) % 3 == 0 };
		int weight = range.exclusive ? 1000 : 1;

		range.count = 1 + (r >> 20) % 3;
		if (range.first + range.count > BLOCKS)
			range.count = BLOCKS - range.first;
		range_enter(&ranges, &range);
		for (uint64_t b = 0; b < range.count; b++) {
			int now = atomic_fetch_add(&inside[range.first + b],
						   weight) + weight;

			if (range.exclusive ? now != 1000 : now >= 1000)
				faults++;
		}
		for (uint64_t b = 0; b < range.count; b++)
			atomic_fetch_sub(&inside[range.first + b], weight);
		range_leave(&ranges, &range);
	}
	return NULL;
}

static void
exclusive_ranges_are_alone(void **state)
{
	pthread_t t[THREADS];
	unsigned seed[THREADS];

	(void)state;
	ranges_init(&ranges);
	for (int i = 0; i < THREADS; i++) {
		seed[i] = (unsigned)draw64();
		pthread_create(&t[i], NULL, writer, &seed[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(faults, 0);
	assert_null(ranges.head);
	ranges_destroy(&ranges);
}

static void
what_does_not_conflict_does_not_wait(void **state)
{
	struct range a = { .layer = 1, .first = 10, .count = 5, .exclusive = 1 };
	struct range behind = { .layer = 1, .first = 15, .count = 5,
				.exclusive = 1 };
	struct range before = { .layer = 1, .first = 0, .count = 10,
				.exclusive = 1 };
	struct range elsewhere = { .layer = 2, .first = 10, .count = 5,
				   .exclusive = 1 };
	struct range s = { .layer = 1, .first = 30, .count = 5 };
	struct range s2 = { .layer = 1, .first = 30, .count = 5 };

	(void)state;
	ranges_init(&ranges);
	/* In one thread: any wait would never end. */
	range_enter(&ranges, &a);
	range_enter(&ranges, &behind);
	range_enter(&ranges, &before);
	range_enter(&ranges, &elsewhere);
	range_enter(&ranges, &s);
	range_enter(&ranges, &s2);
	range_leave(&ranges, &behind);
	range_leave(&ranges, &a);
	range_leave(&ranges, &s2);
	range_leave(&ranges, &before);
	range_leave(&ranges, &s);
	range_leave(&ranges, &elsewhere);
	assert_null(ranges.head);
	ranges_destroy(&ranges);
}

static _Atomic int stop, got_in;

static void *
one_exclusive(void *arg)
{
	struct range r = { .layer = 1, .first = 5, .count = 1, .exclusive = 1 };

	(void)arg;
	for (int i = 0; i < 20; i++) {
		range_enter(&ranges, &r);
		got_in++;
		range_leave(&ranges, &r);
	}
	return NULL;
}

static void *
overlap(void *arg)
{
	struct range r = { .layer = 1, .first = 5, .count = 1 };

	while (!*(_Atomic int *)arg) {
		range_enter(&ranges, &r);
		usleep(10);
		range_leave(&ranges, &r);
	}
	return NULL;
}

static void
nobody_starves(void **state)
{
	pthread_t shared[4], exclusive;

	(void)state;
	ranges_init(&ranges);
	stop = got_in = 0;
	for (int i = 0; i < 4; i++)
		pthread_create(&shared[i], NULL, overlap, &stop);
	pthread_create(&exclusive, NULL, one_exclusive, NULL);
	/* Returns only if the exclusive one gets its twenty turns, although at
	 * every moment some writer is inside. */
	pthread_join(exclusive, NULL);
	stop = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(shared[i], NULL);
	assert_int_equal(got_in, 20);
	ranges_destroy(&ranges);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_does_not_conflict_does_not_wait),
		cmocka_unit_test(exclusive_ranges_are_alone),
		cmocka_unit_test(nobody_starves),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
