/*
 * pages.c - a chained hash of pages and a list by last use.
 */
#include "liblbs/map/pages.h"

#include <stdlib.h>
#include <string.h>

#include "liblbs/meta/mapstore.h"

struct page {
	struct page *chain;
	struct page *newer, *older;
	uint64_t key;
	uint64_t entries[MAP_PAGE_BLOCKS];
};

struct pages {
	struct page **buckets;
	struct page ends;	/* ends.newer is the oldest, ends.older the
				 * newest; only its links are used */
	uint32_t max, count, mask;
};

struct pages *
pages_new(uint32_t max)
{
	struct pages *p = calloc(1, sizeof *p);
	uint32_t buckets = 16;

	if (!p)
		return NULL;
	p->max = max < 4 ? 4 : max;
	while (buckets < p->max)
		buckets *= 2;
	p->mask = buckets - 1;
	p->ends.newer = p->ends.older = &p->ends;
	p->buckets = calloc(buckets, sizeof *p->buckets);
	if (!p->buckets) {
		free(p);
		return NULL;
	}
	return p;
}

static struct page **
bucket(struct pages *p, uint64_t key)
{
	return &p->buckets[(key * 0x9e3779b97f4a7c15ull >> 32) & p->mask];
}

static void
unlink_use(struct page *g)
{
	g->newer->older = g->older;
	g->older->newer = g->newer;
}

static void
link_newest(struct pages *p, struct page *g)
{
	g->older = p->ends.older;
	g->newer = &p->ends;
	p->ends.older->newer = g;
	p->ends.older = g;
}

void
pages_clear(struct pages *p)
{
	struct page *g = p->ends.newer, *next;

	for (; g != &p->ends; g = next) {
		next = g->newer;
		free(g);
	}
	p->ends.newer = p->ends.older = &p->ends;
	p->count = 0;
	memset(p->buckets, 0, (p->mask + 1ul) * sizeof *p->buckets);
}

void
pages_free(struct pages *p)
{
	if (!p)
		return;
	pages_clear(p);
	free(p->buckets);
	free(p);
}

uint64_t *
pages_find(struct pages *p, uint64_t key)
{
	struct page *g = *bucket(p, key);

	while (g && g->key != key)
		g = g->chain;
	if (!g)
		return NULL;
	if (g != p->ends.older) {
		unlink_use(g);
		link_newest(p, g);
	}
	return g->entries;
}

uint64_t *
pages_insert(struct pages *p, uint64_t key)
{
	struct page *g, **at;

	if (p->count >= p->max) {
		g = p->ends.newer;
		unlink_use(g);
		for (at = bucket(p, g->key); *at != g; at = &(*at)->chain)
			;
		*at = g->chain;
	} else {
		g = malloc(sizeof *g);
		if (!g)
			return NULL;
		p->count++;
	}
	g->key = key;
	g->chain = *bucket(p, key);
	*bucket(p, key) = g;
	link_newest(p, g);
	return g->entries;
}

size_t
pages_bytes(const struct pages *p)
{
	return p->count * sizeof(struct page) +
	       (p->mask + 1ul) * sizeof *p->buckets;
}
