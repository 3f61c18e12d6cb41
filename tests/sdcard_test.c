/*
 * sdcard_test.c - the modelled SD card (bench/sdcard): each preset gives the
 * speeds that were published for its card, and what was not fitted agrees with
 * other people's measurements of other cards.
 */
#include "bench/sdcard/card.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KIB  1024u
#define MIB  (1024u * KIB)
#define BASE (64ull * MIB) /* beyond the units that a FAT has */

static uint64_t seed;

static uint64_t
draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static struct sdcard *
card_of(const struct sdcard_params *p, uint64_t size)
{
	struct sdcard *c = sdcard_new(p, size);

	assert_non_null(c);
	seed = 88172645463325252ull;
	return c;
}

static void
shuffled(uint32_t *order, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	for (uint32_t i = n; i > 1; i--) {
		uint32_t k = (uint32_t)(draw() % i), swap = order[i - 1];

		order[i - 1] = order[k];
		order[k] = swap;
	}
}

/* ---- as iozone measures: rewrite, reread, random read, random write
 * ---------- */

#define SPAN (100u * MIB)

static double
kib_per_s(struct sdcard *c, int64_t begun, double bytes)
{
	sdcard_flush(c);
	return bytes / 1024 / ((double)(sdcard_now(c) - begun) / 1e9);
}

static void
iozone(const struct sdcard_params *p, uint32_t len, double got[4])
{
	uint32_t n = SPAN / len, ops = n < 50000 ? n : 50000, *order;
	struct sdcard *c = card_of(p, 0);
	int64_t begun;

	for (uint32_t i = 0; i < SPAN / MIB; i++)
		sdcard_write(c, BASE + i * MIB, MIB);
	begun = sdcard_now(c);
	for (uint32_t i = 0; i < ops; i++)
		sdcard_write(c, BASE + (uint64_t)i * len, len);
	got[0] = kib_per_s(c, begun, (double)ops * len);
	begun = sdcard_now(c);
	for (uint32_t i = 0; i < ops; i++)
		sdcard_read(c, BASE + (uint64_t)i * len, len);
	got[1] = kib_per_s(c, begun, (double)ops * len);
	begun = sdcard_now(c);
	for (uint32_t i = 0; i < ops; i++)
		sdcard_read(c, BASE + draw() % n * len, len);
	got[2] = kib_per_s(c, begun, (double)ops * len);
	order = malloc(n * sizeof *order);
	assert_non_null(order);
	shuffled(order, n);
	begun = sdcard_now(c);
	for (uint32_t i = 0; i < ops; i++)
		sdcard_write(c, BASE + (uint64_t)order[i] * len, len);
	got[3] = kib_per_s(c, begun, (double)ops * len);
	free(order);
	sdcard_free(c);
}

/* Within a share of what was published. */
static int
near(const char *what, double got, double published, double share)
{
	int good = fabs(got / published - 1) <= share;

	if (!good)
		print_error("%s: %.4g, not %.4g within %.0f %%\n", what, got,
			    published, share * 100);
	return good;
}

static void
published_speeds(void **state)
{
	/* Random writes of the block-mapped cards are not put in, they come
	 * out. */
	static const double emerges[2][SDCARD_POINTS] = {
		{ 0.12, 0.02, 0.02, 0.03, 0.03, 0.05, 0.02 },
		{ 0.20, 0.02, 0.02, 0.05, 0.04, 0.08, 0.01 },
	};
	int bad = 0;

	(void)state;
	for (const struct sdcard_params *p = sdcard_presets; p->name; p++)
		for (int i = 0; i < SDCARD_POINTS; i++) {
			const double *published[4] = { p->seq_write,
						       p->seq_read,
						       p->random_read,
						       p->random_write };
			static const char *const column[4] = { "rewrite",
							       "reread",
							       "random read",
							       "random write" };
			uint32_t len = sdcard_point_bytes[i];
			double got[4];

			iozone(p, len, got);
			for (int k = 0; k < 4; k++) {
				double share = len < 16 * MIB ? 0.02 : 0.04;
				char what[80];

				if (k == 3 && p->mapping == SDCARD_BLOCK)
					share = emerges[p - sdcard_presets][i];
				if (p->cache_bytes && (k == 0 || k == 3))
					continue;
				snprintf(what, sizeof what, "%s %s %u KiB",
					 p->name, column[k], len / KIB);
				bad += !near(what, got[k], published[k][i],
					     share);
			}
		}
	assert_int_equal(bad, 0);
}

