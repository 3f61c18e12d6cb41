/*
 * lbs.h - the Logging Block Store as a library.
 *
 * A store is one metadata file on protected internal flash and one data
 * directory on a card. It holds virtual disks ("vdisks"). All handles are
 * opaque; every function may be called from any thread, except that a handle
 * must not be used while or after it is closed. A store handle is valid only
 * in the process that opened it: open after fork, never before. (POSIX locks and
 * locked memory do not cross a fork. In a child what can fail fails with LBS_EFORK,
 * and counters are 0.)
 *
 * Results are 0 (or a count) on success and a negative LBS_E... code on
 * failure. The sentence that explains a failure goes to the log callback
 * given at open, once, at level LBS_LOG_ERROR.
 *
 * Structures that begin with struct_size may grow in later versions. Set it to
 * sizeof and what you do not use to 0: shorter ones from before go on working, and a
 * longer one is refused only where it asks for what this library does not know.
 *
 * What is promised (DESIGN.md, "Promises"):
 *   - when a write returns, it survives the death of this process;
 *   - when a flush or an LBS_FUA write returns, everything that had returned
 *     before it survives a power cut;
 *   - after a power cut the vdisk holds a prefix of the writes, at least up to
 *     the last flush; a write of up to 1 MiB is there whole or not at all;
 *   - a read gives what was written or an error.
 */
#ifndef LBS_H
#define LBS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LBS_VERSION "0.1.0"

/* ---- errors ------------------------------------------------------------ */

/* Each code has a stable word (lbs_error_word) and an errno (lbs_errno). */
enum {
	LBS_EINVAL = -1,	  /* "invalid": bad argument or out of range */
	LBS_ENOMEM = -2,	  /* "no-memory" */
	LBS_EIO = -3,		  /* "io": the card or internal flash failed */
	LBS_ENOSPC = -4,	  /* "no-space": the capacity or the card is full */
	LBS_EMETAFULL = -5,	  /* "metadata-full": internal flash is full */
	LBS_EROFS = -6,		  /* "read-only" */
	LBS_EBUSY = -7,		  /* "busy": another process holds the store */
	LBS_ENOENT = -8,	  /* "not-found": no such file, vdisk, ... */
	LBS_EEXIST = -9,	  /* "exists" */
	LBS_ENOTSUP = -10,	  /* "unsupported": known, but not in this build */
	LBS_ENOTSTORE = -11,	  /* "not-a-store" */
	LBS_EVERSION = -12,	  /* "newer-format" or unknown must-refuse feature */
	LBS_ECORRUPT = -13,	  /* "corrupt-metadata" */
	LBS_ECARDMISSING = -14,	  /* "card-missing": no data directory or chunk */
	LBS_EOTHERCARD = -15,	  /* "other-card": another store's card */
	LBS_ESTALECARD = -16,	  /* "stale-card": an older copy of this card */
	LBS_EDATAMISSING = -17,	  /* "data-missing": acknowledged data is gone */
	LBS_ESTALEMETA = -18,	  /* "stale-metadata": older than the card */
	LBS_EDAMAGED = -19,	  /* "damaged": a block does not authenticate */
	LBS_EFAILED = -20,	  /* "failed": an earlier error stopped writes */
	LBS_EFORK = -21,	  /* "forked": the handle belongs to the parent */
	LBS_EWRONGKEY = -22,	  /* "wrong-key" */
	LBS_EINTERNAL = -23,	  /* "internal": a bug; please report */
	LBS_ECANCELLED = -24	  /* "cancelled": the caller asked to stop */
};

/* A short English sentence for a code. Static, never NULL. */
const char *lbs_strerror(int err);
/* The stable word for a code, as in messages and "code" under --json. */
const char *lbs_error_word(int err);
/* The positive errno that a block device front end reports for a code: ENOSPC
 * for a full card, EROFS when read only, ENOMEM, EINVAL only where the caller
 * erred, and EIO for everything else. 0 for 0. */
int lbs_errno(int err);
/* The version of the library at run time. */
const char *lbs_version(void);

/* ---- logging and progress ---------------------------------------------- */

enum { LBS_LOG_ERROR = 0, LBS_LOG_WARNING = 1, LBS_LOG_INFO = 2 };

