/*
 * internal.h - the open store, shared by the files of liblbs/store and by
 * recovery/. Front ends see lbs.h only.
 *
 * States: serving -> failed (store_fail: any error of append, sync, commit;
 * reads go on, writes and flushes fail) -> closed. Opening again recovers.
 *
 * Locks, in the order in which they may be taken:
 *   cleaner->lock, admitting, checkpointing, cleaner->moving, flush.lock, streams
 *   (liblbs/log/append.c), filling, syncing, db, map (liblbs/map/map.c), segtab,
 *   synced_lock, failure_lock.
 */
#ifndef LBS_STORE_INTERNAL_H
#define LBS_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "lbs.h"
#include "liblbs/error.h"
#include "liblbs/log/append.h"
#include "liblbs/log/scan.h"
#include "liblbs/log/segtab.h"
#include "liblbs/map/map.h"
#include "liblbs/meta/meta.h"
#include "liblbs/store/ahead.h"
#include "liblbs/store/env.h"
#include "liblbs/store/range.h"

#define API __attribute__((visibility("default")))

/* What to do about a card or metadata that fails freshness: looking first. */
#define CONSENT "run lbsck -n --accept-loss to see what is lost, and without " \
		"-n to go on without it"

/* Defaults of struct store_env's zeroes. */
#define CHECKPOINT_LOG_BYTES (512ull << 20)
#define SYNC_BYTES (6ull << 20)
#define FILL_AHEAD_BYTES (64ull << 20)
/* Each piece of the log may end in an unclosed segment, which replay reads whole:
 * an opening that leaves more than this much of it writes a checkpoint. */
#define PIECES_BYTES (16ull << 20)
#define SYNC_SECONDS 5
/* Nobody writes when the log has not grown for so long. */
#define IDLE_SECONDS 3

/* Who may take the segments that are kept back. */
enum { ROOM_ORDINARY = 0, ROOM_DISCARD = 1, ROOM_RECOVERY = 2,
       ROOM_CLEANER = 3 };
/* The most that one round cleans: segments, and blocks that these hold (512 MiB). */
#define CLEAN_VICTIMS_MAX 1024u
#define CLEAN_BLOCKS_MAX (128u << 10)

struct lbs_vdisk {
	lbs_store *store;
	char name[64];
	uint64_t size_bytes;
	uint32_t layer;
	struct ahead ahead;
};

struct posix;

struct lbs_store {
	/* constant after open */
	unsigned forks;		/* of this process when it opened the store */
	struct store_env env;
	struct logger log;
	int rdonly, accept_loss;
	int card_older;		/* its last session is not the metadata's */
	int card_newer;		/* it knows more than the metadata */
	struct sealer sealer;
	struct geometry geometry;
	uint8_t *data_key;	/* secret */
	int freshness;
	uint64_t session;
	uint32_t reserve_segments; /* kept back for recovery */
	uint32_t segment_blocks; /* single blocks that a segment holds */
	uint32_t clean_batch;	/* segments that a round cleans at most */
	uint64_t sync_bytes, checkpoint_log_bytes, fill_ahead_bytes;
	struct meta_vdisk vdisks[VDISKS_MAX];
	int vdisk_count;
	struct posix *posix;	/* what lbs_store_open made, or NULL */

	struct segtab *segtab;
	struct map *map;
	struct stream *stream;	/* NULL when read-only */
	struct cleaner *cleaner; /* NULL when read-only, and during recovery */
	struct ranges ranges;

	/* guarded by db (store_db_lock): the metadata connection and what
	 * mirrors it */
	pthread_mutex_t db, db_next;
	struct meta *meta;
	struct meta_piece pieces[PIECES_MAX];
	int piece_count;
	struct meta_anchor anchor; /* as committed */
	uint64_t anchor_bytes, anchor_commits; /* written by anchors alone */

