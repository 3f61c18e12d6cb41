/*
 * memtable.h - what changed in the map since a checkpoint, in memory: single
 * entries in a hash table, large unmaps as ranges. Bounded: putting never
 * allocates, room is asked for beforehand. Keys are map_key's. Not thread-safe.
 */
#ifndef LBS_MAP_MEMTABLE_H
#define LBS_MAP_MEMTABLE_H

#include <stddef.h>
#include <stdint.h>

#include "liblbs/format/layout.h"

struct memtable;

/* slots: a power of two. NULL when memory ran out. */
struct memtable *memtable_new(uint32_t slots);
void memtable_free(struct memtable *t);
void memtable_clear(struct memtable *t);
int memtable_empty(const struct memtable *t);
/* 1 if that many entries and ranges more fit. */
int memtable_fits(const struct memtable *t, uint32_t entries, uint32_t ranges);
/* Makes room by growing: for replay only, where the log is the bound. 0 or -1
 * when memory ran out. */
int memtable_grow(struct memtable *t, uint32_t entries, uint32_t ranges);

/* A hint that a key will be put soon. */
void memtable_prefetch(const struct memtable *t, uint64_t key);
/* Room was asked for. value is a position, or 0 for a hole. */
void memtable_put(struct memtable *t, uint64_t key, uint64_t value);
void memtable_unmap(struct memtable *t, uint64_t key, uint64_t count);
/* 1 and the value if the table says something about the key. */
int memtable_get(const struct memtable *t, uint64_t key, uint64_t *value);
/* The smallest key from this one on that was put; UINT64_MAX if there is none.
 * Looks at the whole table. */
uint64_t memtable_next(const struct memtable *t, uint64_t key);

struct memtable_run {
	uint64_t key, count, value;
};
/* All of it in ascending order, adjacent entries joined. malloc'd. NULL when
 * memory ran out or (count 0) it is empty. */
struct memtable_run *memtable_runs(const struct memtable *t, size_t *count);

size_t memtable_bytes(const struct memtable *t);

#endif
