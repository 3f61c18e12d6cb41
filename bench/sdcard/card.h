/*
 * card.h - a model of an SD card: requests go in, the time that each would take
 * comes out. Pure: no clock, no I/O, no randomness, no contents; the same
 * requests always take the same time. Must never make time pass but by requests
 * and sdcard_idle.
 *
 * What is measured is taken as measured (preset.h); only what depends on the
 * card's state is modelled: merges of allocation units, the exception cache,
 * garbage collection, a volatile cache. One request at a time. Not thread-safe.
 */
#ifndef LBS_BENCH_SDCARD_CARD_H
#define LBS_BENCH_SDCARD_CARD_H

#include "bench/sdcard/preset.h"

#define SDCARD_SECTOR 512u
/* A request moves at most so much. */
#define SDCARD_REQUEST_MAX (32u << 20)

struct sdcard;

/* A card of size_bytes (a multiple of the allocation unit; 0: as large as the
 * preset's), never written to. p must outlive it. NULL without memory. */
struct sdcard *sdcard_new(const struct sdcard_params *p, uint64_t size_bytes);
void sdcard_free(struct sdcard *c);
/* As if all of it had been written once, which takes no time. */
void sdcard_prefill(struct sdcard *c);

/* Requests: in bytes, inside the card, len of 1 to SDCARD_REQUEST_MAX. Each
 * returns its time in nanoseconds, by which the card's clock has moved. */
int64_t sdcard_write(struct sdcard *c, uint64_t offset, uint32_t len);
int64_t sdcard_read(struct sdcard *c, uint64_t offset, uint32_t len);
/* Waits until a volatile cache is empty; without one it takes no time. */
int64_t sdcard_flush(struct sdcard *c);
/* Allocation units (block-mapped) or pages that lie inside are forgotten. */
int64_t sdcard_discard(struct sdcard *c, uint64_t offset, uint64_t len);
/* Nothing is asked for so long; a volatile cache drains meanwhile. */
void sdcard_idle(struct sdcard *c, int64_t ns);

/* The virtual clock: nanoseconds since the card was made, over restarts. */
int64_t sdcard_now(const struct sdcard *c);
/* When what was written last will be on flash if power stays. */
int64_t sdcard_durable_at(const struct sdcard *c);
uint64_t sdcard_size(const struct sdcard *c);
const struct sdcard_params *sdcard_params_of(const struct sdcard *c);

/* ---- what a power cut could hurt ------------------------------------------
 */

#define SDCARD_UNITS_MAX 16u

/* Of the last write: allocation units that it left merged or opened. */
struct sdcard_events {
	unsigned merged, opened;
	uint32_t merged_unit[SDCARD_UNITS_MAX];
	uint32_t opened_unit[SDCARD_UNITS_MAX];
};
const struct sdcard_events *sdcard_events(const struct sdcard *c);

/* What shares a flash page of 16 KiB with what is being written: up to four
 * places of len bytes each that were written before; draw chooses among the
 * possible. Returns how many. */
unsigned sdcard_neighbours(const struct sdcard *c, uint64_t draw,
			   uint64_t offsets[4], uint32_t *len);

/* ---- counters --------------------------------------------------------------
 */

#define SDCARD_CLASSES	 8 /* up to 1K 4K 16K 64K 128K 512K 1M, larger */
#define SDCARD_HISTOGRAM 640

enum { SDCARD_WRITES, SDCARD_READS, SDCARD_FLUSHES, SDCARD_KINDS };

struct sdcard_counts {
	struct {
		uint64_t ops, bytes;
		int64_t ns, max_ns;
		uint64_t class_ops[SDCARD_CLASSES], class_bytes[SDCARD_CLASSES];
		uint64_t histogram[SDCARD_HISTOGRAM]; /* by sdcard_quantile */
	} kind[SDCARD_KINDS];
	uint64_t discards, discarded_bytes;
	uint64_t switch_merges;	 /* a unit written whole replaces the old one */
	uint64_t partial_merges; /* the rest of a unit is copied */
	uint64_t full_merges;	 /* a unit written out of order is sorted */
	uint64_t evictions;    /* a unit merged to empty the exception cache */
	uint64_t collections;  /* blocks collected */
	uint64_t copied_bytes; /* by the card itself */
	uint64_t programmed_bytes; /* written to flash, copies included */
	uint64_t erases;
	int64_t stalled_ns; /* of all requests, for merging and collecting */
	int64_t discard_ns, idle_ns;
};
const struct sdcard_counts *sdcard_counts(const struct sdcard *c);
void sdcard_counts_reset(struct sdcard *c);
/* Bytes programmed by bytes written; 0 if nothing was written. */
double sdcard_write_amplification(const struct sdcard *c);
/* Allocation units that are open now (block-mapped cards). */
unsigned sdcard_open_units(const struct sdcard *c);
/* The latency in ns that a share of the requests of a kind does not exceed, to
 * within 7 %; the longest for share 1. */
int64_t sdcard_quantile(const struct sdcard *c, int kind, double share);
/* Where in the histogram a latency counts. */
unsigned sdcard_bucket(int64_t ns);

/* ---- state that outlives the process ----------------------------------------
 */

/* Moves bytes between the card and wherever its state is kept: to it, or with
 * load from it. Returns 0 or a negative errno. */
struct sdcard_port {
	int (*move)(void *ctx, void *data, size_t len);
	void *ctx;
	int load;
};
/* Saves or loads everything, counters included. Loading takes any bytes and
 * gives a working card or -EINVAL, after which only sdcard_free is allowed. */
int sdcard_state(struct sdcard *c, const struct sdcard_port *port);

#endif
