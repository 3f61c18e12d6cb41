/*
 * ahead.h - read-ahead: data that was written at random lies at random on the
 * card, so the kernel cannot see that a vdisk is read in sequence. This sees it,
 * and asks the kernel for the frames to come. Must never wait for the card, read
 * or decrypt anything, or let a request fail.
 */
#ifndef LBS_STORE_AHEAD_H
#define LBS_STORE_AHEAD_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* Readers in sequence that are told apart. */
#define AHEAD_STREAMS	   4
/* How far ahead is asked for, and how much must have been read in sequence
 * before anything is. The clients of a hypervisor have up to a few requests of
 * 128 KiB in flight, in any order: so far from where it is expected a read still
 * belongs to its sequence. */
#define AHEAD_WINDOW_BYTES (512u * 1024)
#define AHEAD_BEGIN_BYTES  (128u * 1024)
#define AHEAD_SLACK_BYTES  (512u * 1024)

struct ahead {
	pthread_mutex_t lock;
	/* guarded by lock */
	struct ahead_stream {
		uint64_t next;	/* behind all that was read of it */
		uint64_t asked;	/* up to here was asked for */
		uint64_t seen;	/* bytes read in sequence */
		uint64_t used;	/* when, in reads */
	} streams[AHEAD_STREAMS];
	uint64_t reads;
};

void ahead_init(struct ahead *a);
void ahead_free(struct ahead *a);

/* Takes note of a read. 1 if it is one of a sequence and [*from, *to) should be
 * asked for now; no byte is named twice in a sequence. Thread-safe; a read that
 * finds another taking note is not noted. */
int ahead_note(struct ahead *a, uint64_t offset, size_t len, uint64_t *from,
	       uint64_t *to);

/* 1 if this read would be told so. */
int ahead_is_due(struct ahead *a, uint64_t offset, size_t len);

#endif