	/* guarded by flush.lock */
	struct {
		pthread_mutex_t lock;
		pthread_cond_t done;
		int leading;
		uint8_t *chunks;	/* scratch of the leader */
		/* For gather() in flush.c: who comes while a leader waits; flushes
		 * that no round has taken on; rounds begun; how many took part in
		 * the last one or came meanwhile; how long a sync takes; rounds that
		 * shall not wait, because the last wait was in vain. */
		pthread_cond_t came;
		uint32_t waiting;
		uint64_t rounds;
		uint32_t crowd;
		uint64_t sync_ns;
		uint32_t unpaid;
	} flush;
	/* The log at the last flush that was asked for, and since the one before. */
	_Atomic uint64_t flushed_at, flushed_after;
	_Atomic uint64_t log_bytes_anchored; /* how far the anchor covers it */
	_Atomic uint64_t durable_recno;
	pthread_mutex_t synced_lock; /* guards synced */
	struct cut synced;	/* on the card, perhaps not anchored yet */

	pthread_mutex_t checkpointing; /* held by the one checkpoint */
	_Atomic uint64_t checkpoint, checkpoint_recno;
	_Atomic uint64_t log_bytes_at_checkpoint;
	_Atomic uint64_t looked_at; /* log bytes, by background_after_write */

	/* Held over the checkpoints of a writer for whose sake others are not
	 * admitted meanwhile (room.c). */
	pthread_mutex_t admitting;
	_Atomic int is_admitting;

	pthread_mutex_t filling; /* guards chunk growth; held over its I/O */
	_Atomic int card_full;
	/* Held over each sync of a chunk file and what its failure does: the
	 * kernel tells an error once, and the next sync would succeed. */
	pthread_mutex_t syncing;

	/* Internal flash is nearly full: no new writes until there is room. */
	_Atomic int meta_low;

	_Atomic int failed;	/* 0, or the code of the first failure */
	pthread_mutex_t failure_lock; /* guards failure, and the making of event_fd */
	char failure[512];	/* constant once failed is set */

	_Atomic unsigned events; /* LBS_EVENT_... not yet taken */
	_Atomic int event_fd;	/* -1: nobody has asked for it */
	_Atomic int space_low;

	_Atomic uint64_t stat[LBS_STAT_COUNT];
	struct meta_total before; /* totals of the sessions before this one;
				   * constant after open */
	struct meta_total saved; /* as committed; guarded by checkpointing */

	struct background *background; /* NULL without threads */
	int recovering;		/* during open: the stream's begin is deferred */
	struct meta_piece recovery_piece;
};

static inline void
count(lbs_store *s, int stat, uint64_t n)
{
	atomic_fetch_add_explicit(&s->stat[stat], n, memory_order_relaxed);
}

/* db is fair: who waits for it gets it before its holder does again. Between two
 * slices a checkpoint lets everyone through, so a flush or the load of a page waits
 * for one slice, not for all of them (DESIGN.md condition 8). */
static inline void
store_db_lock(lbs_store *s)
{
	/* The next one waits for db, all others for db_next. */
	pthread_mutex_lock(&s->db_next);
	pthread_mutex_lock(&s->db);
	pthread_mutex_unlock(&s->db_next);
}

static inline void
store_db_unlock(lbs_store *s)
{
	pthread_mutex_unlock(&s->db);
}

/* ---- states ---- */

/* fork.c: counts the forks between the first caller's process and this one, so that a
 * handle from before a fork is noticed without a system call. */
unsigned store_forks(void);

