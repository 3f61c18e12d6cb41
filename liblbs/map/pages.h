/*
 * pages.h - decoded pages of the persisted map, least recently used first out.
 * Holds clean copies only, so any page may be dropped at any time. Not
 * thread-safe.
 */
#ifndef LBS_MAP_PAGES_H
#define LBS_MAP_PAGES_H

#include <stddef.h>
#include <stdint.h>

struct pages;

/* At most max pages of MAP_PAGE_BLOCKS entries, at least 4. NULL when memory ran
 * out. */
struct pages *pages_new(uint32_t max);
void pages_free(struct pages *p);
void pages_clear(struct pages *p);
/* The entries of a page, or NULL if it is not here. Valid until the next
 * insert. key = map_key(layer, page number). */
uint64_t *pages_find(struct pages *p, uint64_t key);
/* Room for a page, replacing the oldest; the caller fills it. NULL when memory
 * ran out. */
uint64_t *pages_insert(struct pages *p, uint64_t key);
size_t pages_bytes(const struct pages *p);

#endif