/* One complete sentence without a final newline; code is LBS_E..., or 0. Called
 * from any thread, by several at a time, and with locks of the store held: so it
 * must not use the store. The text holds no secret, and is valid during the call. */
typedef void lbs_log_fn(void *ctx, int level, int code, const char *sentence);
/* done of total bytes, from the thread that asked for the work. Return nonzero to
 * ask it to stop (LBS_ECANCELLED). */
typedef int lbs_progress_fn(void *ctx, uint64_t done, uint64_t total);

/* ---- stores ------------------------------------------------------------ */

typedef struct lbs_store lbs_store;
typedef struct lbs_vdisk lbs_vdisk;

enum { LBS_CIPHER_CHACHA20POLY1305 = 1, LBS_CIPHER_AES256GCM = 2,
       LBS_CIPHER_AEGIS256 = 3 };
enum { LBS_FRESHNESS_FLUSH = 1, LBS_FRESHNESS_CHECKPOINT = 2 };
enum { LBS_COMPRESS_NONE = 0, LBS_COMPRESS_LZ4 = 1, LBS_COMPRESS_ZSTD = 2 };

struct lbs_create_options {
	uint32_t struct_size;	    /* sizeof(struct lbs_create_options) */
	uint32_t block_size;	    /* 4096; 0 = 4096 */
	uint64_t size_bytes;	    /* of the first vdisk; a multiple of 512,
				     * at most 16 TiB */
	uint64_t capacity_bytes;    /* most the log takes on the card; 0 = auto */
	uint64_t segment_size_bytes; /* a power of two, 1 to 64 MiB; 0 = auto */
	uint64_t chunk_size_bytes;  /* size of a chunk file; 0 = 1 GiB */
	int cipher;		    /* LBS_CIPHER_...; 0 = ChaCha20-Poly1305 */
	int freshness;		    /* LBS_FRESHNESS_...; 0 = flush */
	int preallocate;	    /* write all chunk files now */
	int compress;		    /* LBS_COMPRESS_...: blocks before they are
				     * encrypted; their lengths show on the card */
	lbs_log_fn *log;
	void *log_ctx;
	lbs_progress_fn *progress;  /* bytes of card prepared */
	void *progress_ctx;
	/* Called with the store made and closed, as a part of making it, or
	 * NULL: a negative LBS_E... undoes everything. */
	int (*fill)(void *ctx);
	void *fill_ctx;
};

enum {
	LBS_RDONLY = 1,		/* write nothing, anywhere */
	LBS_ACCEPT_LOSS = 2	/* open at what the card has; see lbsck(8) */
};

struct lbs_open_options {
	uint32_t struct_size;	/* sizeof(struct lbs_open_options) */
	uint32_t flags;		/* LBS_RDONLY, LBS_ACCEPT_LOSS */
	const char *data_dir;	/* where the card is, if not where it was */
	uint64_t map_limit_bytes; /* memory for the block map, 4 MiB at least;
				   * 0 = 64 MiB */
	const char *owner;	/* program name a second opener is told */
	lbs_log_fn *log;
	void *log_ctx;
};

/* Makes a store: the metadata file at path (mode 0600) and the data directory.
 * On failure nothing of either is left behind. LBS_EINVAL, LBS_EEXIST,
 * LBS_ENOENT (no directory for the metadata file), LBS_EROFS (not allowed to
 * write there), LBS_ENOSPC, LBS_EMETAFULL, LBS_EIO, LBS_ENOTSUP, LBS_ENOMEM,
 * LBS_ECANCELLED, or what fill said. */
int lbs_store_create(const char *path, const char *data_dir,
		     const struct lbs_create_options *options)
	__attribute__((warn_unused_result));

/* Opens a store: takes the locks, rolls the log forward, judges freshness,
 * makes what was recovered durable. Starts threads, unless LBS_RDONLY. The result is
 * owned by the caller and released with lbs_store_close. If another process holds
 * the store it is waited for: a second, and for 30 seconds at most while it is
 * closing it. A verdict on the card (LBS_ECARDMISSING to LBS_EDAMAGED) leaves the
 * store as it was found; else LBS_ENOENT, LBS_ENOTSTORE, LBS_EBUSY, LBS_EVERSION,
 * LBS_ENOTSUP (its cipher), LBS_ECORRUPT, LBS_EROFS, LBS_EIO, LBS_ENOSPC,
 * LBS_EMETAFULL, LBS_ENOMEM, LBS_EINVAL. */
