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

#define PAGE 4096

struct simpage {
	atomic_uint refs;
	uint8_t bytes[PAGE];
};

struct simtable {
	atomic_uint refs;
	size_t count;
	struct simpage *pages[];	/* NULL = zeroes */
};

/* volatile: the compiler knows that calloc looks at no variable. */
_Thread_local volatile int sim_allocating;

void *sim_alloc(size_t size)
{
	void *p;

	sim_allocating++;
	p = calloc(1, size ? size : 1);
	sim_allocating--;
	if (p == NULL) {
		fprintf(stderr, "lab: out of memory\n");
		abort();
	}
	return p;
}

void *sim_realloc(void *old, size_t size)
{
	void *p;

	sim_allocating++;
	p = realloc(old, size ? size : 1);
	sim_allocating--;
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

static void table_put(struct simtable *t)
{
	size_t i;

	if (t == NULL || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	for (i = 0; i < t->count; i++)
		page_put(t->pages[i]);
	free(t);
}

/* The image's table, with room for want pages at least and nobody else's. */
static struct simtable *table_own(struct simimage *img, size_t want)
{
	struct simtable *old = img->table, *t;
	size_t i, had = old == NULL ? 0 : old->count;

	if (old != NULL && want <= had && atomic_load(&old->refs) == 1)
		return old;
	if (want < had)
		want = had;
	t = sim_alloc(sizeof(*t) + want * sizeof(t->pages[0]));
	atomic_init(&t->refs, 1);
	t->count = want;
	for (i = 0; i < had; i++) {
		t->pages[i] = old->pages[i];
		if (t->pages[i] != NULL)
			atomic_fetch_add(&t->pages[i]->refs, 1);
	}
	table_put(old);
	img->table = t;
	return t;
}

static size_t pages_of(uint64_t len_bytes)
{
	return (size_t)((len_bytes + PAGE - 1) / PAGE);
}

/* The page at index, private to this image, whose table is its own. */
static struct simpage *page_own(struct simtable *t, size_t index)
{
	struct simpage *p = t->pages[index], *q;

	if (p != NULL && atomic_load(&p->refs) == 1)
		return p;
	q = sim_alloc(sizeof(*q));
	atomic_init(&q->refs, 1);
	if (p != NULL)
		memcpy(q->bytes, p->bytes, PAGE);
	page_put(p);
	t->pages[index] = q;
	return q;
}

void simimage_clone(struct simimage *dst, const struct simimage *src)
{
	*dst = *src;
	if (src->table != NULL)
		atomic_fetch_add(&src->table->refs, 1);
}

void simimage_free(struct simimage *img)
{
	table_put(img->table);
	memset(img, 0, sizeof(*img));
}

size_t simimage_read(const struct simimage *img, void *buf, size_t len,
		     uint64_t offset)
{
	size_t done = 0, n, at, i;
	const struct simpage *p;

	if (offset >= img->len_bytes)
		return 0;
	if (len > img->len_bytes - offset)
		len = (size_t)(img->len_bytes - offset);
	for (; done < len; done += n) {
		at = (size_t)((offset + done) % PAGE);
		n = len - done < PAGE - at ? len - done : PAGE - at;
		i = (size_t)((offset + done) / PAGE);
		p = img->table != NULL && i < img->table->count
			    ? img->table->pages[i] : NULL;
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
	struct simtable *t;
	struct simpage *p;

	if (len == 0)
		return;
	t = table_own(img, pages_of(offset + len));
	for (done = 0; done < len; done += n) {
		at = (size_t)((offset + done) % PAGE);
		n = len - done < PAGE - at ? len - done : PAGE - at;
		p = page_own(t, (size_t)((offset + done) / PAGE));
		memcpy(p->bytes + at, (const uint8_t *)buf + done, n);
	}
	if (img->len_bytes < offset + len)
		img->len_bytes = offset + len;
}

void simimage_resize(struct simimage *img, uint64_t len_bytes)
{
	size_t keep = pages_of(len_bytes), i;
	size_t tail = (size_t)(len_bytes % PAGE);
	struct simtable *t;

	/* Bytes past the end are kept zero, so that growing shows zeroes. */
	if (len_bytes < img->len_bytes && img->table != NULL) {
		t = table_own(img, 0);
		for (i = keep; i < t->count; i++) {
			page_put(t->pages[i]);
			t->pages[i] = NULL;
		}
		if (tail != 0 && keep <= t->count && t->pages[keep - 1] != NULL)
			memset(page_own(t, keep - 1)->bytes + tail, 0,
			       PAGE - tail);
	}
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