/* The A2 class demands 2000 random writes a second of a card with its cache on.
 */
static void
cache_gives_its_class(void **state)
{
	double got[4];

	(void)state;
	iozone(sdcard_preset("a2-cache"), 4096, got);
	assert_true(near("a2-cache random writes/s", got[3] / 4, 2000, 0.03));
	/* No faster than the flash under it. */
	assert_true(got[0] < 50722 && got[3] < 50722);
}

/* ---- as flashbench measures open allocation units
 * ------------------------------ */

/* MB/s of writes of len bytes to n units in turn, in each in order or at
 * random. */
static double
open_units(const struct sdcard_params *p, uint32_t len, uint32_t n, int random)
{
	uint32_t blocks = p->au_bytes / len, order[1024];
	struct sdcard *c = card_of(p, 0);
	int passes = random ? 30 : 4;
	int64_t begun = 0;
	double mbs;

	for (int pass = -2; pass < passes; pass++) {
		if (pass == 0)
			begun = sdcard_now(c);
		shuffled(order, blocks);
		for (uint32_t i = 0; i < blocks; i++)
			for (uint32_t k = 0; k < n; k++)
				sdcard_write(
					c,
					(4 + 12ull * k) * p->au_bytes +
						(uint64_t)(random ? order[i]
								  : i) *
							len,
					len);
	}
	mbs = (double)passes * p->au_bytes * n /
	      ((double)(sdcard_now(c) - begun) / 1e3);
	sdcard_free(c);
	return mbs;
}

/* Other people's logs of other cards of the kind, for which nothing was fitted.
 */
static void
open_units_agree(void **state)
{
	static const struct {
		const char *preset;
		uint32_t len, units;
		int random;
		double measured, share;
	} row[] = {
		{ "class4-2013", MIB, 1, 0, 10.1, 0.1 },
		{ "class4-2013", MIB, 3, 0, 10.2, 0.1 },
		{ "class4-2013", MIB, 4, 0, 2.33, 0.1 },
		{ "class4-2013", MIB, 5, 0, 2.35, 0.1 },
		{ "class4-2013", 64 * KIB, 3, 0, 8.7, 0.15 },
		{ "class4-2013", 64 * KIB, 4, 0, 0.13, 0.3 },
		{ "class4-2013", 16 * KIB, 3, 0, 5.9, 0.1 },
		{ "class4-2013", 16 * KIB, 4, 0, 0.03, 0.35 },
		{ "class4-2013", MIB, 1, 1, 3.4, 0.1 },
		{ "class4-2013", MIB, 4, 1, 2.46, 0.1 },
		{ "class4-2013", 256 * KIB, 3, 1, 3.3, 0.1 },
		{ "class4-2013", 256 * KIB, 4, 1, 0.57, 0.1 },
		{ "class4-2013", 64 * KIB, 3, 1, 2.65, 0.1 },
		{ "class4-2013", 64 * KIB, 4, 1, 0.14, 0.2 },
		{ "class4-2013", 16 * KIB, 3, 1, 2.3, 0.15 },
		{ "class4-2013", 16 * KIB, 4, 1, 0.04, 0.1 },
		{ "c10-ultra-2014", MIB, 7, 0, 12.9, 0.12 },
		{ "c10-ultra-2014", 64 * KIB, 7, 0, 11.3, 0.25 },
		{ "c10-ultra-2014", 64 * KIB, 4, 1, 0.29, 0.25 },
		{ "c10-ultra-2014", 16 * KIB, 4, 1, 0.07, 0.35 },
	};
	int bad = 0;

	(void)state;
	for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
		char what[80];

		snprintf(what, sizeof what, "%s %u KiB %s in %u units",
			 row[i].preset, row[i].len / KIB,
			 row[i].random ? "at random" : "in order",
			 row[i].units);
		bad += !near(what,
			     open_units(sdcard_preset(row[i].preset),
					row[i].len, row[i].units,
					row[i].random),
			     row[i].measured, row[i].share);
	}
	assert_int_equal(bad, 0);
}