int lbs_store_open(const char *path, const struct lbs_open_options *options,
		   lbs_store **out) __attribute__((warn_unused_result));

/* Looks whether lbs_store_open would find a store it can use: the file, its
 * version and features, a card of this store, no other holder. Changes nothing,
 * keeps nothing, starts no thread: for use before a fork. */
int lbs_store_probe(const char *path, const struct lbs_open_options *options)
	__attribute__((warn_unused_result));

/* Finishes: flushes, checkpoints, releases the locks, frees the handle even
 * when it reports an error: LBS_EFAILED if writes had been stopped before, or what
 * stopped the last checkpoint. NULL is allowed. In a child of the process that
 * opened it: LBS_EFORK, and nothing is done. */
int lbs_store_close(lbs_store *store);

/* What a store is: constant while it is open. */
struct lbs_store_info {
	uint32_t struct_size;
	uint32_t format_version;
	uint64_t features_must, features_may;
	uint8_t store_id[16];
	char data_dir[4096];
	int cipher, freshness, compress;
	uint32_t block_size;
	uint32_t vdisk_count;
	uint64_t segment_size_bytes, chunk_size_bytes, capacity_bytes;
	uint64_t sessions;	/* times opened for writing */
	int64_t created_unix;	/* for people only; no decision uses it */
};
/* Fills info of an open store. */
int lbs_store_info(lbs_store *store, struct lbs_store_info *info);
/* Fills info from the metadata file alone, even while another process serves
 * the store; changes nothing. */
int lbs_store_peek(const char *path, lbs_log_fn *log, void *log_ctx,
		   struct lbs_store_info *info);

/* What the kernel tells of the card under a data directory. Advice: nothing
 * depends on it. */
struct lbs_card_info {
	uint32_t struct_size;
	int unit_told;		  /* unit_bytes is the kernel's word; else the
				   * usual size is assumed */
	char fs[16];		  /* "vfat", "exfat", ..., "other" */
	uint64_t unit_bytes;	  /* the card's allocation unit */
	uint64_t card_bytes;	  /* the whole device; 0 = not told */
	uint64_t partition_bytes; /* where its partition begins; 0 = none, or not
				   * told */
	int64_t past_unit_bytes;  /* the first chunk file begins so far behind a
				   * unit's beginning; -1 = not told */
	uint32_t advice_count;
	char advice[4][400];	  /* sentences, each with its remedy */
};
/* Looks at the card of a store with segments of segment_size_bytes and so much
 * capacity; changes nothing. 0, or LBS_ECARDMISSING if there is no such
 * directory. */
int lbs_card_look(const char *data_dir, uint64_t capacity_bytes,
		  uint64_t segment_size_bytes, struct lbs_card_info *info);

/* Counters: monotonic since the store was opened, unless they are gauges.
 * Enumerated by lbs_stat_name so that tools show every one of them. */
