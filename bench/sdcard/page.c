/*
 * page.c - a card that maps pages of 4 KiB: every write goes to the block that
 * is being filled, wherever it belongs, and when blocks run out the one with
 * the fewest pages in use is collected. What collecting costs is paid by the
 * writes that come after, up to a limit each. Must never allocate after
 * page_new.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/sdcard/ftl.h"

#define NOWHERE	    UINT32_MAX
#define FREE_BLOCKS 3u	    /* collection begins below this */
#define COLLECT_NS  3000000 /* beside the copying: the erase */
#define SPARE_MIN   16u	    /* blocks: a small card has smaller ones */

enum { FREE, FULL, FILLING };

struct frontier {
	uint32_t block, pages; /* the block being filled, and how far */
};

struct page_ftl {
	const struct sdcard_params *p;
	uint32_t pages, block_pages, blocks;
	uint32_t *place; /* of each page of the card, or NOWHERE */
	uint32_t *holds; /* what each place holds, or NOWHERE */
	uint32_t *used;	 /* of each block: places that hold something */
	uint32_t *free;	 /* a stack */
	uint8_t *state;
	uint32_t free_count;
	struct frontier host, collector;
	int64_t debt_ns;
};

static void
take_block(struct page_ftl *g, struct frontier *f)
{
	f->block = g->free[--g->free_count];
	f->pages = 0;
	g->state[f->block] = FILLING;
}

static void
set_geometry(struct page_ftl *g, uint64_t size_bytes)
{
	const struct sdcard_params *p = g->p;
	uint32_t least;

	g->pages = (uint32_t)(size_bytes / PAGE_UNIT_BYTES);
	g->block_pages = p->collect_bytes / PAGE_UNIT_BYTES;
	if (g->pages * p->spare < (double)SPARE_MIN * g->block_pages)
		g->block_pages = (uint32_t)(g->pages * p->spare / SPARE_MIN);
	if (g->block_pages < 16)
		g->block_pages = 16;
	g->blocks = (uint32_t)(g->pages * (1 + p->spare) / g->block_pages);
	least = (g->pages + g->block_pages - 1) / g->block_pages + FREE_BLOCKS +
		1;
	if (g->blocks < least)
		g->blocks = least;
}

struct page_ftl *
page_new(const struct sdcard_params *p, uint64_t size_bytes)
{
	struct page_ftl *g = calloc(1, sizeof *g);
	size_t places;

	if (!g)
		return NULL;
	g->p = p;
	set_geometry(g, size_bytes);
	places = (size_t)g->blocks * g->block_pages;
	g->place = malloc(g->pages * sizeof *g->place);
	g->holds = malloc(places * sizeof *g->holds);
	g->used = calloc(g->blocks, sizeof *g->used);
	g->free = malloc(g->blocks * sizeof *g->free);
	g->state = calloc(g->blocks, 1);
	if (!g->place || !g->holds || !g->used || !g->free || !g->state) {
		page_free(g);
		return NULL;
	}
	memset(g->place, 0xff, g->pages * sizeof *g->place);
	memset(g->holds, 0xff, places * sizeof *g->holds);
	for (g->free_count = 0; g->free_count < g->blocks; g->free_count++)
		g->free[g->free_count] = g->free_count;
	take_block(g, &g->host);
	take_block(g, &g->collector);
	return g;
}

void
page_free(struct page_ftl *g)
{
	if (!g)
		return;
	free(g->place);
	free(g->holds);
	free(g->used);
	free(g->free);
	free(g->state);
	free(g);
}

static void
forget(struct page_ftl *g, uint32_t page)
{
	uint32_t at = g->place[page];

	if (at == NOWHERE)
		return;
	g->used[at / g->block_pages]--;
	g->holds[at] = NOWHERE;
	g->place[page] = NOWHERE;
}

static void
put(struct page_ftl *g, uint32_t page, struct frontier *f)
{
	uint32_t at = f->block * g->block_pages + f->pages;

	g->place[page] = at;
	g->holds[at] = page;
	g->used[f->block]++;
	if (++f->pages == g->block_pages) {
		g->state[f->block] = FULL;
		take_block(g, f);
	}
}

/* Greedy. Looking at all blocks is little beside what filling one takes. */
static uint32_t
choose(const struct page_ftl *g)
{
	uint32_t best = NOWHERE;

	for (uint32_t b = 0; b < g->blocks; b++)
		if (g->state[b] == FULL &&
		    (best == NOWHERE || g->used[b] < g->used[best]))
			best = b;
	return best;
}

static void
collect(struct page_ftl *g, struct sdcard_counts *n)
{
	uint32_t b = choose(g), *holds = g->holds + (size_t)b * g->block_pages;
	uint64_t bytes = (uint64_t)g->used[b] * PAGE_UNIT_BYTES;

	for (uint32_t i = 0; g->used[b]; i++) {
		uint32_t page = holds[i];

		if (page == NOWHERE)
			continue;
		forget(g, page);
		put(g, page, &g->collector);
	}
	g->state[b] = FREE;
	g->free[g->free_count++] = b;
	g->debt_ns +=
		copy_ns((double)bytes, g->p->collect_bandwidth) + COLLECT_NS;
	n->collections++;
	n->erases++;
	n->copied_bytes += bytes;
	n->programmed_bytes += bytes;
}

