/*
 * lab_model_test.c - the model takes the disks that it should and no others.
 */
#include "tests/lab/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DISK (40 * MODEL_BLOCK)

static int read_bytes(void *ctx, void *buf, size_t len, uint64_t offset)
{
	memcpy(buf, (uint8_t *)ctx + offset, len);
	return 0;
}

static void test_model(void **state)
{
	static uint8_t image[8][DISK];
	struct model *m = model_new(DISK), *n;
	char why[400];
	int k, ok;

	(void)state;
	/* image[k] is the disk after k requests; the third is flushed, the
	 * fifth acknowledged, the seventh in flight. */
	for (k = 0; k < 7; k++) {
		static const struct {
			enum model_kind kind;
			uint64_t offset;
			size_t len;
		} r[7] = {
			{ MODEL_WRITE, 0, 20 * MODEL_BLOCK },
			{ MODEL_WRITE, 100, 50 },
			{ MODEL_DISCARD, 5 * MODEL_BLOCK - 1, MODEL_BLOCK + 2 },
			{ MODEL_WRITE, 3 * MODEL_BLOCK + 5, 9000 },
			{ MODEL_ZERO, 10, 4096 },
			{ MODEL_WRITE, 0, 512 },
			{ MODEL_WRITE, 512, 8 * MODEL_BLOCK },
		};
		uint64_t op = model_issue(m, r[k].kind, r[k].offset, r[k].len);

		memcpy(image[k + 1], image[k], DISK);
		if (r[k].kind == MODEL_WRITE)
			model_fill(op, r[k].offset, image[k + 1] + r[k].offset,
				   r[k].len);
		else if (r[k].kind == MODEL_ZERO)
			memset(image[k + 1] + r[k].offset, 0, r[k].len);
		else	/* block 5 alone lies inside */
			memset(image[k + 1] + 5 * MODEL_BLOCK, 0, MODEL_BLOCK);
		if (k < 6)
			model_acked(m);
		if (k == 2)
			model_flushed(m);
		model_read(m, image[0], 0, 0);
	}
	for (k = 0; k < 8; k++) {
		n = model_clone(m);
		model_lost_power(n);
		ok = model_check(n, read_bytes, image[k], why, sizeof(why)) == 0;
		assert_int_equal(ok, k >= 3);
		/* What was found is the new beginning. */
		if (ok)
			assert_int_equal(model_check(n, read_bytes, image[k],
						     why, sizeof(why)), 0);
		model_free(n);
		n = model_clone(m);
		ok = model_check(n, read_bytes, image[k], why, sizeof(why)) == 0;
		assert_int_equal(ok, k >= 6);
		model_free(n);
	}
	model_lost_power(m);
	/* A later request without an earlier one, and half a request. */
	memcpy(image[0], image[3], DISK);
	memcpy(image[0], image[6], 512);
	assert_int_equal(model_check(m, read_bytes, image[0], why, sizeof(why)),
			 -1);
	memcpy(image[0], image[6], DISK);
	memcpy(image[0], image[7], MODEL_BLOCK);
	assert_int_equal(model_check(m, read_bytes, image[0], why, sizeof(why)),
			 -1);
	assert_non_null(strstr(why, "block"));
	model_free(m);
}

static void test_model_refused(void **state)
{
	static uint8_t want[DISK], got[DISK];
	struct model *m = model_new(DISK);
	uint64_t op;

	(void)state;
	op = model_issue(m, MODEL_WRITE, 7, 100);
	model_acked(m);
	model_fill(op, 7, want + 7, 100);
	model_issue(m, MODEL_WRITE, 50, 5000);
	model_refused(m);
	model_read(m, got, DISK, 0);
	assert_memory_equal(got, want, DISK);
	model_flushed(m);
	assert_int_equal(model_check(m, read_bytes, want, (char *)got, 100), 0);
	model_free(m);
}

/* More than 1 MiB from the middle of a block: the first blocks may have been done and
 * the others not, but no block by half, and nothing later without all of it. */
static void test_model_long(void **state)
{
	enum { AT = 1001, LEN = (1u << 20) + 9000, SIZE = 300 * MODEL_BLOCK,
	       PARTS = (AT + LEN + MODEL_BLOCK - 1) / MODEL_BLOCK };
	static uint8_t before[SIZE], all[SIZE], later[SIZE], image[SIZE];
	struct model *m = model_new(SIZE), *n;
	char why[400];
	uint64_t op;
	int cut, torn, ok;

	(void)state;
	op = model_issue(m, MODEL_WRITE, 0, 1u << 20);
	assert_false(model_is_long(m));
	model_fill(op, 0, before, 1u << 20);
	model_acked(m);
	model_flushed(m);
	op = model_issue(m, MODEL_WRITE, AT, LEN);
	assert_true(model_is_long(m));
	model_issue(m, MODEL_WRITE, 0, 512);
	model_refused(m);
	assert_true(model_is_long(m));
	memcpy(all, before, SIZE);
	model_fill(op, AT, all + AT, LEN);
	for (cut = 0; cut <= PARTS; cut++) {
		for (torn = 0; torn <= 1; torn++) {
			size_t end = (size_t)cut * MODEL_BLOCK +
				     (torn ? MODEL_BLOCK / 2 : 0);

			if (end > SIZE)
				continue;
			memcpy(image, before, SIZE);
			memcpy(image, all, end);
			n = model_clone(m);
			ok = model_check(n, read_bytes, image, why,
					 sizeof(why)) == 0;
			/* What lies behind it is as it was. */
			assert_int_equal(ok, !torn || cut >= PARTS - 1);
			if (ok)
				assert_int_equal(model_found_part(n),
						 cut > 0 && cut < PARTS &&
							 !torn);
			model_free(n);
			/* The same when it is refused. */
			n = model_clone(m);
			assert_int_equal(model_refused_midway(n, image + AT,
							      NULL),
					 ok ? cut + torn > PARTS ? PARTS
								 : cut + torn
					    : -1);
			model_free(n);
		}
	}
	model_acked(m);
	memcpy(later, all, SIZE);
	op = model_issue(m, MODEL_ZERO, 512, 512);
	memset(later + 512, 0, 512);
	n = model_clone(m);
	assert_int_equal(model_check(n, read_bytes, later, why, sizeof(why)), 0);
	model_free(n);
	model_lost_power(m);
	memcpy(image, later, SIZE);
	memcpy(image + 200 * MODEL_BLOCK, before + 200 * MODEL_BLOCK,
	       SIZE - 200 * MODEL_BLOCK);
	assert_int_equal(model_check(m, read_bytes, image, why, sizeof(why)), -1);
	model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_model_refused),
		cmocka_unit_test(test_model_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