enum lbs_stat {
	LBS_STAT_READ_OPS, LBS_STAT_READ_BYTES,
	LBS_STAT_WRITE_OPS, LBS_STAT_WRITE_BYTES,
	LBS_STAT_FLUSH_OPS, LBS_STAT_DISCARD_OPS, LBS_STAT_DISCARD_BYTES,
	LBS_STAT_ZERO_OPS, LBS_STAT_ZERO_BYTES,
	LBS_STAT_RECORDS,		/* records appended */
	LBS_STAT_CARD_LOG_BYTES,	/* log pages handed to the card, a page
					 * once between two syncs */
	LBS_STAT_CARD_CLEAN_BYTES,	/* the same of the cleaner's */
	LBS_STAT_CARD_FILL_BYTES,	/* chunk files filled ahead */
	LBS_STAT_CARD_GIVEN_BACK_BYTES,	/* chunk files removed */
	LBS_STAT_CARD_READ_BYTES,
	LBS_STAT_CARD_WRITE_CALLS, LBS_STAT_CARD_READ_CALLS,
	LBS_STAT_CARD_PREFETCH_CALLS,	/* stretches asked for ahead of reading */
	LBS_STAT_CARD_SYNCS,
	LBS_STAT_META_COMMITS,		/* commits on internal flash */
	LBS_STAT_META_ANCHORS,		/* of these, anchors alone */
	LBS_STAT_META_BYTES,		/* bytes written to internal flash */
	LBS_STAT_META_ANCHOR_BYTES,	/* of these, by anchors alone */
	LBS_STAT_META_SYNCS,
	LBS_STAT_CHECKPOINTS,
	LBS_STAT_INTEGRITY_ERRORS, LBS_STAT_IO_ERRORS,
	LBS_STAT_MAP_PAGE_HITS, LBS_STAT_MAP_PAGE_LOADS,
	LBS_STAT_REPLAY_RECORDS,	/* rolled forward at this open */
	LBS_STAT_REPLAY_BYTES_READ,
	LBS_STAT_REPLAY_REWRITTEN_RECORDS,
	LBS_STAT_CLEANED_BLOCKS,	/* moved by the cleaner */
	LBS_STAT_CLEANED_SEGMENTS,	/* emptied by it */
	LBS_STAT_COMPRESS_IN_BYTES,	/* blocks that were compressed, or tried, */
	LBS_STAT_COMPRESS_OUT_BYTES,	/* and what they became */
	/* gauges */
	LBS_STAT_SEGMENTS_TOTAL, LBS_STAT_SEGMENTS_FILLED,
	LBS_STAT_SEGMENTS_FREE, LBS_STAT_SEGMENTS_RESERVE,
	LBS_STAT_LIVE_BLOCKS,		/* as of the last checkpoint */
	LBS_STAT_LIVE_BLOCKS_MAX,	/* new blocks are refused beyond */
	LBS_STAT_CAPACITY_BYTES,	/* what the log may take on the card: */
	LBS_STAT_LIVE_BYTES,		/* frames of live blocks, uncompressed at
					 * that, but no more than is in use, */
	LBS_STAT_DEAD_BYTES,		/* the rest of the segments in use, */
	LBS_STAT_FREE_BYTES,		/* free segments, filled or not, beside */
	LBS_STAT_RESERVE_BYTES,		/* those kept for recovery and cleaner */
	LBS_STAT_MAP_BYTES, LBS_STAT_MAP_BYTES_PEAK, LBS_STAT_MAP_LIMIT_BYTES,
	LBS_STAT_UNSYNCED_BYTES, LBS_STAT_LAST_RECORD, LBS_STAT_DURABLE_RECORD,
	LBS_STAT_CHECKPOINT_RECORD, LBS_STAT_FAILED, LBS_STAT_READ_ONLY,
	/* since the store was made, all sessions */
	LBS_STAT_TOTAL_WRITE_BYTES,	/* by guests */
	LBS_STAT_TOTAL_CARD_LOG_BYTES, LBS_STAT_TOTAL_CARD_CLEAN_BYTES,
	LBS_STAT_TOTAL_CARD_FILL_BYTES,
	LBS_STAT_COUNT
};
/* The JSON key of a counter, e.g. "write_bytes"; NULL past the end. */
const char *lbs_stat_name(int stat);
/* Reads all counters at once, the first count of them: a program may have been
 * compiled when there were fewer. Those that the library does not know are 0, and
 * in a child of the process that opened the store all are. */
void lbs_store_stats(lbs_store *store, uint64_t *values, unsigned count);
/* The same for those that this header knows. */
static inline void
lbs_store_stat(lbs_store *store, uint64_t values[LBS_STAT_COUNT])
{
	lbs_store_stats(store, values, LBS_STAT_COUNT);
}
/* The sentence of the error that stopped writes, or "" (static storage of the
 * store, valid until close). */
const char *lbs_store_failure(lbs_store *store);
/* Writes a checkpoint now and waits for it. */
int lbs_store_checkpoint(lbs_store *store);
enum {
	LBS_CLEAN_SHRINK = 1	/* then give chunk files back to the card */
};
/* Cleans now: copies live blocks out of segments of which at least an eighth is
 * dead, until nothing is to be gained, and waits for it; reads and writes go on
 * meanwhile. With LBS_CLEAN_SHRINK the last chunk files are then emptied and
 * removed, as far as the data, the reserves and what is always filled ahead leave
 * any (LBS_STAT_CARD_GIVEN_BACK_BYTES counts them); they come again when they are
 * needed. progress (may be NULL) counts bytes of segments, of each of the two by
 * itself; when it asks to stop, what was done stays so. LBS_EINVAL, LBS_EROFS,
 * LBS_ECANCELLED, or what stopped the store. */
