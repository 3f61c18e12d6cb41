/*
 * history.h - every state that each block of the disk ever had.
 * Must never forget one: what an accepted loss leaves may be of any time.
 */
#ifndef LBS_TESTS_SIM_HISTORY_H
#define LBS_TESTS_SIM_HISTORY_H

#include <stddef.h>
#include <stdint.h>

struct history;

/* All blocks begin as zeroes. The last one may be short: its length counts. */
struct history *history_new(uint32_t blocks, size_t block_bytes,
			    size_t last_bytes);
void history_add(struct history *h, uint32_t block, const void *bytes);
int history_has(const struct history *h, uint32_t block, const void *bytes);
void history_free(struct history *h);

#endif
