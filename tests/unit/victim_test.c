/*
 * victim_test - the choice of segments to clean: what it prefers, and that it
 * never takes what gains nothing.
 */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>

#include "liblbs/store/victim.h"

#define HOLDS 247u

static void
nothing_to_gain(void **state)
{
	struct victim v[4] = { { .segment = 1, .live = 0, .closed_for = 99 },
			       { .segment = 2, .live = HOLDS },
			       { .segment = 3, .live = HOLDS + 5,
				 .closed_for = 1000 },
			       { .segment = 4, .live = HOLDS - 1 } };

	(void)state;
	assert_true(victim_score(0, HOLDS, 7) == 0);
	assert_true(victim_score(HOLDS, HOLDS, 7) == 0);
	/* Large records hold more blocks than single ones: still no gain. */
	assert_true(victim_score(HOLDS + 5, HOLDS, 7) == 0);
	assert_int_equal(victim_choose(v, 4, 4, HOLDS), 1);
	assert_int_equal(v[0].segment, 4);
	assert_int_equal(victim_choose(v, 0, 4, HOLDS), 0);
}

/* Of the same age the emptier is better, of the same fill the older. */
static void
monotonic(void **state)
{
	(void)state;
	for (uint32_t live = 1; live < HOLDS; live++)
		for (uint64_t age = 0; age < 2000; age += 37) {
			double score = victim_score(live, HOLDS, age);

			assert_true(isfinite(score) && score > 0);
			assert_true(live + 1 >= HOLDS ||
				    score > victim_score(live + 1, HOLDS, age));
			assert_true(score < victim_score(live, HOLDS, age + 1));
		}
}

/* Blocks that all die at one rate: what is left after tau is exp(-lambda tau),
 * and the order is that of greedy choice. */
static void
greedy_when_uniform(void **state)
{
	double lambda = 1.0 / 1200, last = HUGE_VAL;

	(void)state;
	for (uint64_t tau = 3000; tau > 20; tau -= 20) {
		double u = exp(-lambda * (double)tau);
		uint32_t live = (uint32_t)(u * 1e6);
		double score = victim_score(live, 1000000, tau - 1);

		assert_true(score < last);
		last = score;
	}
}

/* A segment of hot data that will soon be emptier still is left alone for one
 * that has not changed for long, though that is fuller. */
static void
hot_is_left_to_decay(void **state)
{
	struct victim v[2] = { { .segment = 1, .live = HOLDS / 2,
				 .closed_for = 4 },
			       { .segment = 2, .live = HOLDS * 7 / 10,
				 .closed_for = 400 } };

	(void)state;
	assert_int_equal(victim_choose(v, 2, 1, HOLDS), 1);
	assert_int_equal(v[0].segment, 2);
}

/* Behind the best one, segments whose data is of like age are preferred. */
static void
like_ages_go_together(void **state)
{
	struct victim v[4] = {
		{ .segment = 1, .live = 50, .closed_for = 90, .written_for = 90 },
		{ .segment = 2, .live = 60, .closed_for = 90, .written_for = 9000 },
		{ .segment = 3, .live = 70, .closed_for = 90, .written_for = 100 },
		{ .segment = 4, .live = 52, .closed_for = 90, .written_for = 0 },
	};

	(void)state;
	assert_int_equal(victim_choose(v, 4, 4, HOLDS), 4);
	assert_int_equal(v[0].segment, 1);
	assert_int_equal(v[1].segment, 3);
}

/* The same set in any order gives the same choice, best first. */
static void
ties_and_order(void **state)
{
	struct victim v[60];
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 50; round++) {
		for (uint32_t i = 0; i < 60; i++)
			v[i] = (struct victim){ .segment = i,
						.live = 10 + i / 6,
						.closed_for = 5 };
		for (uint32_t i = 59; i > 0; i--) {
			uint32_t k = (seed = seed * 1103515245u + 12345u) >> 8;
			struct victim swap = v[i];

			v[i] = v[k % (i + 1)];
			v[k % (i + 1)] = swap;
		}
		assert_int_equal(victim_choose(v, 60, 17, HOLDS), 17);
		for (uint32_t i = 0; i < 17; i++)
			assert_int_equal(v[i].segment, i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_to_gain),
		cmocka_unit_test(monotonic),
		cmocka_unit_test(greedy_when_uniform),
		cmocka_unit_test(hot_is_left_to_decay),
		cmocka_unit_test(like_ages_go_together),
		cmocka_unit_test(ties_and_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