int lbs_store_clean(lbs_store *store, unsigned flags, lbs_progress_fn *progress,
		    void *progress_ctx) __attribute__((warn_unused_result));

/* ---- events ------------------------------------------------------------ */

/* What a hypervisor may want to act on without being told by a request of its own:
 * show it, pause the guest, ask for the card. */
enum {
	LBS_EVENT_CARD_GONE = 1,  /* the card failed a read, a write or a sync: as
				   * a rule it was pulled */
	LBS_EVENT_FAILED = 2,	  /* the store takes no more writes until it is
				   * opened again: lbs_store_failure says why */
	LBS_EVENT_SPACE_LOW = 4,  /* fifteen sixteenths of what may live does */
	LBS_EVENT_FULL = 8,	  /* a write got LBS_ENOSPC */
	LBS_EVENT_INTEGRITY = 16, /* a block did not authenticate */
	LBS_EVENT_META_LOW = 32	  /* internal flash is nearly full */
};

/* For poll(2) and the like: readable when lbs_store_events has something to give,
 * and now and then when it has not. Made by the first call, closed with the
 * store; only to be polled. LBS_ENOMEM (no descriptor), LBS_EFORK. */
int lbs_store_event_fd(lbs_store *store);
/* Takes the events since the last call: LBS_EVENT_... or'ed, 0 for none. How often
 * each happened is in the counters, the sentences are in the log. Never waits; no
 * thread of the library calls back. */
unsigned lbs_store_events(lbs_store *store);

/* ---- vdisks ------------------------------------------------------------ */

/* Calls fn for each vdisk in the order of creation, until fn is nonzero. */
int lbs_store_vdisks(lbs_store *store,
		     int (*fn)(void *ctx, const char *name, uint64_t size_bytes),
		     void *ctx);
/* Opens a vdisk by name (NULL or "" is "disk"). A handle is a reference and
 * costs next to nothing; all must be closed before the store. LBS_ENOENT,
 * LBS_ENOMEM, LBS_EFORK. */
int lbs_vdisk_open(lbs_store *store, const char *name, lbs_vdisk **out)
	__attribute__((warn_unused_result));
/* No call of the handle's may be under way. NULL is allowed. */
void lbs_vdisk_close(lbs_vdisk *vdisk);
uint64_t lbs_vdisk_size(const lbs_vdisk *vdisk);
const char *lbs_vdisk_name(const lbs_vdisk *vdisk);

/* Flags of one request. */
enum { LBS_FUA = 1 };

/* Offsets and lengths in bytes, any alignment, within the vdisk; 0 bytes is
 * allowed. All or error: a read that fails may have filled a part of the buffer, a
 * write of more than 1 MiB that fails may be there in part. Overlapping concurrent
 * writes are each applied whole per 4 KiB block; their order is not defined.
 * LBS_EINVAL (out of range, or no such flag), LBS_EFORK, LBS_ENOMEM; reads also
 * LBS_EDAMAGED, LBS_EIO and LBS_ECORRUPT; what changes something also LBS_EROFS,
 * LBS_ENOSPC (and writes go on), LBS_EFAILED or what has just stopped writes, and,
 * where it begins or ends within a block, what reading that gave. */
int lbs_vdisk_read(lbs_vdisk *vdisk, void *buf, size_t len_bytes,
		   uint64_t offset_bytes) __attribute__((warn_unused_result));
int lbs_vdisk_write(lbs_vdisk *vdisk, const void *buf, size_t len_bytes,
		    uint64_t offset_bytes, unsigned flags)
	__attribute__((warn_unused_result));
int lbs_vdisk_readv(lbs_vdisk *vdisk, const struct iovec *iov, int iov_count,
		    uint64_t offset_bytes) __attribute__((warn_unused_result));
int lbs_vdisk_writev(lbs_vdisk *vdisk, const struct iovec *iov, int iov_count,
		     uint64_t offset_bytes, unsigned flags)
	__attribute__((warn_unused_result));
