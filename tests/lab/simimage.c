/*
 * simimage.c - copy-on-write file contents for the simulated disk.
 * Must never write to a page that another image refers to. Pages are shared
 * between clones that different threads may own, hence the atomic count.
 */
#include "tests/lab/simimage.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 16384

struct simpage {
	atomic_uint refs;
	uint8_t bytes[PAGE];
};

void *sim_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (p == NULL) {
		fprintf(stderr, "lab: out of memory\n");
		abort();
	}
	return p;
}

void *sim_realloc(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);

	if (p == NULL) {
		fprintf(stderr, "lab: out of memory\n");
		abort();
	}
	return p;
}

uint64_t sim_mix(uint64_t a, uint64_t b)
{
	uint64_t x = a * 0x9e3779b97f4a7c15u + b;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

uint64_t sim_random(uint64_t *state)
{
	*state += 1;
	return sim_mix(*state, 0x5851f42d4c957f2du);
}

static void page_put(struct simpage *p)
{
	if (p != NULL && atomic_fetch_sub(&p->refs, 1) == 1)
		free(p);
}

/* The page at index, private to this image. */
static struct simpage *page_own(struct simimage *img, size_t index)
{
	struct simpage *p = img->pages[index], *q;

	if (p != NULL && atomic_load(&p->refs) == 1)
		return p;
	q = sim_alloc(sizeof(*q));
	atomic_init(&q->refs, 1);
	if (p != NULL)
		memcpy(q->bytes, p->bytes, PAGE);
	page_put(p);
	img->pages[index] = q;
	return q;
}

static void reserve(struct simimage *img, uint64_t len_bytes)
{
	size_t want = (size_t)((len_bytes + PAGE - 1) / PAGE);

	if (want <= img->page_count)
		return;
	img->pages = sim_realloc(img->pages, want * sizeof(*img->pages));
	memset(img->pages + img->page_count, 0,
	       (want - img->page_count) * sizeof(*img->pages));
	img->page_count = want;
}

void simimage_clone(struct simimage *dst, const struct simimage *src)
{
	size_t i;

	*dst = *src;
	dst->pages = NULL;
	if (src->page_count == 0)
		return;
	dst->pages = sim_alloc(src->page_count * sizeof(*dst->pages));
	for (i = 0; i < src->page_count; i++) {
		dst->pages[i] = src->pages[i];
		if (src->pages[i] != NULL)
			atomic_fetch_add(&src->pages[i]->refs, 1);
	}
}

void simimage_free(struct simimage *img)
{
	size_t i;

	for (i = 0; i < img->page_count; i++)
		page_put(img->pages[i]);
	free(img->pages);
	memset(img, 0, sizeof(*img));
}

size_t simimage_read(const struct simimage *img, void *buf, size_t len,
		     uint64_t offset)
{
	size_t done = 0, n, at;
	const struct simpage *p;

	if (offset >= img->len_bytes)
		return 0;
	if (len > img->len_bytes - offset)
		len = (size_t)(img->len_bytes - offset);
	for (; done < len; done += n) {
		at = (size_t)((offset + done) % PAGE);
		n = len - done < PAGE - at ? len - done : PAGE - at;
		p = img->pages[(offset + done) / PAGE];
		if (p != NULL)
			memcpy((uint8_t *)buf + done, p->bytes + at, n);
		else
			memset((uint8_t *)buf + done, 0, n);
	}
	return len;
}

void simimage_write(struct simimage *img, const void *buf, size_t len,
		    uint64_t offset)
{
	size_t done, n, at;
	struct simpage *p;

	if (len == 0)
		return;
	reserve(img, offset + len);
	for (done = 0; done < len; done += n) {
		at = (size_t)((offset + done) % PAGE);
		n = len - done < PAGE - at ? len - done : PAGE - at;
		p = page_own(img, (size_t)((offset + done) / PAGE));
		memcpy(p->bytes + at, (const uint8_t *)buf + done, n);
	}
	if (img->len_bytes < offset + len)
		img->len_bytes = offset + len;
}

void simimage_resize(struct simimage *img, uint64_t len_bytes)
{
	size_t keep = (size_t)((len_bytes + PAGE - 1) / PAGE), i;
	size_t tail = (size_t)(len_bytes % PAGE);

	/* Bytes past the end are kept zero, so that growing shows zeroes. */
	for (i = keep; i < img->page_count; i++) {
		page_put(img->pages[i]);
		img->pages[i] = NULL;
	}
	if (tail != 0 && len_bytes < img->len_bytes &&
	    img->pages[keep - 1] != NULL)
		memset(page_own(img, keep - 1)->bytes + tail, 0, PAGE - tail);
	reserve(img, len_bytes);
	img->len_bytes = len_bytes;
}

void simimage_grow_garbage(struct simimage *img, uint64_t len_bytes,
			   uint64_t seed)
{
	uint8_t buf[512];
	uint64_t at = img->len_bytes, word;
	size_t n, i;

	for (; at < len_bytes; at += n) {
		n = len_bytes - at < sizeof(buf) ? (size_t)(len_bytes - at)
						 : sizeof(buf);
		for (i = 0; i < sizeof(buf); i += sizeof(word)) {
			word = sim_mix(seed + i, at);
			memcpy(buf + i, &word, sizeof(word));
		}
		simimage_write(img, buf, n, at);
	}
}
