/*
 * memtable.c - open addressing with linear probing; nothing is ever removed but
 * all at once, so there are no tombstones.
 *
 * Invariant: an entry is newer than any range that covers it, because unmap
 * turns the entries it covers into holes. So a lookup asks the entries first.
 */
#include "liblbs/map/memtable.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "liblbs/format/runs.h"
#include "liblbs/map/sort.h"

#define RANGES_MAX 1024u

struct range {
	uint64_t key, end;
};

struct memtable {
	struct entry *slots;	/* key 0: empty (no layer is 0) */
	struct range *ranges;	/* ascending, apart from each other */
	uint32_t mask, used;
	uint32_t range_count, range_cap;
};

struct memtable *
memtable_new(uint32_t slots)
{
	struct memtable *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->slots = calloc(slots, sizeof *t->slots);
	t->ranges = calloc(RANGES_MAX + 1, sizeof *t->ranges);
	t->range_cap = RANGES_MAX;
	t->mask = slots - 1;
	if (!t->slots || !t->ranges) {
		memtable_free(t);
		return NULL;
	}
	return t;
}

void
memtable_free(struct memtable *t)
{
	if (!t)
		return;
	free(t->slots);
	free(t->ranges);
	free(t);
}

void
memtable_clear(struct memtable *t)
{
	if (t->used)
		memset(t->slots, 0, (t->mask + 1ul) * sizeof *t->slots);
	t->used = t->range_count = 0;
}

int
memtable_empty(const struct memtable *t)
{
	return !t->used && !t->range_count;
}

static uint32_t
room(const struct memtable *t)
{
	return (uint32_t)((t->mask + 1ull) * 3 / 4);
}

int
memtable_fits(const struct memtable *t, uint32_t entries, uint32_t ranges)
{
	return (uint64_t)t->used + entries <= room(t) &&
	       t->range_count + ranges <= t->range_cap;
}

/* Fibonacci hashing: neighbours spread over the table. */
static uint32_t
hash(uint64_t key, uint32_t mask)
{
	return (uint32_t)(key * 0x9e3779b97f4a7c15ull >> 32) & mask;
}

static struct entry *
find(struct entry *slots, uint32_t mask, uint64_t key)
{
	uint32_t i = hash(key, mask);

	while (slots[i].key && slots[i].key != key)
		i = (i + 1) & mask;
	return &slots[i];
}

int
memtable_grow(struct memtable *t, uint32_t entries, uint32_t ranges)
{
	uint32_t slots = t->mask + 1;
	struct entry *bigger;

	if (t->range_count + ranges > t->range_cap) {
		uint32_t cap = (t->range_cap + ranges) * 2;
		struct range *r = realloc(t->ranges, (cap + 1ul) * sizeof *r);

		if (!r)
			return -1;
		t->ranges = r;
		t->range_cap = cap;
	}
	while ((uint64_t)t->used + entries > slots * 3ull / 4)
		slots *= 2;
	if (slots == t->mask + 1)
		return 0;
	bigger = calloc(slots, sizeof *bigger);
	if (!bigger)
		return -1;
	for (uint32_t i = 0; i <= t->mask; i++)
		if (t->slots[i].key)
			*find(bigger, slots - 1, t->slots[i].key) = t->slots[i];
	free(t->slots);
	t->slots = bigger;
	t->mask = slots - 1;
	return 0;
}

void
memtable_prefetch(const struct memtable *t, uint64_t key)
{
	__builtin_prefetch(&t->slots[hash(key, t->mask)], 1);
}

void
memtable_put(struct memtable *t, uint64_t key, uint64_t value)
{
	struct entry *e = find(t->slots, t->mask, key);

	if (!e->key) {
		assert(t->used < t->mask); /* one slot stays empty */
		e->key = key;
		t->used++;
	}
	e->value = value;
}