/* Makes everything that returned before durable, on any handle of the store.
 * LBS_EROFS where it was opened read-only and there is nothing to flush; LBS_EFAILED,
 * LBS_EFORK, or what stopped writes. */
int lbs_vdisk_flush(lbs_vdisk *vdisk) __attribute__((warn_unused_result));
/* Frees whole blocks inside the range, which then read as zeroes; the edges
 * keep their contents. */
int lbs_vdisk_discard(lbs_vdisk *vdisk, uint64_t len_bytes,
		      uint64_t offset_bytes, unsigned flags)
	__attribute__((warn_unused_result));
/* The range reads as zeroes, exactly; whole blocks take no space. */
int lbs_vdisk_write_zeroes(lbs_vdisk *vdisk, uint64_t len_bytes,
			   uint64_t offset_bytes, unsigned flags)
	__attribute__((warn_unused_result));

/* Calls fn for consecutive extents that cover the range, merged; is_data is 0
 * for a hole, which reads as zeroes. Stops when fn is nonzero. */
int lbs_vdisk_extents(lbs_vdisk *vdisk, uint64_t len_bytes,
		      uint64_t offset_bytes,
		      int (*fn)(void *ctx, uint64_t offset_bytes,
				uint64_t len_bytes, int is_data),
		      void *ctx) __attribute__((warn_unused_result));

/* ---- queues ------------------------------------------------------------ */

/* Many requests in flight, for an event loop that must not wait for a card: they
 * are performed by the queue's own threads, which start in lbs_queue_open (never
 * before a fork that the caller still means to do).
 *
 * A request is submitted, performed, completed, and then told: either to a
 * callback, or to whoever calls lbs_queue_reap when lbs_queue_fd is readable.
 * Requests in flight together are performed in any order and side by side, those
 * that overlap included: as with a disk, who needs an order waits for the first
 * to be told before submitting the second. What has completed is seen by every
 * request submitted afterwards, on any queue or handle.
 *
 * Flush is the barrier of power cuts: it makes durable whatever had completed
 * when it was submitted (told or not), by any queue or call of the store. It does
 * not wait for what is still in flight, nor does that wait for it. Flushes and
 * LBS_FUA requests that wait at the same time share one sync, which keeps one
 * thread busy, never more.
 *
 * Memory: lbs_queue_open allocates depth slots of less than 100 bytes; submitting
 * allocates nothing, performing may. Buffers are used where they lie. */
typedef struct lbs_queue lbs_queue;

/* What a request does: as the call of that name does it. */
enum lbs_op {
	LBS_OP_READ = 1, LBS_OP_WRITE = 2, LBS_OP_FLUSH = 3,
	LBS_OP_DISCARD = 4, LBS_OP_WRITE_ZEROES = 5
};

/* Copied by lbs_queue_submit. What iov points to, and the buffers, stay where
 * and as they are until the request is told. */
struct lbs_request {
	lbs_vdisk *vdisk;	/* of the queue's store */
	int op;			/* LBS_OP_... */
	unsigned flags;		/* LBS_FUA, where the call takes it */
	uint64_t offset_bytes;
	uint64_t len_bytes;	/* of discards and zeroes; else unused */
	const struct iovec *iov; /* of reads and writes; else unused */
	int iov_count;
	void *user;		/* handed back */
};

/* result: 0 or LBS_E..., as the call's. */
struct lbs_completion {
	void *user;
	int result;
};

/* Called once for each request, by the thread that performed it, without any
 * lock: by several threads at a time, in no order. May submit and cancel; must
 * neither close, drain nor wait for the queue, and holds up others while it
 * runs. */
typedef void lbs_done_fn(void *ctx, void *user, int result);

enum {
	LBS_QUEUE_WAITER = 1	/* whoever submits calls lbs_queue_wait next: a
				 * lone request is left to that call, and no
				 * thread is woken for it */
};

struct lbs_queue_options {
	uint32_t struct_size;	/* sizeof(struct lbs_queue_options) */
	uint32_t flags;		/* LBS_QUEUE_WAITER */
	uint32_t workers;	/* threads, 1 to 64; 0 = 2. With one, all else
				 * waits while it syncs the card */
	uint32_t depth;		/* requests that may be submitted and not yet
				 * told, 1 to 65536; 0 = 128 */
	lbs_done_fn *done;	/* NULL = completions are reaped */
	void *done_ctx;
};

