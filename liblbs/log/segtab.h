/*
 * segtab.h - the table of segments in memory: which are room, which are in use,
 * their keys, how many live blocks they hold, who is reading them. 56 bytes and a
 * key of 32 a segment. Thread-safe.
 */
#ifndef LBS_LOG_SEGTAB_H
#define LBS_LOG_SEGTAB_H

#include <stdint.h>

#include "liblbs/log/seal.h"

struct segtab;

/* last_recno of a segment that is still being written. */
#define RECNO_OPEN UINT64_MAX
/* Of a segment that the cleaner has filled, until a checkpoint has written the
 * moves into it: its live count says nothing yet. */
#define RECNO_COLD (UINT64_MAX - 1)

/* In the serials of the cleaner's segments, and the numbers of its records: in none
 * of the log's. */
#define SERIAL_CLEANER (1ull << 31)

/* For segments 0 to count - 1, none of them room; sealer outlives the table. NULL when
 * memory ran out. */
struct segtab *segtab_new(const struct sealer *sealer, uint32_t count);
void segtab_free(struct segtab *t);

/* The segment is on the card, filled and committed: it is room. */
void segtab_fill(struct segtab *t, uint32_t segment);
int segtab_is_filled(struct segtab *t, uint32_t segment);
/* Filled segments, and those of them that can be taken now or after their
 * readers leave. */
void segtab_room(struct segtab *t, uint32_t *filled, uint32_t *free);

/* Giving room back to the card. Segments from this one on are withdrawn: they
 * are not taken any more and count as not filled. With the table's count all of
 * them count again. */
void segtab_withdraw(struct segtab *t, uint32_t from);
/* The first segment that is withdrawn; the count if none is. */
uint32_t segtab_end(struct segtab *t);
/* Behind the last segment that is in use or is being read. */
uint32_t segtab_busy_to(struct segtab *t);
/* Withdrawn segments from this one on, all free, are not on the card any more. */
void segtab_empty(struct segtab *t, uint32_t from);

/* The segment is in use with this salt: known from the metadata or the log. */
void segtab_use(struct segtab *t, uint32_t segment, uint64_t serial,
		const uint8_t salt[SALT_BYTES], uint64_t last_recno);
/* Takes a free segment that nobody reads for writing, the next after the last
 * one taken; 0, or -1 if there is none. It has no salt yet. */
int segtab_take(struct segtab *t, uint32_t *segment);
/* Gives back a segment: it is room again. */
void segtab_release(struct segtab *t, uint32_t segment);
void segtab_set_last_recno(struct segtab *t, uint32_t segment, uint64_t recno);
/* The segment was filled by its stream: the same, and it is of age 0 now. */
void segtab_close(struct segtab *t, uint32_t segment, uint64_t recno);
/* Ages count segments of log: one more was begun. */
void segtab_tick(struct segtab *t);
/* When, by that count, the guest wrote what lies there, on average: of the log's
 * segments the time of their end; the cleaner tells it of its own. */
uint32_t segtab_written(struct segtab *t, uint32_t segment);
void segtab_set_written(struct segtab *t, uint32_t segment, uint32_t at);
/* After loading: what is in use is as old as its serial's rank tells. 0 or -1
 * when memory ran out. */
int segtab_rank(struct segtab *t);
/* A segment that is being cleaned is held: it stays in use, though it may be
 * empty, so that no place in it means something new. */
void segtab_hold(struct segtab *t, uint32_t segment, int held);
/* It was cleaned and is not empty: no victim again while the store is open. */
void segtab_set_stuck(struct segtab *t, uint32_t segment);

struct segment_info {
	int filled, used;
	int keyed;		/* serial and salt are of this use: a segment that
				 * is taken has them from when it is begun */
	uint64_t serial, last_recno;
	uint32_t live;
	uint8_t salt[SALT_BYTES];
	int in_metadata;	/* its row is in the metadata file */
	int held, stuck;
	uint64_t age;		/* segments of log begun since it was closed */
	uint64_t written;	/* and since what lies there was written */
};
void segtab_info(struct segtab *t, uint32_t segment, struct segment_info *out);
void segtab_set_in_metadata(struct segtab *t, uint32_t segment, int in_metadata);
void segtab_live_add(struct segtab *t, uint32_t segment, int32_t blocks);
void segtab_live_set(struct segtab *t, uint32_t segment, uint32_t blocks);
/* Of all segments in use. */
uint64_t segtab_live_total(struct segtab *t);

/* The key of the last use of a segment, valid while it is pinned or being written.
 * NULL before its first use, and from when it was taken until that is begun. */
const uint8_t *segtab_key(struct segtab *t, uint32_t segment);
void segtab_pin(struct segtab *t, uint32_t segment);
void segtab_unpin(struct segtab *t, uint32_t segment);

#endif
