/*
 * tools_test.c - sizes and names as the command line reads and writes them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lbs.h"
#include "tools/common/names.h"
#include "tools/common/size.h"

static void
sizes_are_read(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "512K", 512 << 10 },
		{ "512m", 512 << 20 },
		{ "32G", (uint64_t)32 << 30 },
		{ "2TiB", (uint64_t)2 << 40 },
		{ "1p", (uint64_t)1 << 50 },
		{ "15E", (uint64_t)15 << 60 },
		{ "18446744073709551615", UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const char *why = "";
		uint64_t bytes = 1;

		assert_int_equal(size_parse(good[i].text, &bytes, &why), 0);
		assert_true(bytes == good[i].bytes);
	}
}

static void
what_is_no_size_is_refused_with_a_reason(void **state)
{
	static const char *const bad[] = {
		"", " ", "x", "K", "-1", "-0", "+1", "1.5G", "1,5G", "1MB", "1Gb",
		"1Z", "1 M", "1M ", "1MM", "1MiBs", "0x10", "1e3", "16E",
		"18446744073709551616", "99999999999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *why = NULL;
		uint64_t bytes = 7;

		assert_int_equal(size_parse(bad[i], &bytes, &why), -1);
		assert_non_null(why);
		assert_true(bytes == 7);
	}
}

static void
sizes_are_written_for_people(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} list[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1 KiB" },
		{ 1536, "1.50 KiB" },
		{ (uint64_t)64 << 20, "64 MiB" },
		{ ((uint64_t)36 << 30) + 1, "36.0 GiB" },
		{ (uint64_t)1 << 63, "8 EiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};
	char text[SIZE_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		assert_string_equal(size_format(list[i].bytes, text),
				    list[i].text);
}

static void
names_go_both_ways(void **state)
{
	(void)state;
	for (int c = LBS_CIPHER_CHACHA20POLY1305; c <= LBS_CIPHER_AEGIS256; c++)
		assert_int_equal(names_find_cipher(names_cipher(c)), c);
	for (int f = LBS_FRESHNESS_FLUSH; f <= LBS_FRESHNESS_CHECKPOINT; f++)
		assert_int_equal(names_find_freshness(names_freshness(f)), f);
	assert_int_equal(names_find_cipher("rot13"), 0);
	assert_int_equal(names_find_freshness(""), 0);
	assert_string_equal(names_cipher(99), "?");
	assert_string_equal(names_freshness(0), "?");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_read),
		cmocka_unit_test(what_is_no_size_is_refused_with_a_reason),
		cmocka_unit_test(sizes_are_written_for_people),
		cmocka_unit_test(names_go_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
