/*
 * ahead_test - which reads are a sequence, and what is asked for ahead of them:
 * all of it once, never before a sequence is one, nothing for random reads.
 */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "liblbs/store/ahead.h"

#define BLOCK 4096u
#define KIB 1024u

/* Reads in order in pieces from a place; gives how much was asked for, and holds
 * that it is one stretch which never falls behind the reader. */
static uint64_t
read_in_order(struct ahead *a, uint64_t begin, uint64_t len, uint32_t piece)
{
	uint64_t asked = 0, expected = 0, from, to;

	for (uint64_t at = begin; at < begin + len; at += piece) {
		int due = ahead_is_due(a, at, piece);

		assert_int_equal(ahead_note(a, at, piece, &from, &to), due);
		if (!due)
			continue;
		assert_true(from < to);
		if (expected)
			assert_int_equal(from, expected);
		else
			assert_in_range(from - begin, AHEAD_BEGIN_BYTES,
					AHEAD_BEGIN_BYTES + 2ull * piece);
		assert_in_range(to - (at + piece), AHEAD_WINDOW_BYTES / 2,
				AHEAD_WINDOW_BYTES);
		asked += to - from;
		expected = to;
	}
	return asked;
}

static void
sequence_is_asked_for_once(void **state)
{
	struct ahead a;

	(void)state;
	ahead_init(&a);
	assert_in_range(read_in_order(&a, 10 << 20, 8 << 20, BLOCK),
			(8 << 20) - AHEAD_BEGIN_BYTES,
			(8 << 20) + AHEAD_WINDOW_BYTES);
	ahead_free(&a);
	ahead_init(&a);
	assert_in_range(read_in_order(&a, 0, 8 << 20, 128 * KIB),
			(8 << 20) - 2 * AHEAD_BEGIN_BYTES,
			(8 << 20) + AHEAD_WINDOW_BYTES);
	ahead_free(&a);
}

static void
random_reads_ask_for_little(void **state)
{
	uint64_t seed = 88172645463325252ull, from, to;
	int asked = 0, due = 0, reads = 100000;
	struct ahead a;

	(void)state;
	ahead_init(&a);
	for (int i = 0; i < reads; i++) {
		seed ^= seed >> 12, seed ^= seed << 25, seed ^= seed >> 27;
		uint64_t at = (seed * 2685821657736338717ull >> 32) %
			      (1 << 18) * BLOCK;

		due += ahead_is_due(&a, at, BLOCK);
		asked += ahead_note(&a, at, BLOCK, &from, &to);
		assert_int_equal(due, asked);
	}
	assert_true(asked * 1000 < reads);
	ahead_free(&a);
}

static void
readers_are_told_apart(void **state)
{
	uint64_t from, to, asked[AHEAD_STREAMS] = { 0 };
	struct ahead a;

	(void)state;
	ahead_init(&a);
	for (uint64_t at = 0; at < 4 << 20; at += 16 * KIB)
		for (uint64_t s = 0; s < AHEAD_STREAMS; s++)
			if (ahead_note(&a, (s << 30) + at, 16 * KIB, &from,
				       &to)) {
				assert_int_equal(from >> 30, s);
				asked[s] += to - from;
			}
	for (int s = 0; s < AHEAD_STREAMS; s++)
		assert_in_range(asked[s], 3 << 20, 5 << 20);
	ahead_free(&a);
}

/* As many requests in flight as a hypervisor has: they arrive in any order. */
static void
a_sequence_may_arrive_shuffled(void **state)
{
	uint64_t asked = 0, from, to, end = 0;
	struct ahead a;

	(void)state;
	ahead_init(&a);
	for (uint64_t at = 0; at < 8 << 20; at += 64 * KIB)
		for (uint64_t i = 0; i < 16; i++)
			if (ahead_note(&a, at + (i * 7 % 16) * BLOCK, BLOCK,
				       &from, &to)) {
				assert_true(from >= end);
				end = to;
				asked += to - from;
			}
	assert_in_range(asked, 7 << 20, 9 << 20);
	ahead_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sequence_is_asked_for_once),
		cmocka_unit_test(random_reads_ask_for_little),
		cmocka_unit_test(readers_are_told_apart),
		cmocka_unit_test(a_sequence_may_arrive_shuffled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
