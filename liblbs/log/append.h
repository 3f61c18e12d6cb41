/*
 * append.h - the stream of the log: turns changes into records, in order, with
 * sealing outside the lock and one call for records that lie next to each other.
 *
 *   reserve (short lock: numbers and places) -> seal (the caller's thread) ->
 *   publish; whoever finds the head of the queue ready pushes all that is ready
 *   with one pwritev, applies it to the map in log order, and wakes the owners.
 *
 * A write is acknowledged when its record and all before it are in the kernel's
 * hands (DESIGN.md promise 2); it never waits for a sync. After a failed push the
 * stream is dead: nothing behind the failure is acknowledged (condition 11).
 *
 * The cleaner has a stream of its own, which is never replayed: what it says
 * counts from the checkpoint on that writes the moves.
 */
#ifndef LBS_LOG_APPEND_H
#define LBS_LOG_APPEND_H

#include "liblbs/log/scan.h"
#include "liblbs/log/segtab.h"
#include "liblbs/map/map.h"

struct stream;

/* What the stream asks of the store. next_segment, begin and known are called under
 * the stream's lock, applied and failed without it. */
struct append_hooks {
	void *ctx;
	/* A segment to write next, taken from the table; level: how much of what
	 * is kept back, as the store has it (append_change). LBS_ENOSPC, or an
	 * error that stops the store. */
	int (*next_segment)(void *ctx, int level, uint32_t *segment);
	/* The log begins (again) in this segment: make that known durably. An
	 * error has stopped the store. NULL for the cleaner's. */
	int (*begin)(void *ctx, uint32_t segment, uint64_t serial,
		     const uint8_t salt[SALT_BYTES], uint64_t first_recno);
	/* A group is in the kernel's hands: apply it. Calls come one at a time,
	 * in log order. */
	void (*applied)(void *ctx, const struct map_change *changes, int count,
			const struct log_position *behind);
	/* The stream died for lack of memory (LBS_ENOMEM), or because the card
	 * failed a write. */
	void (*failed)(void *ctx, int code);
	/* What goes into the next record: how far the log is known durable, and
	 * the number of the last checkpoint. */
	void (*known)(void *ctx, uint64_t *durable_to, uint64_t *checkpoint);
};

/* kind: STREAM_LOG or STREAM_CLEANER. All that is given outlives the stream, but for
 * the hooks, which are copied. NULL when memory ran out. */
struct stream *stream_new(const struct sealer *sealer,
			  const struct geometry *geometry, struct medium *card,
			  struct segtab *segtab, const struct append_hooks *hooks,
			  uint64_t session, int kind);
/* Nothing may be under way in it; NULL is allowed. */
void stream_free(struct stream *st);

/* Numbers of the log records that blocks were written by: from, to. */
struct ages {
	uint64_t oldest, newest;
};

/* One change that becomes one group of records: data of count blocks (at most
 * GROUP_BLOCKS_MAX), or an unmap; or data of several extents in one record, which
 * must fit into a segment (stream_fits). */
struct append_change {
	uint8_t kind;		/* RECORD_DATA or RECORD_UNMAP */
	int level;		/* for next_segment */
	int continues;		/* not the last of its group (recovery only) */
	struct extent extent;
	const struct extent *extents; /* or NULL */
	uint32_t extent_count;
	struct ages ages;	/* of what the cleaner moves */
	/* The plaintext of block i; called in the caller's thread, unlocked, once for
	 * each in order. Or the block as it was stored, and how long that is: what
	 * comes from the card is not compressed again. */
	const uint8_t *(*block)(void *ctx, uint32_t i);
	const uint8_t *(*stored)(void *ctx, uint32_t i, uint32_t *stored);
	void *ctx;
};

/* Appends and waits until it is in the kernel's hands and applied. LBS_ENOSPC, or
 * LBS_ENOMEM before it was begun: nothing was changed. Else the error that the stream
 * has died of. */
int stream_append(struct stream *st, const struct append_change *change);

/* How many blocks, at most want, each an extent, the next record may have: to fit
 * into the open segment however long they are, or if none does, into a fresh one. */
uint32_t stream_fits(struct stream *st, uint32_t want);
/* Bytes of the open segment that are not written yet. */
uint32_t stream_rest(struct stream *st);
/* That, and what no sync has covered, without waiting: 1; 0 if the stream is held for
 * longer than a record takes, as while a new segment is looked at on the card. */
int stream_look(struct stream *st, uint32_t *rest_bytes,
		uint64_t *unsynced_bytes);

/* Segments from this one on are withdrawn: the stream gives back those that it has
 * taken ahead, and its next record goes elsewhere. A cleaner's is left at once;
 * nothing may be under way in it. */
void stream_leave(struct stream *st, uint32_t from);

/* Where the last record of a cut lies: what an anchor names. */
struct cut {
	uint64_t recno;
	uint32_t segment, offset;
};
/* DESIGN.md condition 2: moves the next reservation to a fresh page, then waits
 * until everything before it is in the kernel's hands. recno 0: nothing yet. */
int stream_cut(struct stream *st, struct cut *cut);
/* A chunk was synced without a cut: if the open segment lies in it, the next
 * record begins on a fresh page, too. */
void stream_synced_beside(struct stream *st, uint32_t chunk);
/* Chunks written since the last call, one byte each; unsynced counts restart. */
void stream_take_dirty(struct stream *st, uint8_t *chunks);

struct stream_stats {
	uint64_t records, page_bytes, write_calls, unsynced_bytes, last_recno;
	uint64_t log_bytes;	/* appended in this session, with what indexes say
				 * or will say of it */
	/* Where blocks are compressed: of those given as plaintext, before and after. */
	uint64_t plain_bytes, stored_bytes;
};
void stream_stats(struct stream *st, struct stream_stats *out);
/* Of the stats, log_bytes without the lock. */
uint64_t stream_log_bytes(struct stream *st);
/* The last record in the kernel's hands, with all before it; 0 if there is none. */
uint64_t stream_pushed(struct stream *st);

#endif
