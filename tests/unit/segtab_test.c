/*
 * segtab_test - the table of segments: what is room, what is in use, what is
 * being read; a segment is given out only when it is all of filled, free and
 * unread.
 */
#include "tests/unit/unit.h"

#include "crypto/kdf.h"
#include "crypto/secret.h"
#include "liblbs/log/segtab.h"

#define COUNT 8u

static uint8_t data_key[AEAD_KEY_BYTES] = { 1 };
static const struct sealer sealer = { .cipher = AEAD_CHACHA20POLY1305,
				      .store_id = { 2 },
				      .data_key = data_key };
static struct segtab *table;

static int
setup(void **state)
{
	(void)state;
	table = segtab_new(&sealer, COUNT);
	return table ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	segtab_free(table);
	return 0;
}

static void
room_is(uint32_t filled, uint32_t free)
{
	uint32_t a, b;

	segtab_room(table, &a, &b);
	assert_int_equal(a, filled);
	assert_int_equal(b, free);
}

static void
only_what_is_filled_is_room(void **state)
{
	uint32_t s;

	(void)state;
	room_is(0, 0);
	assert_int_equal(segtab_take(table, &s), -1);
	segtab_fill(table, 0);
	segtab_fill(table, 0); /* told twice, counted once */
	room_is(1, 1);
	assert_true(segtab_is_filled(table, 0));
	assert_false(segtab_is_filled(table, 1));
	assert_int_equal(segtab_take(table, &s), 0);
	assert_int_equal(s, 0);
	room_is(1, 0);
	assert_int_equal(segtab_take(table, &s), -1);
}

static void
segments_are_taken_in_turn(void **state)
{
	uint32_t s;

	(void)state;
	for (uint32_t i = 0; i < COUNT; i++)
		segtab_fill(table, i);
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(segtab_take(table, &s), 0);
		assert_int_equal(s, i);
	}
	segtab_release(table, 2);
	segtab_release(table, 6);
	room_is(COUNT, 2);
	assert_int_equal(segtab_take(table, &s), 0);
	assert_int_equal(s, 2);
	segtab_release(table, 2); /* not again at once: wear is spread */
	assert_int_equal(segtab_take(table, &s), 0);
	assert_int_equal(s, 6);
}

static void
what_is_being_read_is_not_taken(void **state)
{
	uint32_t s;

	(void)state;
	segtab_fill(table, 0);
	segtab_fill(table, 1);
	segtab_pin(table, 0);
	segtab_pin(table, 0);
	assert_int_equal(segtab_take(table, &s), 0);
	assert_int_equal(s, 1);
	assert_int_equal(segtab_take(table, &s), -1);
	segtab_unpin(table, 0);
	assert_int_equal(segtab_take(table, &s), -1);
	segtab_unpin(table, 0);
	assert_int_equal(segtab_take(table, &s), 0);
	assert_int_equal(s, 0);
}

static void
a_segment_in_use_has_the_key_of_its_salt(void **state)
{
	uint8_t salt[SALT_BYTES], want[AEAD_KEY_BYTES];
	uint32_t s;

	(void)state;
	assert_null(segtab_key(table, 3));
	assert_null(segtab_key(table, COUNT)); /* asked for by hostile data */
	assert_null(segtab_key(table, UINT32_MAX));
	draw_bytes(salt, sizeof salt);
	segtab_use(table, 3, 7, salt, 99);
	kdf_segment_key(data_key, sealer.store_id, 3, salt, want);
	assert_memory_equal(segtab_key(table, 3), want, sizeof want);
	/* Taken anew, it has no key until its new salt is known. */
	segtab_fill(table, 3);
	segtab_release(table, 3);
	assert_int_equal(segtab_take(table, &s), 0);
	assert_int_equal(s, 3);
	assert_null(segtab_key(table, 3));
	salt[0] ^= 1;
	segtab_use(table, 3, 8, salt, RECNO_OPEN);
	assert_memory_not_equal(segtab_key(table, 3), want, sizeof want);
}

