/*
 * stream.h - the inside of the log's stream, shared by reserve.c (numbers and
 * places), records.c (sealing) and append.c (pushing, waiting) and by no others.
 */
#ifndef LBS_LOG_STREAM_H
#define LBS_LOG_STREAM_H

#include <pthread.h>
#include <stdatomic.h>

#include "liblbs/log/append.h"
#include "liblbs/log/turn.h"

/* A group of 257 blocks over the smallest segments, which hold 13 each. */
#define PARTS_MAX 24

struct group;

/* A piece of the card, in the order of the log. */
struct item {
	struct item *next;
	struct group *group;	/* NULL: the stream's own (header, index) */
	uint8_t *buf;
	uint32_t segment, offset, len;
	uint32_t first, count;	/* blocks of the change that the record brings */
	struct map_change *changes; /* the group's, of this record */
	uint32_t change_count;
	uint64_t recno;
	int ready;
};

/* One stream_append, on its caller's stack. */
struct group {
	struct turn turn;
	/* A change of one extent is cut into records, an extent each; one of
	 * several extents is one record. */
	struct item items[PARTS_MAX];
	/* One for each extent of a record, or where frames vary for each block. */
	struct map_change changes[GROUP_RECORDS_MAX];
	uint32_t change_count;
	int parts, continues;
	uint32_t extents;	/* of each record */
	/* Where frames vary: how long the stored blocks are, and the frames of those
	 * before each together. */
	uint16_t stored[GROUP_BLOCKS_MAX];
	uint32_t before[GROUP_BLOCKS_MAX + 1];
	int pushed;		/* parts; owned by the pusher */
	int done;		/* guarded by the stream's lock: its turn comes */
};

struct stream {
	const struct sealer *sealer;
	const struct geometry *geometry;
	struct medium *card;
	struct segtab *segtab;
	struct append_hooks hooks;
	uint64_t session;
	int kind;		/* STREAM_LOG or STREAM_CLEANER */
	uint8_t *zeroes;	/* a page of them */
	struct turns turns;

	pthread_mutex_t lock;	/* guards all below */
	pthread_cond_t pushed_cond; /* pushed_recno moved, or error */
	int cut_waiters;
	/* reservation */
	uint32_t segment, cursor;
	uint8_t *index;		/* plain index of the open segment */
	uint32_t entries, index_cap;
	uint64_t segment_first_recno, segment_serial;
	struct ages ages;	/* of the cleaner's open segment */
	uint64_t next_recno, next_serial;
	struct cut last;	/* record reserved last */
	uint32_t spare[PARTS_MAX];
	int spares;
	int leaving;		/* the next record goes into another segment */
	/* queue */
	struct item *head, **tail;
	int pushing, error;
	uint64_t pushed_recno;
	uint32_t touched_segment, touched_end;
	uint8_t *dirty;		/* per chunk */
	struct stream_stats stats;
	_Atomic uint64_t log_bytes; /* as in stats */
	_Atomic uint32_t open_chunk; /* of the open segment */
	_Atomic int beside;	/* that chunk was synced without a cut */
	/* the group that is being pushed, across batches: owned by the pusher */
	struct map_change run[GROUP_RECORDS_MAX];
	int run_len;
};

/* Blocks of data that a change brings. */
static inline uint32_t
append_frames(const struct append_change *c)
{
	uint32_t n = 0;

	if (c->kind != RECORD_DATA)
		return 0;
	if (!c->extents)
		return c->extent.count_blocks;
	for (uint32_t i = 0; i < c->extent_count; i++)
		n += c->extents[i].count_blocks;
	return n;
}

/* Bytes of the frames of blocks [first, first + count) of a change. */
static inline uint32_t
group_frames_bytes(const struct stream *st, const struct group *g,
		   uint32_t first, uint32_t count)
{
	return sealer_varies(st->sealer)
		       ? g->before[first + count] - g->before[first]
		       : count * FRAME_BYTES;
}

/* Where frames vary, their lengths come before their places: puts the stored blocks
 * where they will be sealed if all go into one record, and their lengths into the
 * group. Before the lock is taken. */
void group_pack(const struct stream *st, struct group *g,
		const struct append_change *c, uint32_t frames, uint8_t *buf);
/* Seals the records of a group that has its places. Unlocked. */
void group_seal(struct stream *st, struct group *g, const struct append_change *c,
		uint64_t durable_to, uint64_t checkpoint);
/* Gives a change its record numbers and its places, and puts its records into
 * the queue, not ready; they will lie in buf one behind the other. The lock is
 * held throughout, so a group has one stretch of numbers (DESIGN.md promise 4).
 * LBS_ENOSPC with nothing changed; else st->error is set. */
int stream_reserve(struct stream *st, struct group *g,
		   const struct append_change *c, uint8_t *buf);

#endif
