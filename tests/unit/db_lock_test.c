/*
 * db_lock_test - a flush that waits for the metadata connection gets it after the
 * slice that is being written, not after the whole checkpoint (DESIGN.md,
 * condition 8). Must not depend on who is put aside when.
 */
#include "liblbs/store/internal.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define ROUNDS 40
#define PATIENCE_US 30000000 /* only a lock that is not fair lets it pass */

static lbs_store *s;
static _Atomic uint64_t begun, ended; /* slices */
static _Atomic int stop, nobody_came;

/* Whether somebody is next in line for db. */
static int
somebody_waits(void)
{
	if (pthread_mutex_trylock(&s->db_next) == EBUSY)
		return 1;
	pthread_mutex_unlock(&s->db_next);
	return 0;
}

/* As a checkpoint does it: one slice after the other, with no rest between them. Each
 * lasts until somebody waits for its end. */
static void *
write_slices(void *arg)
{
	(void)arg;
	while (!stop && !nobody_came) {
		int us = 0;

		store_db_lock(s);
		begun++;
		while (!stop && !nobody_came && !somebody_waits()) {
			usleep(100);
			us += 100;
			nobody_came = us >= PATIENCE_US;
		}
		ended++;
		store_db_unlock(s);
	}
	return NULL;
}

static void
a_waiter_waits_for_one_slice(void **state)
{
	pthread_t t;

	(void)state;
	s = calloc(1, sizeof *s);
	assert_non_null(s);
	pthread_mutex_init(&s->db, NULL);
	pthread_mutex_init(&s->db_next, NULL);
	assert_int_equal(pthread_create(&t, NULL, write_slices, NULL), 0);
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		/* The i-th slice is being written. */
		while (begun < i)
			usleep(100);
		store_db_lock(s);
		assert_false(nobody_came);
		assert_int_equal(begun, i);
		assert_int_equal(ended, i);
		store_db_unlock(s);
	}
	stop = 1;
	pthread_join(t, NULL);
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