int64_t
page_write(struct page_ftl *g, uint64_t offset, uint32_t len,
	   struct sdcard_counts *n)
{
	uint32_t page = (uint32_t)(offset / PAGE_UNIT_BYTES);
	uint32_t end = (uint32_t)((offset + len + PAGE_UNIT_BYTES - 1) /
				  PAGE_UNIT_BYTES);
	int64_t pays, most = g->p->stall_us * 1000ll;

	n->programmed_bytes += (uint64_t)(end - page) * PAGE_UNIT_BYTES;
	for (; page < end; page++) {
		forget(g, page);
		put(g, page, &g->host);
		/* There is always a full block with a page to win: so many
		 * blocks are more than the pages of the card need. */
		while (g->free_count < FREE_BLOCKS)
			collect(g, n);
	}
	pays = g->debt_ns < most ? g->debt_ns : most;
	g->debt_ns -= pays;
	return pays;
}

void
page_discard(struct page_ftl *g, uint64_t offset, uint64_t len)
{
	uint64_t page = (offset + PAGE_UNIT_BYTES - 1) / PAGE_UNIT_BYTES;

	for (; page < (offset + len) / PAGE_UNIT_BYTES; page++)
		forget(g, (uint32_t)page);
}

void
page_prefill(struct page_ftl *g)
{
	struct sdcard_counts ignored;

	memset(&ignored, 0, sizeof ignored);
	for (uint32_t page = 0; page < g->pages; page++)
		page_write(g, (uint64_t)page * PAGE_UNIT_BYTES, PAGE_UNIT_BYTES,
			   &ignored);
	g->debt_ns = 0;
}

unsigned
page_neighbours(const struct page_ftl *g, uint64_t draw, unsigned max,
		uint64_t *offsets)
{
	uint32_t at = g->host.pages, count = 0;
	const uint32_t *holds =
		g->holds + (size_t)g->host.block * g->block_pages;

	/* The page that is being programmed is not among them. */
	if (at < 2)
		return 0;
	at = at - 1 - (uint32_t)(draw % (at - 1 < 256 ? at - 1 : 256));
	for (uint32_t i = at; i < g->host.pages && count < max; i++)
		if (holds[i] != NOWHERE)
			offsets[count++] = (uint64_t)holds[i] * PAGE_UNIT_BYTES;
	return count;
}

/* ---- state -----------------------------------------------------------------
 */

/* What follows from the rest: which place holds what, how full blocks are. */
static int
derive(struct page_ftl *g)
{
	uint32_t places = g->blocks * g->block_pages;

	for (uint32_t page = 0; page < g->pages; page++) {
		uint32_t at = g->place[page];

		if (at == NOWHERE)
			continue;
		if (at >= places || g->holds[at] != NOWHERE ||
		    g->state[at / g->block_pages] == FREE)
			return -EINVAL;
		g->holds[at] = page;
		g->used[at / g->block_pages]++;
	}
	return 0;
}

/* Nothing lies beyond what a frontier has filled. */
static int
frontier_sound(const struct page_ftl *g, const struct frontier *f)
{
	if (f->block >= g->blocks || f->pages >= g->block_pages ||
	    g->state[f->block] != FILLING)
		return 0;
	for (uint32_t i = f->pages; i < g->block_pages; i++)
		if (g->holds[(size_t)f->block * g->block_pages + i] != NOWHERE)
			return 0;
	return 1;
}

/* Two blocks are being filled, and the free ones are those on the stack, each
 * once. Uses g->used, which is zero before and after. */
static int
states_sound(struct page_ftl *g)
{
	uint32_t count[FILLING + 1] = { 0 };

	for (uint32_t b = 0; b < g->blocks; b++) {
		if (g->state[b] > FILLING)
			return 0;
		count[g->state[b]]++;
	}
	for (uint32_t i = 0; i < g->free_count; i++) {
		if (g->free[i] >= g->blocks || g->state[g->free[i]] != FREE ||
		    g->used[g->free[i]])
			return 0;
		g->used[g->free[i]] = 1;
	}
	for (uint32_t i = 0; i < g->free_count; i++)
		g->used[g->free[i]] = 0;
	return count[FILLING] == 2 && count[FREE] == g->free_count &&
	       g->free_count >= FREE_BLOCKS - 1 &&
	       g->host.block != g->collector.block;
}

int
page_state(struct page_ftl *g, const struct sdcard_port *port)
{
	int err;

	if ((err = port->move(port->ctx, g->place,
			      g->pages * sizeof *g->place)) ||
	    (err = port->move(port->ctx, g->state, g->blocks)) ||
	    (err = port->move(port->ctx, &g->host, sizeof g->host)) ||
	    (err = port->move(port->ctx, &g->collector, sizeof g->collector)) ||
	    (err = port->move(port->ctx, &g->debt_ns, sizeof g->debt_ns)) ||
	    (err = port->move(port->ctx, &g->free_count, sizeof g->free_count)))
		return err;
	if (g->free_count > g->blocks)
		return -EINVAL;
	err = port->move(port->ctx, g->free, g->free_count * sizeof *g->free);
	if (err || !port->load)
		return err;
	memset(g->holds, 0xff,
	       (size_t)g->blocks * g->block_pages * sizeof *g->holds);
	memset(g->used, 0, g->blocks * sizeof *g->used);
	if (!states_sound(g) || g->debt_ns < 0 || derive(g) ||
	    !frontier_sound(g, &g->host) || !frontier_sound(g, &g->collector))
		return -EINVAL;
	return 0;
}
