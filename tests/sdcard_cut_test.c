/*
 * sdcard_cut_test.c - the modelled SD card (bench/sdcard) loses power: each
 * variant loses what it says, and nothing else. Seeds count up from 1.
 */
#include "bench/sdcard/device.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB	   (1u << 20)
#define CARD_BYTES (64u * MIB)
#define MIDDLE	   (CARD_BYTES / 2)
#define EARLY	   (CARD_BYTES / 4)

struct memory {
	uint8_t *now;	   /* the medium */
	uint8_t *expected; /* what it must be where nothing is in doubt */
};

static int
memory_read(void *ctx, void *buf, uint32_t len, uint64_t offset)
{
	memcpy(buf, ((struct memory *)ctx)->now + offset, len);
	return 0;
}

static int
memory_write(void *ctx, const void *buf, uint32_t len, uint64_t offset)
{
	memcpy(((struct memory *)ctx)->now + offset, buf, len);
	return 0;
}

static int
memory_erase(void *ctx, uint64_t offset, uint64_t len)
{
	memset(((struct memory *)ctx)->now + offset, 0, len);
	return 0;
}

static struct memory memory;

static int
memory_setup(void **state)
{
	(void)state;
	memory.now = calloc(1, CARD_BYTES);
	memory.expected = calloc(1, CARD_BYTES);
	return !memory.now || !memory.expected;
}

static int
memory_teardown(void **state)
{
	(void)state;
	free(memory.now);
	free(memory.expected);
	return 0;
}

static struct device *
device_of(const char *preset, const struct device_policy *policy)
{
	const struct device_medium m = { memory_read, memory_write,
					 memory_erase, &memory };
	struct device *d = device_new(
		sdcard_new(sdcard_preset(preset), CARD_BYTES), &m, policy);

	assert_non_null(d);
	memset(memory.now, 0, CARD_BYTES);
	memset(memory.expected, 0, CARD_BYTES);
	return d;
}

/* Writes a byte all over [at, at + len). */
static int
fill(struct device *d, uint8_t byte, uint64_t at, uint32_t len)
{
	static uint8_t buf[8 * MIB];

	memset(buf, byte, len);
	return device_write(d, buf, len, at);
}

static void
expect(uint8_t byte, uint64_t at, uint32_t len)
{
	memset(memory.expected + at, byte, len);
}

static int
as_expected(void)
{
	return memcmp(memory.now, memory.expected, CARD_BYTES) == 0;
}

/* How many bytes of [at, at + len) are byte; 0 unless each sector is of one
 * kind. */
static uint32_t
count_of(uint8_t byte, uint64_t at, uint32_t len)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < len; i += SDCARD_SECTOR) {
		const uint8_t *sector = memory.now + at + i;

		assert_int_equal(memcmp(sector, sector + 1, SDCARD_SECTOR - 1),
				 0);
		count += *sector == byte ? SDCARD_SECTOR : 0;
	}
	return count;
}

/* A card without a cache loses nothing that it has acknowledged; without power
 * it answers nothing; then it goes on. */
static void
cut_between_requests(void **state)
{
	struct device_policy policy = { .seed = 1 };
	struct device *d = device_of("c10-ultra-2014", &policy);
	uint8_t buf[512];

	(void)state;
	for (uint32_t i = 0; i < 64; i++) {
		assert_int_equal(
			fill(d, (uint8_t)(1 + i), MIDDLE + i * 4096, 4096), 0);
		expect((uint8_t)(1 + i), MIDDLE + i * 4096, 4096);
	}
	assert_int_equal(device_cut(d), 0);
	assert_true(as_expected());
	assert_int_equal(device_read(d, buf, 512, 0), -EIO);
	assert_int_equal(device_write(d, buf, 512, 0), -EIO);
	assert_int_equal(device_flush(d), -EIO);
	assert_int_equal(device_discard(d, 0, 512), -EIO);
	device_power_on(d);
	assert_int_equal(device_read(d, buf, 512, MIDDLE), 0);
	assert_int_equal(buf[0], 1);
	assert_int_equal(device_cuts(d), 1);
	device_free(d);
}