/* Makes a queue and starts its threads, with all signals blocked. options may be
 * NULL. The caller owns the result and closes it before the store. LBS_EINVAL,
 * LBS_ENOMEM (also: no thread), LBS_EFORK. */
int lbs_queue_open(lbs_store *store, const struct lbs_queue_options *options,
		   lbs_queue **out) __attribute__((warn_unused_result));

/* Submits requests[0..count) and returns how many were taken: fewer than count
 * when depth is reached; the rest has to be submitted again once something was
 * told. Never waits for the card or for internal flash: it copies, wakes a thread
 * at most, and without a callback performs some of the requests itself, because
 * handing them over would take longer: a lone one, with nothing else in flight;
 * of several in one call the first half, up to 8 and 32 KiB, while a thread begins
 * with the others. So submit together what is there together. Only such are
 * performed as are in one piece, of up to 16 KiB, and
 *  - writes of whole blocks (4 KiB at most where blocks are compressed) that have
 *    only to be encrypted and handed to the kernel. They may wait, for
 *    microseconds, until writes as short as they, that came before, are encrypted.
 *    (The kernel may hold up who writes more than it wants to keep in memory; the
 *    library syncs long before.)
 *  - reads of what the kernel has in memory and, asked not to wait for a device
 *    (RWF_NOWAIT), gives: ext4, xfs, btrfs and others can, FAT and exFAT cannot, so
 *    there reads are always left to a thread; so they are with LBS_QUEUE_WAITER.
 * 4 KiB take some 5 to 10 microseconds.
 * A request that is wrong (no such operation, out of range) is taken and told
 * LBS_EINVAL. LBS_EFORK. */
int lbs_queue_submit(lbs_queue *queue, const struct lbs_request *requests,
		     unsigned count) __attribute__((warn_unused_result));

/* For poll(2), epoll(7) and the like: readable when there is something to reap,
 * and until a call of lbs_queue_reap finds nothing: so also once after the last was
 * reaped. (Who is told once by epoll, EPOLLET, reaps until there is nothing.) Several
 * completions make it readable once: while nobody has reaped, more of them cost
 * no further call, and a thread that has more short work at hand may finish a
 * few requests before it wakes the sleeper. Only to be polled: the
 * queue reads and writes it, and closes it. LBS_EINVAL with a callback. */
int lbs_queue_fd(lbs_queue *queue);

/* Takes up to max completions, in the order in which they completed, and returns
 * how many; 0 if there are none. Never waits, except that it looks for so many
 * microseconds (0 to 1000000, as a rule 0) before it returns 0: a thread
 * that would soon be woken again anyway saves both sides the sleep and the
 * wake-up, and burns its processor meanwhile. LBS_EFORK, LBS_EINVAL. */
int lbs_queue_reap(lbs_queue *queue, struct lbs_completion *out, unsigned max,
		   unsigned look_us) __attribute__((warn_unused_result));

/* As reap, but waits for at least one completion and works meanwhile: what
 * nobody performs yet is performed by the caller. For callers without an event
 * loop; one at a time in flight costs them next to nothing over a plain call.
 * 0 if nothing is in flight. LBS_EFORK, LBS_EINVAL (also: with a callback). */
int lbs_queue_wait(lbs_queue *queue, struct lbs_completion *out, unsigned max)
	__attribute__((warn_unused_result));

/* Cancels what bears that user pointer and has not been begun: it is told
 * LBS_ECANCELLED, and nothing of it was done. (With a callback, by this call.)
 * What has been begun ends and is told as ever. Returns how many were
 * cancelled, or LBS_EFORK. */
int lbs_queue_cancel(lbs_queue *queue, void *user);

/* Waits until nothing is in flight and, with a callback, all was told; works
 * meanwhile. For pausing a guest. Flush afterwards for what has to be durable.
 * LBS_EFORK. */
int lbs_queue_drain(lbs_queue *queue);

/* Drains the queue, ends its threads and frees it. Completions that nobody
 * reaped are dropped; what they tell has been done all the same. No other call
 * may be under way or follow. NULL is allowed. In a child of the process that
 * opened it: LBS_EFORK, and nothing is done. */
int lbs_queue_close(lbs_queue *queue);

#ifdef __cplusplus
}
#endif
#endif
