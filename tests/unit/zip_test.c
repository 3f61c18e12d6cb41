/*
 * zip_test - what was compressed comes back, in no more room than was given, and
 * whatever is fed to the other way round stays within its own. zip/zip.h.
 */
#include "tests/unit/unit.h"

#include <pthread.h>

#include "zip/zip.h"

#define BLOCK 4096u
#define GUARD 64u

static const int methods[] = { ZIP_LZ4, ZIP_ZSTD };
#define EACH_METHOD(zip)                                                 \
	for (size_t m_ = 0; m_ < 2; m_++)                                \
		for (struct zip *zip = zip_new(methods[m_]); zip != NULL; \
		     zip_free(zip), zip = NULL)

/* So many bytes of chance, the rest repeated. */
static void
make_block(uint8_t *block, size_t random)
{
	memset(block, (int)draw(256), BLOCK);
	draw_bytes(block, random);
}

static size_t
pack(struct zip *zip, const uint8_t *block, uint8_t *out, size_t room)
{
	size_t n;

	memset(out, 0xa5, room + GUARD);
	n = zip_pack(zip, block, BLOCK, out, room);
	assert_true(n <= room);
	for (size_t i = 0; i < GUARD; i++)
		assert_int_equal(out[room + i], 0xa5);
	return n;
}

static int
unpack(struct zip *zip, const uint8_t *in, size_t n, uint8_t *out, size_t len)
{
	uint8_t *copy = exactly(in, n);
	int rc;

	memset(out, 0x5a, len + GUARD);
	rc = zip_unpack(zip, copy, n, out, len);
	for (size_t i = 0; i < GUARD; i++)
		assert_int_equal(out[len + i], 0x5a);
	free(copy);
	return rc;
}

static void
what_was_compressed_comes_back(void **state)
{
	uint8_t block[BLOCK], out[BLOCK + GUARD], back[BLOCK + GUARD];
	int shorter = 0, kept = 0;

	(void)state;
	EACH_METHOD(zip) {
		for (int i = 0; i < 500; i++) {
			size_t room = draw_between(1, BLOCK), n;

			make_block(block, draw_between(0, BLOCK));
			n = pack(zip, block, out, room);
			kept += n == 0;
			shorter += n != 0;
			if (!n)
				continue;
			assert_int_equal(unpack(zip, out, n, back, BLOCK), 0);
			assert_memory_equal(back, block, BLOCK);
		}
	}
	assert_true(shorter > 100 && kept > 100);
}

static void
chance_does_not_fit_and_zeroes_nearly_vanish(void **state)
{
	uint8_t block[BLOCK], out[BLOCK + GUARD];

	(void)state;
	EACH_METHOD(zip) {
		draw_bytes(block, BLOCK);
		assert_int_equal(pack(zip, block, out, BLOCK - 1), 0);
		memset(block, 0, BLOCK);
		assert_in_range(pack(zip, block, out, BLOCK), 1, 40);
	}
}

static void
a_length_must_be_right_exactly(void **state)
{
	uint8_t block[BLOCK], out[BLOCK + GUARD], back[2 * BLOCK + GUARD];

	(void)state;
	EACH_METHOD(zip) {
		for (int i = 0; i < 50; i++) {
			size_t n;

			make_block(block, draw_between(0, 3000));
			n = pack(zip, block, out, BLOCK);
			assert_true(n > 0);
			assert_int_equal(unpack(zip, out, n, back, BLOCK - 1), -1);
			assert_int_equal(unpack(zip, out, n, back, BLOCK + 1), -1);
			assert_int_equal(unpack(zip, out, n - 1, back, BLOCK), -1);
			assert_int_equal(unpack(zip, out, draw(n), back, BLOCK),
					 -1);
		}
		assert_int_equal(unpack(zip, out, 0, back, BLOCK), -1);
	}
}

/* With damage it may give anything, but of the length or not at all. */
static void
nonsense_stays_within_its_room(void **state)
{
	uint8_t block[BLOCK], out[BLOCK + GUARD], back[BLOCK + GUARD];
	int refused = 0;

	(void)state;
	EACH_METHOD(zip) {
		for (int i = 0; i < 3000; i++) {
			size_t n = draw_between(1, BLOCK);

			if (i % 3 == 0) {
				draw_bytes(out, n);
			} else {
				make_block(block, draw_between(0, 3500));
				n = pack(zip, block, out, BLOCK);
				for (size_t k = draw(4) + 1; k; k--)
					out[draw(n)] ^= (uint8_t)(draw(255) + 1);
			}
			refused += unpack(zip, out, n, back, BLOCK) != 0;
		}
	}
	assert_true(refused > 2000);
}

static void *
work(void *ctx)
{
	struct zip *zip = ctx;
	uint8_t block[BLOCK], out[BLOCK], back[BLOCK];

	for (unsigned i = 0; i < 200; i++) {
		size_t n;

		memset(block, (int)i, sizeof block);
		memcpy(block + i, &i, sizeof i);
		n = zip_pack(zip, block, BLOCK, out, BLOCK);
		if (!n || zip_unpack(zip, out, n, back, BLOCK) ||
		    memcmp(block, back, BLOCK))
			return (void *)1;
	}
	return NULL;
}

static void
more_callers_than_contexts_wait_for_each_other(void **state)
{
	enum { THREADS = 2 * ZIP_CONTEXTS_MAX };
	pthread_t t[THREADS];
	void *bad;

	(void)state;
	EACH_METHOD(zip) {
		for (int i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&t[i], NULL, work, zip),
					 0);
		for (int i = 0; i < THREADS; i++) {
			pthread_join(t[i], &bad);
			assert_null(bad);
		}
	}
}

static void
there_is_no_other_method(void **state)
{
	(void)state;
	assert_null(zip_new(0));
	assert_null(zip_new(3));
	zip_free(NULL);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_compressed_comes_back),
		cmocka_unit_test(chance_does_not_fit_and_zeroes_nearly_vanish),
		cmocka_unit_test(a_length_must_be_right_exactly),
		cmocka_unit_test(nonsense_stays_within_its_room),
		cmocka_unit_test(more_callers_than_contexts_wait_for_each_other),
		cmocka_unit_test(there_is_no_other_method),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