static double
random_writes_per_s(struct sdcard *c, uint64_t span, uint32_t len, int n)
{
	int64_t begun = sdcard_now(c);

	for (int i = 0; i < n; i++)
		sdcard_write(c, BASE + draw() % (span / len) * len, len);
	return n / ((double)(sdcard_now(c) - begun) / 1e9);
}

/* CrystalDiskMark with a file of 1000 MB on another card of the kind. */
static void
larger_span_agrees(void **state)
{
	struct sdcard *c = card_of(sdcard_preset("class4-2013"), 0);
	double got;

	(void)state;
	random_writes_per_s(c, 1000 * MIB, 4096, 2000);
	got = random_writes_per_s(c, 1000 * MIB, 4096, 2000);
	assert_true(near("class4-2013 4 KiB over 1000 MB, MB/s",
			 got * 4096 / 1e6, 0.018, 0.15));
	sdcard_free(c);
}

/* What is extrapolated is at least what the mechanism must do: writing over all
 * of a full card is slower than over 100 MB of it, because the card copies. */
static void
whole_card(void **state)
{
	(void)state;
	for (const struct sdcard_params *p = sdcard_presets; p->name; p++) {
		uint64_t size = p->mapping == SDCARD_PAGE ? 2048ull * MIB : 0;
		struct sdcard *c = card_of(p, size);
		uint64_t span = sdcard_size(c) - BASE;
		int n = p->mapping == SDCARD_PAGE ? 100000 : 3000;
		double over_all, over_some;

		sdcard_prefill(c);
		over_some = random_writes_per_s(c, SPAN, 4096, n);
		random_writes_per_s(c, span, 4096, 7 * n);
		sdcard_counts_reset(c);
		over_all = random_writes_per_s(c, span, 4096, n);
		if (p->mapping == SDCARD_PAGE)
			assert_in_range(sdcard_write_amplification(c), 5, 10);
		else
			assert_true(sdcard_write_amplification(c) > 100);
		assert_true(over_all < over_some);
		sdcard_free(c);
	}
}

/* ---- the clock, the counters, the state
 * --------------------------------------- */

static void
one_request(struct sdcard *c)
{
	static const uint32_t lens[] = {
		512, 4096, 8192, 65536, 524288, 5 * MIB
	};
	uint64_t what = draw();
	uint32_t len = lens[what % 6];
	uint64_t at = draw() % ((sdcard_size(c) - len) / 512) * 512;

	switch (what >> 8 & 15) {
	case 0:
		sdcard_flush(c);
		break;
	case 1:
		sdcard_discard(c, at, len);
		break;
	case 2:
		sdcard_idle(c, 1000000);
		break;
	case 3:
	case 4:
		sdcard_read(c, at, len);
		break;
	default:
		sdcard_write(c, at, len);
	}
}

struct buffer {
	uint8_t *bytes;
	size_t len, at, room;
};

static int
save(void *ctx, void *data, size_t len)
{
	struct buffer *b = ctx;

	if (b->len + len > b->room) {
		b->room = 2 * (b->len + len);
		b->bytes = realloc(b->bytes, b->room);
		assert_non_null(b->bytes);
	}
	memcpy(b->bytes + b->len, data, len);
	b->len += len;
	return 0;
}

static int
load(void *ctx, void *data, size_t len)
{
	struct buffer *b = ctx;

	if (len > b->len - b->at)
		return -EINVAL;
	memcpy(data, b->bytes + b->at, len);
	b->at += len;
	return 0;
}

/* The same requests take the same time, also when the card is put aside and
 * taken up again in between; and time only passes by what is asked. */
static void
exact_and_kept(void **state)
{
	(void)state;
	for (const struct sdcard_params *p = sdcard_presets; p->name; p++) {
		struct sdcard *a = card_of(p, 256 * MIB), *b;
		struct buffer kept = { 0 };
		struct sdcard_port out = { save, &kept, 0 };
		struct sdcard_port in = { load, &kept, 1 };
		const struct sdcard_counts *n = sdcard_counts(a);
		uint64_t then;

		for (int i = 0; i < 3000; i++)
			one_request(a);
		assert_int_equal(sdcard_state(a, &out), 0);
		b = sdcard_new(p, 256 * MIB);
		assert_int_equal(sdcard_state(b, &in), 0);
		assert_int_equal(kept.at, kept.len);
		then = seed;
		for (int i = 0; i < 3000; i++)
			one_request(a);
		seed = then;
		for (int i = 0; i < 3000; i++)
			one_request(b);
		assert_true(sdcard_now(a) == sdcard_now(b));
		assert_memory_equal(sdcard_counts(a), sdcard_counts(b),
				    sizeof(struct sdcard_counts));
		assert_true(sdcard_now(a) ==
			    n->kind[0].ns + n->kind[1].ns + n->kind[2].ns +
				    n->discard_ns + n->idle_ns);
		free(kept.bytes);
		sdcard_free(a);
		sdcard_free(b);
	}
}

