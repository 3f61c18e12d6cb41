/*
 * host.h - what lies between a store and its card: a page cache that holds back
 * what is written until a sync and then writes it in the order of the card, in
 * requests of up to 512 KiB. It has places, no contents. Several modelled cards
 * can be beneath, which all get the same requests, each on its own clock. Must
 * never ask a clock. Thread-safe.
 */
#ifndef LBS_BENCH_ONCARD_HOST_H
#define LBS_BENCH_ONCARD_HOST_H

#include <pthread.h>
#include <stdint.h>

#include "bench/sdcard/card.h"

/* Files begin here, aligned, and past what a FAT takes. */
#define HOST_BASE      (64ull << 20)
#define HOST_PAGE      4096u
#define HOST_REQUEST   (512u << 10)
#define HOST_CARDS_MAX 8
/* So much of what was read or written stays in memory: what a small device that runs
 * a virtual machine has to spare. */
#define HOST_CLEAN_PAGES ((64u << 20) / HOST_PAGE)

struct host {
	pthread_mutex_t lock; /* guards all that follows */
	struct sdcard *card[HOST_CARDS_MAX];
	int cards;
	uint64_t base; /* of the card, where files begin */
	uint64_t words;
	uint64_t *dirty, *present; /* a bit a page */
	uint64_t *summary;	   /* a bit for each word of dirty */
	uint64_t dirty_pages;
	uint32_t *clean; /* a ring of pages to forget */
	uint32_t clean_at;
	double realtime; /* a sync sleeps as long as card[0] takes, by this */
};

/* One card for each of the presets, all of the size; ends the program without
 * memory. aged: they were written full once. */
void host_init(struct host *h, const struct sdcard_params *const *presets,
	       int count, uint64_t size_bytes, int aged);
void host_free(struct host *h);

/* Through the cache. Bytes, any alignment; part of a page that is not in memory
 * is read first. */
void host_write(struct host *h, uint64_t offset, uint64_t len);
void host_read(struct host *h, uint64_t offset, uint64_t len);
/* Writes what is dirty in [offset, offset + len), as far as the card goes, and
 * has the cards flush. */
void host_sync(struct host *h, uint64_t offset, uint64_t len);
/* Forgets what is in memory and not dirty. */
void host_drop(struct host *h);

/* Past the cache, as O_DIRECT. */
void host_direct_write(struct host *h, uint64_t offset, uint64_t len);
void host_direct_read(struct host *h, uint64_t offset, uint64_t len);
void host_flush(struct host *h);

#endif
