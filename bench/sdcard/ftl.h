/*
 * ftl.h - the two kinds of flash translation layer, as card.c sees them, and
 * what they count. Private to the model.
 */
#ifndef LBS_BENCH_SDCARD_FTL_H
#define LBS_BENCH_SDCARD_FTL_H

#include "bench/sdcard/card.h"
#include "bench/sdcard/curve.h"

#define PAGE_UNIT_BYTES 4096u

/* The time to copy so many bytes at a bandwidth in bytes per microsecond. */
static inline int64_t
copy_ns(double bytes, double bandwidth)
{
	return (int64_t)(bytes / bandwidth * 1000 + 0.5);
}

/* ---- block-mapped: block.c ------------------------------------------------
 */

struct block_ftl;

struct block_ftl *block_new(const struct sdcard_params *p, uint32_t units);
void block_free(struct block_ftl *b);
/* One piece of a write, inside unit au. in_sequence: it goes on where the last
 * request ended. Returns what it costs beside the request itself. */
int64_t block_write(struct block_ftl *b, uint32_t au, uint32_t at, uint32_t len,
		    int in_sequence, struct sdcard_counts *n,
		    struct sdcard_events *events);
/* Forgets what is known of a unit. Returns the time. */
int64_t block_discard(struct block_ftl *b, uint32_t au,
		      struct sdcard_counts *n);
unsigned block_open_units(const struct block_ftl *b);
/* The i-th open unit: which, and how far it was written from its start. */
int block_open_unit(const struct block_ftl *b, unsigned i, uint32_t *au,
		    uint32_t *from, uint32_t *to);
int block_state(struct block_ftl *b, const struct sdcard_port *port);

/* ---- page-mapped: page.c --------------------------------------------------
 */

struct page_ftl;

struct page_ftl *page_new(const struct sdcard_params *p, uint64_t size_bytes);
void page_free(struct page_ftl *g);
/* Maps the pages that [offset, offset + len) touches anew. Returns the time
 * that collecting adds to the request. */
int64_t page_write(struct page_ftl *g, uint64_t offset, uint32_t len,
		   struct sdcard_counts *n);
void page_discard(struct page_ftl *g, uint64_t offset, uint64_t len);
/* Writes every page once, which costs nothing. */
void page_prefill(struct page_ftl *g);
/* Up to max pages of the card that were programmed shortly before, draw
 * deciding how shortly. */
unsigned page_neighbours(const struct page_ftl *g, uint64_t draw, unsigned max,
			 uint64_t *offsets);
int page_state(struct page_ftl *g, const struct sdcard_port *port);

#endif
