/*
 * card_int.h - the card's inside, shared by card.c and count.c only.
 */
#ifndef LBS_BENCH_SDCARD_CARD_INT_H
#define LBS_BENCH_SDCARD_CARD_INT_H

#include "bench/sdcard/ftl.h"

struct sdcard {
	const struct sdcard_params *p;
	uint64_t size;
	struct block_ftl *block; /* one of the two */
	struct page_ftl *page;
	struct curve seq_write, random_write, seq_read, random_read;
	struct curve piece; /* seq_write once more, for pieces of a request */
	/* state, as sdcard_state moves it */
	struct {
		int64_t now, drained_at;      /* of the volatile cache */
		uint64_t write_end, read_end; /* of the last request */
	} s;
	struct sdcard_counts counts;
	struct sdcard_events events;
};

/* Counts a request that took ns. */
void count_request(struct sdcard_counts *n, int kind, uint64_t len, int64_t ns);

#endif
