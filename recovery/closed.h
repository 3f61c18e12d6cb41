/*
 * closed.h - a store that is not open: its metadata, its lock, its card, for
 * looking at what opening refuses.
 */
#ifndef LBS_RECOVERY_CLOSED_H
#define LBS_RECOVERY_CLOSED_H

#include "liblbs/store/internal.h"

struct closed {
	struct run_file *lock;
	struct meta *meta;
	struct medium *card;
	struct sealer sealer;
	struct geometry geometry;
	uint8_t *key;		/* secret */
};

/* Takes the lock and opens metadata and data directory (data_dir may be NULL).
 * closed_free releases it, also after an error. LBS_ECARDMISSING: no
 * directory. */
int closed_open(const char *path, const char *data_dir, struct closed *out);
void closed_free(struct closed *c);

/* The parts by themselves, for metadata that cannot be opened: the card of a
 * store with this row and key. */
int closed_card(struct closed *c, const struct meta_store *row,
		const uint8_t *key, const char *data_dir);
/* The serial that a segment's own header tells, and its salt; 0 if it has no
 * authentic header. */
uint64_t closed_serial(struct closed *c, uint32_t segment,
		       uint8_t salt[SALT_BYTES]);

#endif