/* fail.c */
/* 0, or why a call cannot be: LBS_EFORK, LBS_EROFS, LBS_EFAILED. */
int store_may_write(lbs_store *s);
/* Stops writing for good; the first reason stands. Returns code. */
int store_fail(lbs_store *s, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* event.c: something happened. Under any lock. */
void store_event(lbs_store *s, unsigned event);

/* ---- a store's life ---- */

/* open.c */
/* With nothing loaded yet; NULL when memory ran out. */
lbs_store *store_new(const struct store_env *env,
		     const struct lbs_open_options *options);
/* Frees all that the store has; abandon: without another write to the metadata file.
 * No thread is left. NULL is allowed. */
void store_free(lbs_store *s, int abandon);
/* Unsynced log at which a sync starts: what the environment says, or the default,
 * less on a small card. */
uint64_t store_sync_bytes(uint64_t env_sync_bytes, uint64_t capacity_bytes);
/* Segments that are kept back for recovery. */
uint32_t store_reserve_segments(uint64_t sync_bytes, uint32_t segment_bytes);

/* load.c */
/* Keys, geometry and bounds, by the store's row: s->meta is open. */
int store_load_tables(lbs_store *s);
/* Segments, chunks, vdisks, anchor and pieces; the chunk files are opened and
 * must be there, unless a loss is accepted. */
int store_load_state(lbs_store *s, const struct card_sealed *on_card);

/* replay.c: rolls forward and judges; with the store open for writing, makes
 * what was recovered durable and begins the session. */
int store_recover(lbs_store *s, const struct card_sealed *card);

/* newer.c: is what lies in a segment that is about to be written older, or our own?
 * Else a newer metadata file has written it: the store stops, LBS_ESTALEMETA. */
int store_check_not_newer(lbs_store *s, uint32_t segment);
/* The largest session and checkpoint that the header of any segment tells of. Reads
 * a page of each; what cannot be read says nothing. */
struct newest {
	uint64_t session, checkpoint;
};
void store_newest_on_card(lbs_store *s, struct newest *out);

/* session.c */
/* Makes the stream of a new session; recovery is its first user. */
int store_stream_start(lbs_store *s);
/* Hooks that both streams have: see struct append_hooks. */
void store_stream_failed(void *ctx, int code);
void store_stream_known(void *ctx, uint64_t *durable_to, uint64_t *checkpoint);

/* background.c: threads, or inline when there are none. */
int background_start(lbs_store *s);
void background_stop(lbs_store *s);
/* After a write: does or asks for what is due. 0, or what stopped the store. */
int background_after_write(lbs_store *s);

/* ---- files beside the log ---- */

/* run.c: the run file of a POSIX store, beside its metadata file. */
struct run_file;
/* Takes the lock, waiting for a holder that is about to let go; a reader leaves the
 * file as it is. 0, LBS_EBUSY, LBS_EROFS, LBS_EMETAFULL, LBS_EIO, LBS_ENOMEM. */
int run_file_open(const char *meta_path, const char *owner, int rdonly,
		  const struct logger *log, struct run_file **out);
/* NULL: none. Valid until the file is closed. */
struct run_page *run_file_page(struct run_file *r);
/* The store is closing: who comes meanwhile waits for it. */
void run_file_finishing(struct run_file *r);
/* Gives up the lock and frees it. NULL is allowed. */
void run_file_close(struct run_file *r);
/* This boot's; zeroes if the kernel does not tell. */
void run_boot_id(uint8_t boot_id[16]);

/* posix.c */
/* Closes the card and gives up the lock. NULL is allowed. */
void store_posix_free(struct posix *posix);
void store_posix_finishing(struct posix *posix); /* NULL is allowed */
/* Is there a regular file at path? Looks without opening it: nothing but SQLite
 * may (DESIGN.md condition 12). LBS_ENOENT, LBS_ENOTSTORE. */
int store_look(const char *path, const struct logger *log);

/* card.c: the card file. */
/* Opens and locks it. 0 and what the newest authentic slot says (zeroes if
 * neither is), LBS_ECARDMISSING, LBS_EOTHERCARD, LBS_EBUSY, LBS_EROFS, LBS_EIO. */
int card_file_check(const struct sealer *sealer, struct medium *card,
		    int rdonly, const struct logger *log,
		    struct card_sealed *newest);
/* Writes and syncs the slot of that session. 0 or a negative errno. */
int card_file_write(const struct sealer *sealer, struct medium *card,
		    const struct card_sealed *sealed);

/* ---- durability ---- */

/* flush.c */
/* Makes durable all that was acknowledged before the call. */
int store_flush(lbs_store *s);
/* The same, and also an anchor when freshness=checkpoint would do without. */
int store_flush_anchored(lbs_store *s);
/* 1 while flushes come after a few writes each. */
int store_flushes_often(lbs_store *s);
/* Syncs the chunks that a stream has written since the last time; chunks is
 * scratch, a byte each. */
int store_sync_chunks(lbs_store *s, struct stream *st, uint8_t *chunks);
/* Commits the anchor with whatever transaction is open; db is held. */
int store_anchor_in(lbs_store *s, const struct cut *cut);

/* checkpoint.c */
/* Writes a checkpoint if anything changed. 0, or what stopped the store. */
int store_checkpoint(lbs_store *s);

/* ---- room ---- */

/* fill.c */
/* Fills one more segment of the card: 0, LBS_ENOSPC (capacity or card full), or
 * an error that stopped the store. */
int store_fill_one(lbs_store *s);
/* 1 while filling ahead has something to do. */
int store_fill_wanted(lbs_store *s);
/* The streams' next_segment; level: ROOM_... */
int store_next_segment(void *ctx, int level, uint32_t *segment);

/* room.c */
/* How many single blocks a segment holds. */
uint32_t room_segment_blocks(uint32_t segment_bytes);
/* How many segments a round cleans at most. */
uint32_t room_clean_batch(uint32_t segments, uint32_t segment_bytes);
/* How many segments hold no data at the least; recovery: those kept for it. */
uint32_t room_overhead(uint32_t segments, uint32_t recovery,
		       uint32_t segment_bytes);
/* How many blocks may live in the others. */
uint64_t room_live_max(uint32_t segments, uint32_t recovery,
		       uint32_t segment_bytes);
/* Tells the map how many blocks may live in what is filled: filling is held, or
 * nobody else has the store yet. */
void store_room_settle(lbs_store *s);
/* What was withdrawn is room again: likewise. */
void store_room_restore(lbs_store *s);
/* Tells the map how many blocks live, and the owner when that is nearly all: at
 * opening and with checkpoints. */
void store_room_count(lbs_store *s);
/* Segments that are filled ahead of need, beside the reserve. */
uint32_t store_ahead_segments(lbs_store *s);
/* Segments that a taker of that level must leave. */
uint32_t store_room_kept(lbs_store *s, int level);
/* Blocks that writers may append before they meet the reserves. */
uint64_t store_room_blocks(lbs_store *s);
/* Of these, blocks for writers to use while the round that begins lasts. */
uint64_t store_round_allows(lbs_store *s);
/* How many victims a round that begins now may have. */
uint32_t store_clean_batch(lbs_store *s);
/* May these blocks be written? Writing over blocks always may. LBS_ENOSPC. Gives how
 * many of them may be new: map_admit looks again as it counts them. */
int store_room_admit(lbs_store *s, const struct extent *extent,
		     uint32_t *fresh);
/* After a write found no segment: 1 if it is worth trying again, 0 if nothing is
 * to be gained, or an error. tries counts from 0. */
int store_make_room(lbs_store *s, unsigned tries);
/* After a write: the cleaner's share of the time. */
int store_clean_pace(lbs_store *s);
/* For the cleaner's thread: is there something to do; one step of it; and what
 * tells, once a period, whether anybody writes. */
int store_clean_wanted(lbs_store *s);
int store_clean_ahead(lbs_store *s);
void store_clean_tick(lbs_store *s);

/* metaroom.c: 1 while internal flash has room for what a write may cost it. */
int store_meta_has_room(lbs_store *s);

/* ---- requests ---- */

/* prefetch.c */
/* Asks the kernel for frames, in the card's order; positions is sorted, zeroes are
 * left out. */
void store_prefetch(lbs_store *s, uint64_t *positions, size_t n);
/* Of a read that goes on in sequence, what comes next. */
void store_read_ahead(lbs_vdisk *v, uint64_t offset, size_t len);

/* What an event loop may do itself: encrypting takes less than a microsecond a KiB. */
#define SHORT_BYTES (16u << 10)
/* read.c: reads if it is short and waits for no medium: 0 or LBS_E...; else 1, and
 * the buffer holds anything. The request is not otherwise looked at. */
int store_read_at_once(lbs_vdisk *v, const struct iovec *iov,
		       uint64_t offset_bytes);
/* short.c: 1 if a write waits for no medium, as far as can be told. */
int store_write_is_short(lbs_vdisk *v, uint64_t len_bytes,
			 uint64_t offset_bytes);

/* stat.c: totals since the store was made. */
void store_totals(lbs_store *s, struct meta_total *out);

#endif