/* The first range that ends after key. */
static uint32_t
range_at(const struct memtable *t, uint64_t key)
{
	uint32_t lo = 0, hi = t->range_count;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (t->ranges[mid].end <= key)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void
memtable_unmap(struct memtable *t, uint64_t key, uint64_t count)
{
	uint64_t end = key + count;
	uint32_t first, last;

	if (count < t->mask) {
		for (uint64_t k = key; k < end && t->used; k++) {
			struct entry *e = find(t->slots, t->mask, k);

			if (e->key)
				e->value = 0;
		}
	} else {
		for (uint32_t i = 0; i <= t->mask; i++)
			if (t->slots[i].key >= key && t->slots[i].key < end)
				t->slots[i].value = 0;
	}
	/* Join with the ranges that it touches. */
	first = range_at(t, key ? key - 1 : 0);
	for (last = first; last < t->range_count && t->ranges[last].key <= end;
	     last++) {
		if (t->ranges[last].key < key)
			key = t->ranges[last].key;
		if (t->ranges[last].end > end)
			end = t->ranges[last].end;
	}
	assert(t->range_count - (last - first) < t->range_cap + 1);
	memmove(t->ranges + first + 1, t->ranges + last,
		(t->range_count - last) * sizeof *t->ranges);
	t->ranges[first] = (struct range){ key, end };
	t->range_count = t->range_count - (last - first) + 1;
}

int
memtable_get(const struct memtable *t, uint64_t key, uint64_t *value)
{
	const struct entry *e;
	uint32_t i;

	if (t->used) {
		e = find(t->slots, t->mask, key);
		if (e->key) {
			*value = e->value;
			return 1;
		}
	}
	if (!t->range_count)
		return 0;
	i = range_at(t, key);
	if (i == t->range_count || t->ranges[i].key > key)
		return 0;
	*value = 0;
	return 1;
}

uint64_t
memtable_next(const struct memtable *t, uint64_t key)
{
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; t->used && i <= t->mask; i++)
		if (t->slots[i].key >= key && t->slots[i].key < least)
			least = t->slots[i].key;
	return least;
}

static void
emit(struct memtable_run *runs, size_t *n, uint64_t key, uint64_t count,
     uint64_t value)
{
	struct memtable_run *last = *n ? &runs[*n - 1] : NULL;

	/* A run stays within a layer because lba 0 of the next one cannot
	 * follow the last lba of a vdisk: LBA_MAX is never reached. */
	if (last && last->key + last->count == key &&
	    (value ? last->value &&
			     value == position_next(last->value, last->count) &&
			     last->count + count <= RECORD_BLOCKS_MAX
		   : !last->value)) {
		last->count += count;
		return;
	}
	runs[(*n)++] = (struct memtable_run){ key, count, value };
}

/* Where emitting the ranges has come to: at of range r, UINT64_MAX behind the last. */
struct range_walk {
	const struct memtable *t;
	uint32_t r;
	uint64_t at;
};

static void
begin_range(struct range_walk *w, uint32_t r)
{
	w->r = r;
	w->at = r < w->t->range_count ? w->t->ranges[r].key : UINT64_MAX;
}

/* Emits what ranges say before key. */
static void
emit_ranges(struct range_walk *w, uint64_t key, struct memtable_run *runs, size_t *n)
{
	while (w->at < key) {
		uint64_t end = w->t->ranges[w->r].end;

		if (end > key) {
			emit(runs, n, w->at, key - w->at, 0);
			w->at = key;
			return;
		}
		emit(runs, n, w->at, end - w->at, 0);
		begin_range(w, w->r + 1);
	}
}

struct memtable_run *
memtable_runs(const struct memtable *t, size_t *count)
{
	struct range_walk ranges = { .t = t };
	struct entry *sorted;
	struct memtable_run *runs = NULL;
	size_t n = 0, used = 0;

	*count = 0;
	if (memtable_empty(t))
		return NULL;
	sorted = malloc((t->used + 1ul) * sizeof *sorted);
	runs = malloc((2ul * t->used + t->range_count + 1) * sizeof *runs);
	if (!sorted || !runs) {
		free(sorted);
		free(runs);
		return NULL;
	}
	for (uint32_t i = 0; i <= t->mask; i++)
		if (t->slots[i].key)
			sorted[used++] = t->slots[i];
	/* The runs' place is the sort's until they are made. */
	sort_entries(sorted, (struct entry *)runs, used);
	begin_range(&ranges, 0);
	for (size_t i = 0; i < used; i++) {
		uint64_t key = sorted[i].key;

		emit_ranges(&ranges, key, runs, &n);
		emit(runs, &n, key, 1, sorted[i].value);
		/* The entry stands for its block of a range that covers it. */
		if (ranges.at == key && ++ranges.at == t->ranges[ranges.r].end)
			begin_range(&ranges, ranges.r + 1);
	}
	emit_ranges(&ranges, UINT64_MAX, runs, &n);
	free(sorted);
	*count = n;
	return runs;
}

size_t
memtable_bytes(const struct memtable *t)
{
	return (t->mask + 1ul) * sizeof *t->slots +
	       (t->range_cap + 1ul) * sizeof *t->ranges;
}
