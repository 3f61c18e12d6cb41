/*
 * grow_test - programs of other ages: structures that are shorter or longer than ours
 * are taken as far as they can be, and never read or written beyond their end.
 */
#include "tests/unit/store.h"

#include "liblbs/grow.h"

static int
setup(void **state)
{
	(void)state;
	return store_make(16 * MIB, 96 * MIB);
}

/* On the heap, exactly so long: a sanitizer sees any overreach. */
static uint8_t *
of_size(uint32_t bytes)
{
	uint8_t *p = calloc(1, bytes);

	memcpy(p, &bytes, sizeof bytes);
	return p;
}

static void
options_of_any_age(void **state)
{
	struct lbs_open_options own;
	uint8_t *given;

	(void)state;
	for (uint32_t n = 4; n < sizeof own + 32; n++) {
		given = of_size(n);
		memset(&own, 0xa5, sizeof own);
		if (n > 4)
			given[4] = LBS_RDONLY;
		assert_int_equal(grow_in(&own, sizeof own, GROW_OPEN, given),
				 n < GROW_OPEN ? LBS_EINVAL : 0);
		if (n >= GROW_OPEN) {
			assert_int_equal(own.flags, LBS_RDONLY);
			assert_null(own.log_ctx);
		}
		/* It asks for something that we do not know. */
		if (n > sizeof own) {
			given[n - 1] = 1;
			assert_int_equal(grow_in(&own, sizeof own, GROW_OPEN,
						 given), LBS_EINVAL);
		}
		free(given);
	}
	/* A later library's structure, from a program of today. */
	struct {
		struct lbs_open_options old;
		uint64_t later;
	} new;

	memset(&new, 0xa5, sizeof new);
	own = (struct lbs_open_options){ .struct_size = sizeof own,
					 .flags = LBS_RDONLY };
	assert_int_equal(grow_in(&new, sizeof new, GROW_OPEN, &own), 0);
	assert_int_equal(new.old.flags, LBS_RDONLY);
	assert_int_equal(new.later, 0);
}

static void
info_of_any_age(void **state)
{
	struct lbs_store_info now = { .struct_size = sizeof now };

	(void)state;
	assert_int_equal(lbs_store_info(store, &now), 0);
	assert_int_equal(now.struct_size, sizeof now);
	assert_int_equal(now.block_size, 4096);
	for (uint32_t n = (uint32_t)GROW_INFO - 4; n < sizeof now + 32; n += 4) {
		uint8_t *p = of_size(n);

		memset(p + 4, 0xa5, n - 4);
		if (n < GROW_INFO) {
			assert_int_equal(lbs_store_info(store, (void *)p),
					 LBS_EINVAL);
		} else {
			assert_int_equal(lbs_store_info(store, (void *)p), 0);
			assert_memory_equal(p + 4, (uint8_t *)&now + 4,
					    GROW_INFO - 4);
			for (uint32_t i = sizeof now; i < n; i++)
				assert_int_equal(p[i], 0);
		}
		free(p);
	}
}

static void
counters_of_any_age(void **state)
{
	uint64_t few[3] = { 9, 9, 77 }, many[LBS_STAT_COUNT + 2];

	(void)state;
	lbs_store_stats(store, few, 2);
	assert_int_equal(few[2], 77);
	memset(many, 0xa5, sizeof many);
	lbs_store_stats(store, many, LBS_STAT_COUNT + 2);
	assert_true(many[LBS_STAT_CAPACITY_BYTES] > 0);
	assert_int_equal(many[LBS_STAT_COUNT], 0);
	assert_int_equal(many[LBS_STAT_COUNT + 1], 0);
}

static void
calls_take_longer_options(void **state)
{
	struct {
		struct lbs_open_options o;
		uint64_t later;
	} open = { .o.struct_size = sizeof open };
	struct {
		struct lbs_queue_options o;
		uint64_t later;
	} queue = { .o.struct_size = sizeof queue };
	lbs_queue *q;

	(void)state;
	assert_int_equal(lbs_queue_open(store, &queue.o, &q), 0);
	assert_int_equal(lbs_queue_close(q), 0);
	queue.later = 1;
	assert_int_equal(lbs_queue_open(store, &queue.o, &q), LBS_EINVAL);
	assert_int_equal(store_close(), 0);
	assert_int_equal(lbs_store_probe(store_path, &open.o), 0);
	assert_int_equal(lbs_store_open(store_path, &open.o, &store), 0);
	assert_int_equal(lbs_store_close(store), 0);
	store = NULL;
	open.later = 1;
	assert_int_equal(lbs_store_probe(store_path, &open.o), LBS_EINVAL);
	assert_int_equal(lbs_store_open(store_path, &open.o, &store), LBS_EINVAL);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_of_any_age),
		cmocka_unit_test(info_of_any_age),
		cmocka_unit_test(counters_of_any_age),
		cmocka_unit_test(calls_take_longer_options),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, setup, store_remove);
}
