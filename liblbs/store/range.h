/*
 * range.h - which blocks are being written right now, so that a read-modify-
 * write of part of a block has that block to itself from its read to its map
 * update, and whole-block writers respect it (DESIGN.md condition 10). First come,
 * first served, so none starves. Thread-safe.
 */
#ifndef LBS_STORE_RANGE_H
#define LBS_STORE_RANGE_H

#include <pthread.h>
#include <stdint.h>

struct range {
	struct range *next;
	uint64_t first, count;
	uint32_t layer;
	int exclusive;		/* two ranges that are not may overlap */
};

struct ranges {
	pthread_mutex_t lock;
	pthread_cond_t left;
	struct range *head, **tail; /* in order of arrival */
	int waiting;
};

void ranges_init(struct ranges *r);
void ranges_destroy(struct ranges *r);
/* Waits for every conflicting range that came before. The range stays the
 * caller's and in place until range_leave. */
void range_enter(struct ranges *r, struct range *range);
void range_leave(struct ranges *r, struct range *range);
/* 1 if whoever is in one at this moment waits for nobody and has at most so many
 * blocks to write. */
int ranges_are_short(struct ranges *r, uint64_t blocks);

#endif