/* A damaged state is refused, or gives a card that works. */
static void
damaged_state(void **state)
{
	static const char *const some[] = { "class4-2013", "emmc-8g" };

	(void)state;
	for (int k = 0; k < 2; k++) {
		const struct sdcard_params *p = sdcard_preset(some[k]);
		struct sdcard *c = card_of(p, 64 * MIB);
		struct buffer kept = { 0 };
		struct sdcard_port out = { save, &kept, 0 };
		size_t counts = sizeof(struct sdcard_counts), at;
		int refused = 0;

		for (int i = 0; i < 2000; i++)
			one_request(c);
		assert_int_equal(sdcard_state(c, &out), 0);
		sdcard_free(c);
		for (int i = 0; i < 400; i++) {
			struct sdcard_port in = { load, &kept, 1 };
			uint8_t was;

			/* What is only counted is no state. */
			at = 32 + counts + draw() % (kept.len - 32 - counts);
			was = kept.bytes[at];
			kept.bytes[at] ^= (uint8_t)(1 << draw() % 8);
			kept.at = 0;
			c = sdcard_new(p, 64 * MIB);
			if (sdcard_state(c, &in))
				refused++;
			else
				for (int j = 0; j < 300; j++)
					one_request(c);
			sdcard_free(c);
			kept.bytes[at] = was;
		}
		assert_true(refused > 20);
		for (size_t len = 0; len < kept.len; len += kept.len / 50 + 1) {
			struct buffer cut = { kept.bytes, len, 0, 0 };
			struct sdcard_port in = { load, &cut, 1 };

			c = sdcard_new(p, 64 * MIB);
			assert_int_equal(sdcard_state(c, &in), -EINVAL);
			sdcard_free(c);
		}
		free(kept.bytes);
	}
}

static void
quantiles(void **state)
{
	struct sdcard *c = card_of(sdcard_preset("a1-2018"), 0);
	int64_t read = sdcard_read(c, BASE, 4096), longest = 0;

	(void)state;
	for (unsigned shift = 5; shift < 40; shift++)
		assert_true(sdcard_bucket(1ll << shift) ==
			    sdcard_bucket((1ll << shift) - 1) + 1);
	for (int i = 0; i < 999; i++)
		sdcard_read(c, BASE + draw() % 1000 * 8192, 4096);
	longest = sdcard_read(c, BASE, MIB);
	assert_true(near("median",
			 (double)sdcard_quantile(c, SDCARD_READS, 0.5),
			 (double)read, 0.07));
	assert_true(sdcard_quantile(c, SDCARD_READS, 1) == longest);
	assert_true(sdcard_quantile(c, SDCARD_READS, 0.99) < longest / 2);
	sdcard_free(c);
}

/* The first units of the class 4 card are slow, as its find-fat log shows. */
static void
fat_units(void **state)
{
	struct sdcard *c = card_of(sdcard_preset("class4-2013"), 0);
	int64_t there = sdcard_write(c, MIB, 65536);
	int64_t elsewhere = sdcard_write(c, BASE, 65536);

	(void)state;
	assert_true(near("a write to the FAT",
			 (double)there / (double)elsewhere, 10.1 / 5.2, 0.05));
	sdcard_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_speeds),
		cmocka_unit_test(cache_gives_its_class),
		cmocka_unit_test(open_units_agree),
		cmocka_unit_test(larger_span_agrees),
		cmocka_unit_test(whole_card),
		cmocka_unit_test(exact_and_kept),
		cmocka_unit_test(damaged_state),
		cmocka_unit_test(quantiles),
		cmocka_unit_test(fat_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
