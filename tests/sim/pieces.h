/*
 * pieces.h - the memory of a request, in one piece or scattered.
 * Must never ask anything but its place and length, so that a script keeps its
 * meaning when steps are left out.
 */
#ifndef LBS_TESTS_SIM_PIECES_H
#define LBS_TESTS_SIM_PIECES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define PIECES_MAX 64

/* Fills iov with what lies at buf, some of it empty pieces, and returns how many: of
 * every second request one. */
int pieces_of(void *buf, size_t len, uint64_t offset, struct iovec iov[PIECES_MAX]);

#endif
