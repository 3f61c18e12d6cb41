/*
 * db_lock_test - a flush that waits for the metadata connection gets it after the
 * slice that is being written, not after the whole checkpoint (DESIGN.md,
 * condition 8).
 */
#include "liblbs/store/internal.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <time.h>

#define ROUNDS 40
#define SLICE_NS 300000

static lbs_store *s;
static _Atomic uint64_t slices;
static _Atomic int stop;

static void
rest(long ns)
{
	struct timespec t = { 0, ns };

	nanosleep(&t, NULL);
}

/* As a checkpoint does it: one slice after the other. */
static void *
write_slices(void *arg)
{
	(void)arg;
	while (!stop) {
		store_db_lock(s);
		rest(SLICE_NS);
		slices++;
		store_db_unlock(s);
	}
	return NULL;
}

static void
a_waiter_waits_for_one_slice(void **state)
{
	uint64_t before, waited = 0;
	pthread_t t;

	(void)state;
	s = calloc(1, sizeof *s);
	assert_non_null(s);
	pthread_mutex_init(&s->db, NULL);
	pthread_mutex_init(&s->db_next, NULL);
	assert_int_equal(pthread_create(&t, NULL, write_slices, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		rest(SLICE_NS * (i % 3));
		before = slices;
		store_db_lock(s);
		waited += slices - before;
		store_db_unlock(s);
	}
	stop = 1;
	pthread_join(t, NULL);
	/* One each, and a few for when this thread was put aside between looking
	 * and asking. A lock that its holder may take again at once gives 70. */
	assert_in_range(waited, ROUNDS / 2, ROUNDS * 4 / 3);
	assert_true(slices >= ROUNDS / 2);
	pthread_mutex_destroy(&s->db_next);
	pthread_mutex_destroy(&s->db);
	free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_waiter_waits_for_one_slice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
