/*
 * check.c - see check.h.
 */
#include "tests/lab/check.h"
#include "tests/lab/nonce_audit.h"
#include "tests/lab/simimage.h"
#include "tests/lab/workload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void check_code(const struct world *w, int rc, int want, const char *what,
		const char *file, int line)
{
	if (rc == want)
		return;
	print_error("%s gave %s, not %s [%s]\n", what,
		    rc > 0 ? "wrong bytes" : rc ? lbs_error_word(rc) : "ok",
		    want ? lbs_error_word(want) : "ok", w->log_text);
	_fail(file, line);
}

void check_model(struct world *w, const char *file, int line)
{
	char why[500];

	if (world_check(w, why, sizeof(why)) == 0)
		return;
	print_error("%s [%s]\n", why, w->log_text);
	_fail(file, line);
}

struct world *check_made(const struct world_shape *shape)
{
	struct world *w = world_new(shape ? shape : &workload_shape);

	nonce_audit_reset();
	assert_code(w, world_create(w), 0);
	return w;
}

void check_work(struct world *w, uint64_t salt, int rounds)
{
	int i;

	for (i = 0; i < rounds; i++) {
		uint64_t at = sim_mix(salt, (uint64_t)i) % 250 * MODEL_BLOCK;

		assert_code(w, world_write(w, at, 3 * MODEL_BLOCK, 0), 0);
		assert_code(w, world_write(w, at + MODEL_BLOCK + 512, 24, 0), 0);
		assert_code(w, world_flush(w), 0);
	}
}

void check_round(struct world *w)
{
	const size_t len = 4 * MODEL_BLOCK;
	uint64_t n = w->shape.capacity_bytes / len * 2, i;

	for (i = 0; i < n; i++)
		assert_code(w, world_write(w, i % 20 * len, len,
					   i % 7 == 0 ? LBS_FUA : 0), 0);
}

int check_plausible(struct world *w)
{
	uint8_t buf[MODEL_BLOCK];
	uint64_t at;
	int unreadable = 0, rc;

	for (at = 0; at + MODEL_BLOCK <= w->shape.vdisk_bytes; at += MODEL_BLOCK) {
		rc = lbs_vdisk_read(w->vdisk, buf, sizeof(buf), at);
		if (rc == 0)
			assert_true(model_plausible(w->model, buf, sizeof(buf),
						    at));
		else
			unreadable++;
	}
	return unreadable;
}

void check_write_over(struct world *w, uint64_t end, uint64_t seed, int writes)
{
	uint64_t rng = sim_mix(seed, 11), block, count;
	int i;

	for (i = 0; i < writes; i++) {
		block = sim_random(&rng) % end;
		count = i % 16 ? 1 : 1 + sim_random(&rng) % (end - block);
		assert_code(w, world_write(w, block * MODEL_BLOCK,
					   count * MODEL_BLOCK,
					   i % 64 == 5 ? LBS_FUA : 0), 0);
	}
}