/* The write in flight: any of its sectors, and no other byte of the card. */
static void
cut_in_flight(void **state)
{
	int none = 0, all = 0, beginning = 0, scattered = 0;

	(void)state;
	for (uint64_t s = 1; s <= 200; s++) {
		struct device_policy policy = { .seed = s };
		struct device *d = device_of("a1-2018", &policy);
		uint32_t kept, first;

		fill(d, 'a', MIB, 65536);
		device_cut_in(d, 2);
		assert_int_equal(fill(d, 'b', 2 * MIB, 4096), 0);
		assert_int_equal(fill(d, 'c', MIB, 8192), -EIO);
		assert_false(device_has_power(d));
		kept = count_of('c', MIB, 8192);
		for (first = 0; first < 8192 && memory.now[MIB + first] == 'c';)
			first += SDCARD_SECTOR;
		none += kept == 0;
		all += kept == 8192;
		beginning += kept == first && kept && kept < 8192;
		scattered += kept != first;
		assert_int_equal(count_of('a', MIB, 65536), 65536 - kept);
		assert_int_equal(count_of('b', 2 * MIB, 4096), 4096);
		expect(0, 0, CARD_BYTES);
		memcpy(memory.expected + MIB, memory.now + MIB, 65536);
		expect('b', 2 * MIB, 4096);
		assert_true(as_expected());
		device_free(d);
	}
	assert_true(none && all && beginning > 20 && scattered > 20);
	for (uint64_t s = 1; s <= 50; s++) {
		struct device_policy policy = { .seed = s, .untorn = 1 };
		struct device *d = device_of("a1-2018", &policy);
		uint32_t kept;

		device_cut_in(d, 1);
		assert_int_equal(fill(d, 'c', MIB, 8192), -EIO);
		kept = count_of('c', MIB, 8192);
		assert_true(kept == 0 || kept == 8192);
		device_free(d);
	}
}

/* Eight writes into the volatile cache, each followed by one to a place they
 * share: a flush saves what came before it, the cache writes the oldest by
 * itself; of the others, which *safe excludes, any are lost. */
static unsigned
cache_cut(uint64_t s, enum device_lose lose, int flush_after, unsigned *safe)
{
	struct device_policy policy = { .seed = s, .lose = lose };
	struct device *d = device_of("a2-cache", &policy);
	unsigned survived = 0, pending;

	for (unsigned i = 0; i < 8; i++) {
		fill(d, (uint8_t)(1 + i), MIDDLE + i * MIB, 4096);
		fill(d, (uint8_t)(1 + i), EARLY, 4096);
		if ((int)i == flush_after)
			assert_int_equal(device_flush(d), 0);
	}
	pending = device_pending(d);
	assert_in_range(pending, 3, 2 * (7 - flush_after));
	*safe = (1u << (16 - pending + 1) / 2) - 1;
	assert_int_equal(device_cut(d), 0);
	for (unsigned i = 0; i < 8; i++) {
		uint32_t n = count_of((uint8_t)(1 + i), MIDDLE + i * MIB, 4096);

		assert_true(n == 0 || n == 4096);
		survived |= n ? 1u << i : 0;
	}
	/* The last survivor of those that overlap; at least the flushed. */
	assert_true(memory.now[EARLY] >= flush_after + 1);
	assert_int_equal(count_of(memory.now[EARLY], EARLY, 4096), 4096);
	device_free(d);
	return survived;
}

static void
cut_with_cache(void **state)
{
	unsigned seen = 0, safe, again;
	int reordered = 0;

	(void)state;
	for (uint64_t s = 1; s <= 100; s++) {
		unsigned survived = cache_cut(s, DEVICE_LOSE_SOME, 3, &safe);

		assert_int_equal(safe & 15, 15);
		assert_int_equal(survived & safe, safe);
		assert_int_equal(survived,
				 cache_cut(s, DEVICE_LOSE_SOME, 3, &again));
		seen |= survived;
		/* A later one without an earlier one. */
		reordered += (survived & (survived + 1)) != 0;
	}
	assert_int_equal(seen, 255);
	assert_true(reordered > 20);
	assert_int_equal(cache_cut(1, DEVICE_LOSE_ALL, 3, &safe), safe);
	assert_int_equal(cache_cut(1, DEVICE_LOSE_NONE, 3, &safe), 255);
}

/* What drained by itself is no longer lost. */
static void
cache_drains(void **state)
{
	struct device_policy policy = { .lose = DEVICE_LOSE_ALL };
	struct device *d = device_of("a2-cache", &policy);

	(void)state;
	fill(d, 'a', MIDDLE, 4096);
	sdcard_idle(device_card(d), 20000000);
	fill(d, 'b', EARLY, 4096);
	assert_int_equal(device_pending(d), 1);
	device_cut(d);
	assert_int_equal(count_of('a', MIDDLE, 4096), 4096);
	assert_int_equal(count_of('b', EARLY, 4096), 0);
	device_free(d);
}

/* Acknowledged within the last 100 ms of the card's time: lost, cache or none,
 * unless flushed. */