static void
known_use_of_a_filled_segment_is_no_room(void **state)
{
	uint8_t salt[SALT_BYTES] = { 0 };

	(void)state;
	/* In either order, as metadata and log make them known. */
	segtab_fill(table, 0);
	segtab_use(table, 0, 1, salt, 5);
	segtab_use(table, 1, 2, salt, 6);
	segtab_fill(table, 1);
	segtab_use(table, 1, 2, salt, 6);
	room_is(2, 0);
	segtab_release(table, 0);
	segtab_release(table, 0);
	room_is(2, 1);
}

static void
facts_are_kept(void **state)
{
	uint8_t salt[SALT_BYTES] = { 9 };
	struct segment_info info;

	(void)state;
	segtab_use(table, 4, 77, salt, RECNO_OPEN);
	segtab_live_set(table, 4, 10);
	segtab_live_add(table, 4, -3);
	segtab_live_add(table, 4, 1);
	segtab_set_last_recno(table, 4, 123);
	segtab_set_in_metadata(table, 4, 1);
	segtab_info(table, 4, &info);
	assert_true(info.used && !info.filled && info.in_metadata);
	assert_int_equal(info.serial, 77);
	assert_int_equal(info.live, 8);
	assert_int_equal(info.last_recno, 123);
	assert_memory_equal(info.salt, salt, SALT_BYTES);
	segtab_release(table, 4);
	segtab_info(table, 4, &info);
	assert_false(info.used || info.in_metadata);
}

static void
ages_count_segments_of_log(void **state)
{
	const uint8_t salt[SALT_BYTES] = { 0 };
	struct segment_info info;

	(void)state;
	/* As loaded: ranked by serial, whatever their place. */
	segtab_use(table, 5, 10, salt, 0);
	segtab_use(table, 1, 30, salt, 0);
	segtab_use(table, 3, 20, salt, 0);
	assert_int_equal(segtab_rank(table), 0);
	segtab_info(table, 5, &info);
	assert_int_equal(info.age, 3);
	segtab_info(table, 3, &info);
	assert_int_equal(info.age, 2);
	segtab_info(table, 1, &info);
	assert_int_equal(info.age, 1);
	segtab_tick(table);
	segtab_close(table, 3, RECNO_COLD);
	segtab_tick(table);
	segtab_info(table, 3, &info);
	assert_int_equal(info.age, 1);
	assert_true(info.last_recno == RECNO_COLD);
	segtab_info(table, 5, &info);
	assert_int_equal(info.age, 5);
	segtab_live_set(table, 5, 7);
	segtab_live_set(table, 1, 4);
	assert_int_equal(segtab_live_total(table), 11);
}

static void
marks_end_with_the_use(void **state)
{
	const uint8_t salt[SALT_BYTES] = { 0 };
	struct segment_info info;
	uint32_t s;

	(void)state;
	segtab_fill(table, 2);
	segtab_use(table, 2, 10, salt, 0);
	segtab_hold(table, 2, 1);
	segtab_set_stuck(table, 2);
	segtab_info(table, 2, &info);
	assert_true(info.held && info.stuck);
	assert_int_equal(segtab_take(table, &s), -1);
	segtab_hold(table, 2, 0);
	segtab_release(table, 2);
	assert_int_equal(segtab_take(table, &s), 0);
	segtab_info(table, s, &info);
	assert_false(info.held || info.stuck);
}

int
main(int argc, char **argv)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(only_what_is_filled_is_room),
		STORY(segments_are_taken_in_turn),
		STORY(what_is_being_read_is_not_taken),
		STORY(a_segment_in_use_has_the_key_of_its_salt),
		STORY(known_use_of_a_filled_segment_is_no_room),
		STORY(facts_are_kept),
		STORY(ages_count_segments_of_log),
		STORY(marks_end_with_the_use),
	};

	unit_seed(argc, argv);
	if (secret_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
