/*
 * fold_test - when a region is folded: by what its deltas are of its base, never
 * too early nor too late, and not all regions at once.
 */
#include "tests/unit/unit.h"

#include "liblbs/format/layout.h"
#include "liblbs/map/fold.h"

#define REGIONS 128u
#define BASE 780000u /* of a region of random blocks */

static struct fold_region
region(uint64_t number, size_t base, size_t delta)
{
	return (struct fold_region){ .layer = 1, .region = number,
				     .base_bytes = base, .delta_bytes = delta,
				     .delta_rows = 2,
				     .mapped = MAP_REGION_BLOCKS };
}

static void
a_fold_waits_for_its_share(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 10000; i++) {
		size_t base = draw_between(1000, 1 << 20);
		struct fold_region r = region(i, base, base / 16 - 1);

		assert_false(fold_due(&r));
		r.delta_bytes = base * 3 / 16 + 1;
		assert_true(fold_due(&r));
		/* More deltas never make it wait longer. */
		r.delta_bytes = draw_between(base / 16, base * 3 / 16);
		if (fold_due(&r)) {
			r.delta_bytes++;
			assert_true(fold_due(&r));
		}
	}
}

static void
the_first_delta_becomes_the_base(void **state)
{
	struct fold_region r = region(0, 0, 1);

	(void)state;
	r.delta_rows = 1;
	assert_true(fold_due(&r));
}

static void
rows_are_bounded(void **state)
{
	struct fold_region r = region(0, BASE, 4000);

	(void)state;
	r.delta_rows = 1023;
	assert_false(fold_due(&r));
	r.delta_rows = 1024;
	assert_true(fold_due(&r));
}

static void
what_was_discarded_goes(void **state)
{
	struct fold_region r = region(0, BASE, 4);

	(void)state;
	assert_false(fold_due(&r));
	r.mapped = MAP_REGION_BLOCKS / 5;
	assert_true(fold_due(&r));
	/* The last block, in however small a region. */
	r = region(0, 6, 4);
	r.mapped = 0;
	assert_true(fold_due(&r));
}

/* How many of all regions are due when the deltas are so much of the base. */
static uint32_t
due(size_t base, size_t delta)
{
	uint32_t n = 0;

	for (uint64_t i = 0; i < 10000; i++) {
		struct fold_region r = region(i, base, delta);

		n += (uint32_t)fold_due(&r);
	}
	return n;
}

static void
regions_differ_and_so_do_their_turns(void **state)
{
	uint32_t both = 0;

	(void)state;
	for (uint32_t tenth = 1; tenth < 10; tenth++)
		assert_in_range(due(BASE, BASE / 16 + BASE / 80 * tenth),
				tenth * 1000 - 300, tenth * 1000 + 300);
	for (uint64_t i = 0; i < 10000; i++) {
		struct fold_region r = region(i, BASE, BASE / 8);
		struct fold_region next = region(i, BASE + 8, BASE / 8 + 1);

		both += (uint32_t)(fold_due(&r) && fold_due(&next));
	}
	assert_in_range(both, 2200, 2800);
}

/* Uniform writes: all regions gain the same in each round, from empty on. */
static void
uniform_writes_do_not_fold_all_at_once(void **state)
{
	size_t base[REGIONS] = { 0 }, delta[REGIONS] = { 0 }, mapped = 0;
	size_t folded, most = 0, sum = 0, held = 0;

	(void)state;
	for (uint32_t round = 0; round < 600; round++) {
		folded = 0;
		mapped += (MAP_REGION_BLOCKS - mapped) / 128;
		for (uint64_t i = 0; i < REGIONS; i++) {
			struct fold_region r;

			delta[i] += 6500 + draw(200);
			r = region(i, base[i], delta[i]);
			r.mapped = (uint32_t)mapped;
			if (!fold_due(&r))
				continue;
			base[i] = mapped * 6 + draw(200);
			delta[i] = 0;
			folded += base[i];
		}
		if (round < 300)
			continue;
		sum += folded;
		most = folded > most ? folded : most;
		for (uint64_t i = 0; i < REGIONS; i++)
			held += delta[i];
	}
	/* Each byte of delta costs about eight of base; deltas are about a
	 * sixteenth of the base at any time. */
	assert_in_range(sum / 300, 6 * REGIONS * 6600, 9 * REGIONS * 6600);
	assert_true(most < 3 * (sum / 300));
	assert_in_range(held / 300, REGIONS * BASE / 20, REGIONS * BASE / 13);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fold_waits_for_its_share),
		cmocka_unit_test(the_first_delta_becomes_the_base),
		cmocka_unit_test(rows_are_bounded),
		cmocka_unit_test(what_was_discarded_goes),
		cmocka_unit_test(regions_differ_and_so_do_their_turns),
		cmocka_unit_test(uniform_writes_do_not_fold_all_at_once),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
