/*
 * cursor.c - walking through a caller's scattered memory. Must never step beyond
 * its last piece: callers ask for no more than iov_total said.
 */
#include "liblbs/store/cursor.h"

#include <string.h>

#include "lbs.h"
#include "liblbs/format/layout.h"

int
iov_total(const struct iovec *iov, int count, size_t *total_bytes)
{
	*total_bytes = 0;
	for (int i = 0; i < count; i++) {
		if (iov[i].iov_len > SIZE_MAX - *total_bytes)
			return LBS_EINVAL;
		*total_bytes += iov[i].iov_len;
	}
	return 0;
}

uint8_t *
cursor_piece(const struct cursor *c, size_t n)
{
	return c->count && c->iov->iov_len - c->at >= n
		       ? (uint8_t *)c->iov->iov_base + c->at
		       : NULL;
}

void
cursor_advance(struct cursor *c, size_t n)
{
	while (n && c->count) {
		size_t have = c->iov->iov_len - c->at;

		if (n < have) {
			c->at += n;
			return;
		}
		n -= have;
		c->iov++;
		c->count--;
		c->at = 0;
	}
}

void
cursor_copy(struct cursor *c, void *buf, size_t n, int to_caller)
{
	uint8_t *p = buf;

	while (n) {
		size_t have = c->iov->iov_len - c->at;
		size_t step = have < n ? have : n;

		if (to_caller)
			memcpy((uint8_t *)c->iov->iov_base + c->at, p, step);
		else
			memcpy(p, (uint8_t *)c->iov->iov_base + c->at, step);
		p += step;
		n -= step;
		cursor_advance(c, step);
		while (c->count && c->at == c->iov->iov_len) {
			c->iov++;
			c->count--;
			c->at = 0;
		}
	}
}

void
cursor_zero(struct cursor *c, size_t n)
{
	static const uint8_t zeroes[BLOCK_BYTES];

	while (n) {
		size_t step = n < sizeof zeroes ? n : sizeof zeroes;

		cursor_copy(c, (void *)zeroes, step, 1);
		n -= step;
	}
}
