/*
 * cursor.h - a place in the caller's memory, which may come in pieces. A value: to
 * copy it is to remember a place. It owns nothing.
 */
#ifndef LBS_STORE_CURSOR_H
#define LBS_STORE_CURSOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct cursor {
	const struct iovec *iov;
	int count;
	size_t at; /* in iov[0] */
};

/* The bytes of all pieces together: 0, or LBS_EINVAL if they are more than a size_t
 * counts. */
int iov_total(const struct iovec *iov, int count, size_t *total_bytes);

/* The next n bytes if they lie in one piece, else NULL. */
uint8_t *cursor_piece(const struct cursor *c, size_t n);
void cursor_advance(struct cursor *c, size_t n);
/* Copies n bytes from buf to the caller's memory, or the other way, and moves on. */
void cursor_copy(struct cursor *c, void *buf, size_t n, int to_caller);
/* Puts n zeroes there and moves on. */
void cursor_zero(struct cursor *c, size_t n);

#endif
