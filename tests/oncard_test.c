/*
 * oncard_test.c - the page cache that bench/oncard puts between a store and its
 * modelled card: what it holds back, what it writes and in which order, what it
 * reads.
 */
#include "bench/oncard/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MIB  (1u << 20)
#define SIZE (256u * MIB)

static void
start(struct host *h, const char *preset)
{
	const struct sdcard_params *p = sdcard_preset(preset);

	assert_non_null(p);
	host_init(h, &p, 1, SIZE, 0);
}

static uint64_t
ops(const struct host *h, int kind)
{
	return sdcard_counts(h->card[0])->kind[kind].ops;
}

static uint64_t
bytes(const struct host *h, int kind)
{
	return sdcard_counts(h->card[0])->kind[kind].bytes;
}

/* Nothing reaches the card before a sync; then every page once, in requests of
 * up to 512 KiB, whatever the order was; and each sync flushes. */
static void
holds_back(void **state)
{
	struct host h;

	(void)state;
	start(&h, "a1-2018");
	for (uint32_t i = 300; i-- > 0;)
		host_write(&h, 64 * MIB + i * 4096, 4096);
	host_write(&h, 64 * MIB, 4096);
	assert_int_equal(h.dirty_pages, 300);
	assert_int_equal(ops(&h, SDCARD_WRITES), 0);
	host_sync(&h, 0, SIZE);
	assert_int_equal(bytes(&h, SDCARD_WRITES), 300 * 4096);
	assert_int_equal(ops(&h, SDCARD_WRITES), 3);
	assert_int_equal(ops(&h, SDCARD_FLUSHES), 1);
	assert_int_equal(h.dirty_pages, 0);
	host_sync(&h, 0, SIZE);
	assert_int_equal(ops(&h, SDCARD_WRITES), 3);
	assert_int_equal(ops(&h, SDCARD_READS), 0);
	host_free(&h);
}

/* In the order of the card, whatever order they came in: no unit is left
 * before it is full, where writing them as they came would close one for each.
 */
static void
in_order(void **state)
{
	const struct sdcard_counts *n;
	struct host h;

	(void)state;
	start(&h, "class4-2013");
	for (uint32_t i = 0; i < 64; i++)
		for (uint32_t unit = 0; unit < 32; unit++)
			host_write(&h, 64 * MIB + unit * 4 * MIB + i * 65536,
				   65536);
	n = sdcard_counts(h.card[0]);
	host_sync(&h, 0, SIZE);
	assert_int_equal(n->switch_merges, 32);
	assert_int_equal(n->partial_merges + n->full_merges, 0);
	host_free(&h);
}

/* Only what was asked for, and is dirty. */
static void
syncs_a_range(void **state)
{
	struct host h;

	(void)state;
	start(&h, "a1-2018");
	for (uint64_t at = 0; at < SIZE; at += 8 * MIB)
		host_write(&h, at, 8192);
	host_sync(&h, 32 * MIB, 64 * MIB);
	assert_int_equal(bytes(&h, SDCARD_WRITES), 8 * 8192);
	assert_int_equal(h.dirty_pages, 2 * (32 - 8));
	/* Beyond the card's end there is nothing. */
	host_sync(&h, 96 * MIB, 4ull << 30);
	assert_int_equal(h.dirty_pages, 2 * 4);
	host_free(&h);
}

/* Part of a page that is not in memory is read before it is changed; what was
 * written or read lately is in memory. */
static void
reads_what_it_must(void **state)
{
	const uint64_t memory = (uint64_t)HOST_CLEAN_PAGES * HOST_PAGE;
	struct host h;

	(void)state;
	start(&h, "a1-2018");
	host_write(&h, MIB + 100, 4096);
	assert_int_equal(bytes(&h, SDCARD_READS), 8192);
	host_write(&h, MIB + 200, 512);
	host_read(&h, MIB, 8192);
	assert_int_equal(bytes(&h, SDCARD_READS), 8192);
	host_read(&h, MIB - 4096, 16384);
	assert_int_equal(bytes(&h, SDCARD_READS), 16384);
	host_sync(&h, 0, SIZE);
	host_read(&h, MIB, 8192);
	assert_int_equal(bytes(&h, SDCARD_READS), 16384);
	/* As long as memory is: the first is gone. */
	host_read(&h, 64 * MIB, memory);
	assert_int_equal(bytes(&h, SDCARD_READS), 16384 + memory);
	host_read(&h, MIB, 8192);
	assert_int_equal(bytes(&h, SDCARD_READS), 16384 + memory + 8192);
	host_drop(&h);
	host_read(&h, MIB, 8192);
	assert_int_equal(bytes(&h, SDCARD_READS), 16384 + memory + 16384);
	host_free(&h);
}

/* Dirty pages stay in memory however much is read, and are written once. */
static void
keeps_what_is_dirty(void **state)
{
	struct host h;

	(void)state;
	start(&h, "a1-2018");
	host_read(&h, MIB, 4096);
	host_write(&h, MIB, 4096);
	host_read(&h, 64 * MIB, 64 * MIB);
	host_drop(&h);
	sdcard_counts_reset(h.card[0]);
	host_read(&h, MIB, 4096);
	assert_int_equal(ops(&h, SDCARD_READS), 0);
	host_sync(&h, 0, SIZE);
	assert_int_equal(bytes(&h, SDCARD_WRITES), 4096);
	host_free(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_back),
		cmocka_unit_test(in_order),
		cmocka_unit_test(syncs_a_range),
		cmocka_unit_test(reads_what_it_must),
		cmocka_unit_test(keeps_what_is_dirty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