static void
cut_after_acknowledgement(void **state)
{
	struct device_policy policy = { .lose = DEVICE_LOSE_ALL,
					.ack_loss_ms = 100 };
	int64_t done[300], cut;

	(void)state;
	for (int flushed = 0; flushed < 2; flushed++) {
		struct device *d = device_of("a1-2018", &policy);

		for (int i = 0; i < 300; i++) {
			fill(d, 'x', MIDDLE + (uint64_t)i * 4096, 4096);
			done[i] = sdcard_now(device_card(d));
		}
		if (flushed)
			device_flush(d);
		cut = sdcard_now(device_card(d));
		device_cut(d);
		for (int i = 0; i < 300; i++)
			assert_int_equal(
				count_of('x', MIDDLE + (uint64_t)i * 4096,
					 4096),
				flushed || done[i] <= cut - 100000000 ? 4096
								      : 0);
		assert_true(done[0] < cut - 100000000);
		device_free(d);
	}
}

static void
cut_of_a_lying_card(void **state)
{
	struct device_policy policy = { .lose = DEVICE_LOSE_ALL,
					.lying_flush = 1 };
	struct device *d = device_of("a2-cache", &policy);
	int64_t before;

	(void)state;
	fill(d, 'a', MIDDLE, 4096);
	sdcard_idle(device_card(d), 800000000);
	fill(d, 'b', EARLY, 4096);
	before = sdcard_now(device_card(d));
	assert_int_equal(device_flush(d), 0);
	assert_true(sdcard_now(device_card(d)) == before);
	device_cut(d);
	assert_int_equal(count_of('a', MIDDLE, 4096), 4096);
	assert_int_equal(count_of('b', EARLY, 4096), 0);
	device_free(d);
}

/* A page of 16 KiB that was written before, in a unit that is open (or in pages
 * programmed shortly before), is garbage; nothing else is. */
static void
cut_spoils_a_page(void **state)
{
	static const char *const preset[] = { "class4-2013", "a1-2018" };
	struct device_policy policy = { .paired_page = 1 };

	(void)state;
	for (policy.seed = 1; policy.seed <= 60; policy.seed++) {
		struct device *d = device_of(preset[policy.seed % 2], &policy);
		uint32_t spoiled = 0;

		fill(d, 'o', EARLY, MIB); /* long before */
		for (uint32_t i = 0; i < 32; i++)
			fill(d, 'a', MIDDLE + i * 65536, 65536);
		device_cut(d);
		expect('a', MIDDLE, 32 * 65536);
		expect('o', EARLY, MIB);
		for (uint64_t at = 0; at < CARD_BYTES; at += 4096)
			spoiled += memcmp(memory.now + at, memory.expected + at,
					  4096) != 0
					   ? 4096
					   : 0;
		assert_true(spoiled && spoiled <= 16384);
		device_free(d);
	}
}

/* The unit that is merged when power fails is old, new, or garbage here and
 * there; the others are as they were. */
static void
cut_in_a_merge(void **state)
{
	struct device_policy policy = { .au_loss = 1, .untorn = 1 };
	int was[3] = { 0 };

	(void)state;
	for (policy.seed = 1; policy.seed <= 60; policy.seed++) {
		struct device *d = device_of("class4-2013", &policy);
		uint64_t unit = 4 * MIB;
		uint32_t new, old;

		for (unsigned k = 4; k < 8; k++) {
			fill(d, 'o', k * unit, 4 * MIB);
			expect('o', k * unit, 4 * MIB);
		}
		/* Three open units; the fourth closes the first of them. */
		for (unsigned k = 4; k < 7; k++) {
			fill(d, 'n', k * unit, MIB);
			expect('n', k * unit, MIB);
		}
		device_cut_in(d, 1);
		assert_int_equal(fill(d, 'n', 7 * unit, MIB), -EIO);
		if (memory.now[7 * unit] == 'n')
			expect('n', 7 * unit, MIB);
		assert_memory_equal(memory.now + 5 * unit,
				    memory.expected + 5 * unit, 3 * unit);
		new = memory.now[4 * unit] == 'n' &&
		      memcmp(memory.now + 4 * unit, memory.expected + 4 * unit,
			     unit) == 0;
		old = memory.now[4 * unit] == 'o' &&
		      memcmp(memory.now + 4 * unit, memory.now + 4 * unit + 1,
			     unit - 1) == 0;
		was[new ? 0 : old ? 1 : 2]++;
		device_free(d);
	}
	assert_true(was[0] > 5 && was[1] > 5 && was[2] > 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_between_requests),
		cmocka_unit_test(cut_in_flight),
		cmocka_unit_test(cut_with_cache),
		cmocka_unit_test(cache_drains),
		cmocka_unit_test(cut_after_acknowledgement),
		cmocka_unit_test(cut_of_a_lying_card),
		cmocka_unit_test(cut_spoils_a_page),
		cmocka_unit_test(cut_in_a_merge),
	};

	return cmocka_run_group_tests(tests, memory_setup, memory_teardown);
}
