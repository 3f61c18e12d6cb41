/*
 * host.c - see host.h.
 */
#include "bench/oncard/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void *
zeroed(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p) {
		fprintf(stderr, "oncard: out of memory\n");
		exit(1);
	}
	return p;
}

void
host_init(struct host *h, const struct sdcard_params *const *presets, int count,
	  uint64_t size_bytes, int aged)
{
	memset(h, 0, sizeof *h);
	pthread_mutex_init(&h->lock, NULL);
	for (h->cards = 0; h->cards < count; h->cards++) {
		struct sdcard *c = sdcard_new(presets[h->cards], size_bytes);

		if (!c) {
			fprintf(stderr, "oncard: out of memory\n");
			exit(1);
		}
		if (aged)
			sdcard_prefill(c);
		h->card[h->cards] = c;
	}
	h->base = HOST_BASE;
	h->words = size_bytes / HOST_PAGE / 64 + 1;
	h->dirty = zeroed(h->words, 8);
	h->present = zeroed(h->words, 8);
	h->summary = zeroed(h->words / 64 + 1, 8);
	h->clean = zeroed(HOST_CLEAN_PAGES, sizeof *h->clean);
	memset(h->clean, 0xff, HOST_CLEAN_PAGES * sizeof *h->clean);
}

void
host_free(struct host *h)
{
	for (int i = 0; i < h->cards; i++)
		sdcard_free(h->card[i]);
	free(h->dirty);
	free(h->present);
	free(h->summary);
	free(h->clean);
	pthread_mutex_destroy(&h->lock);
}

/* ---- requests to the cards
 * --------------------------------------------------- */

static void
each(struct host *h, uint64_t offset, uint64_t len, int writing)
{
	while (len) {
		uint32_t n = len < HOST_REQUEST ? (uint32_t)len : HOST_REQUEST;

		for (int i = 0; i < h->cards; i++)
			if (writing)
				sdcard_write(h->card[i], offset, n);
			else
				sdcard_read(h->card[i], offset, n);
		offset += n;
		len -= n;
	}
}

static void
flush_all(struct host *h)
{
	for (int i = 0; i < h->cards; i++)
		sdcard_flush(h->card[i]);
}

void
host_direct_write(struct host *h, uint64_t offset, uint64_t len)
{
	pthread_mutex_lock(&h->lock);
	each(h, offset, len, 1);
	pthread_mutex_unlock(&h->lock);
}

void
host_direct_read(struct host *h, uint64_t offset, uint64_t len)
{
	pthread_mutex_lock(&h->lock);
	each(h, offset, len, 0);
	pthread_mutex_unlock(&h->lock);
}

void
host_flush(struct host *h)
{
	pthread_mutex_lock(&h->lock);
	flush_all(h);
	pthread_mutex_unlock(&h->lock);
}

/* ---- pages
 * --------------------------------------------------------------------- */

static int
has(const uint64_t *bits, uint64_t page)
{
	return (int)(bits[page / 64] >> page % 64 & 1);
}

/* A clean page enters memory; the one that entered longest ago leaves. */
static void
remember(struct host *h, uint64_t page)
{
	uint32_t *place = &h->clean[h->clean_at++ % HOST_CLEAN_PAGES];

	if (*place != UINT32_MAX && !has(h->dirty, *place))
		h->present[*place / 64] &= ~(1ull << *place % 64);
	*place = (uint32_t)page;
	h->present[page / 64] |= 1ull << page % 64;
}

static void
make_dirty(struct host *h, uint64_t page)
{
	h->present[page / 64] |= 1ull << page % 64;
	if (has(h->dirty, page))
		return;
	h->dirty[page / 64] |= 1ull << page % 64;
	h->summary[page / 4096] |= 1ull << page / 64 % 64;
	h->dirty_pages++;
}

/* Reads the pages of [page, end) that are not in memory, those that are
 * adjacent at once. */
static void
fetch(struct host *h, uint64_t page, uint64_t end)
{
	while (page < end) {
		uint64_t from = page;

		while (page < end && !has(h->present, page))
			page++;
		if (page > from)
			each(h, from * HOST_PAGE, (page - from) * HOST_PAGE, 0);
		for (uint64_t p = from; p < page; p++)
			remember(h, p);
		while (page < end && has(h->present, page))
			page++;
	}
}

void
host_read(struct host *h, uint64_t offset, uint64_t len)
{
	pthread_mutex_lock(&h->lock);
	fetch(h, offset / HOST_PAGE,
	      (offset + len + HOST_PAGE - 1) / HOST_PAGE);
	pthread_mutex_unlock(&h->lock);
}

void
host_write(struct host *h, uint64_t offset, uint64_t len)
{
	uint64_t first = offset / HOST_PAGE;
	uint64_t end = (offset + len + HOST_PAGE - 1) / HOST_PAGE;

	pthread_mutex_lock(&h->lock);
	if (offset % HOST_PAGE)
		fetch(h, first, first + 1);
	if ((offset + len) % HOST_PAGE)
		fetch(h, end - 1, end);
	for (uint64_t page = first; page < end; page++)
		make_dirty(h, page);
	pthread_mutex_unlock(&h->lock);
}

/* The first dirty page at or after page, or end. */
static uint64_t
next_dirty(const struct host *h, uint64_t page, uint64_t end)
{
	while (page < end) {
		uint64_t bits = h->dirty[page / 64] >> page % 64;

		if (bits) {
			page += (uint64_t)__builtin_ctzll(bits);
			return page < end ? page : end;
		}
		page = (page / 64 + 1) * 64;
		if (page / 64 % 64)
			bits = h->summary[page / 4096] >> page / 64 % 64;
		else
			bits = h->summary[page / 4096];
		page = bits ? page + 64ull * (uint64_t)__builtin_ctzll(bits)
			    : (page / 4096 + 1) * 4096;
	}
	return end;
}

static void
make_clean(struct host *h, uint64_t page)
{
	uint64_t *word = &h->dirty[page / 64];

	*word &= ~(1ull << page % 64);
	if (!*word)
		h->summary[page / 4096] &= ~(1ull << page / 64 % 64);
	h->dirty_pages--;
	remember(h, page);
}

static void
sleep_ns(double ns)
{
	struct timespec t = { (time_t)(ns / 1e9),
			      (long)(ns - (double)(time_t)(ns / 1e9) * 1e9) };

	nanosleep(&t, NULL);
}

void
host_sync(struct host *h, uint64_t offset, uint64_t len)
{
	uint64_t all = sdcard_size(h->card[0]), page, from;
	uint64_t end = (offset + len < all ? offset + len : all) / HOST_PAGE;
	int64_t begun;
	double took;

	pthread_mutex_lock(&h->lock);
	begun = sdcard_now(h->card[0]);
	page = next_dirty(h, offset / HOST_PAGE, end);
	while (page < end) {
		for (from = page; page < end && has(h->dirty, page); page++)
			make_clean(h, page);
		each(h, from * HOST_PAGE, (page - from) * HOST_PAGE, 1);
		page = next_dirty(h, page, end);
	}
	flush_all(h);
	took = (double)(sdcard_now(h->card[0]) - begun);
	pthread_mutex_unlock(&h->lock);
	if (h->realtime > 0)
		sleep_ns(took * h->realtime);
}

void
host_drop(struct host *h)
{
	pthread_mutex_lock(&h->lock);
	memcpy(h->present, h->dirty, h->words * 8);
	memset(h->clean, 0xff, HOST_CLEAN_PAGES * sizeof *h->clean);
	pthread_mutex_unlock(&h->lock);
}
