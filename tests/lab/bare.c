/*
 * bare.c - see bare.h.
 */
#include "tests/lab/bare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct sim_fd bare_open(struct simdisk *d, enum sim_side side,
			const char *name, int create)
{
	struct sim_fd fd;

	assert_int_equal(simdisk_open(d, side, name, create, &fd), 0);
	return fd;
}

void bare_put(struct simdisk *d, struct sim_fd fd, char c, size_t len,
	      uint64_t offset)
{
	char *buf = malloc(len);

	memset(buf, c, len);
	assert_int_equal(simdisk_write(d, fd, buf, len, offset), 0);
	free(buf);
}

char bare_at(struct simdisk *d, enum sim_side side, const char *name,
	     uint64_t offset)
{
	char c;

	assert_int_equal(simdisk_peek(d, side, name, &c, 1, offset), 0);
	return c;
}

uint64_t bare_size(struct simdisk *d, enum sim_side side, const char *name)
{
	uint64_t size;

	assert_int_equal(simdisk_size(d, bare_open(d, side, name, 0), &size), 0);
	return size;
}

struct simdisk *bare_settled(void)
{
	struct simdisk *d = simdisk_new();
	struct sim_fd fd = bare_open(d, SIM_CARD, "f", 1);

	bare_put(d, fd, 'a', 16 * SIM_SECTOR, 0);
	assert_int_equal(simdisk_sync(d, fd), 0);
	assert_int_equal(simdisk_sync_dir(d, SIM_CARD), 0);
	assert_int_equal(simdisk_pending(d, SIM_CARD), 0);
	return d;
}
