/*
 * sort.h - sorts the entries of a table by key, for a checkpoint: by radix,
 * because comparing is most of what a checkpoint of random writes would do.
 */
#ifndef LBS_MAP_SORT_H
#define LBS_MAP_SORT_H

#include <stddef.h>
#include <stdint.h>

struct entry {
	uint64_t key;
	uint64_t value;
};

/* Ascending; spare has room for as many, and holds nothing of use afterwards. */
void sort_entries(struct entry *entries, struct entry *spare, size_t count);

#endif
