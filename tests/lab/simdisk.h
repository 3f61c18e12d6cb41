/*
 * simdisk.h - a simulated card and a simulated internal flash on one clock.
 * Must never be kinder than the contract of the real thing; where it is, the
 * fault model below says so.
 *
 * The fault model.
 *   - Every write, truncation, sync, directory sync and unlink of either side
 *     is one tick. Power is cut at a tick: that operation and all later ones
 *     fail with -EIO and change nothing.
 *   - What was written since the last good sync of its file is pending. A cut
 *     keeps any part of it in pieces of 512-byte sectors (of the file). Of
 *     several pending writes to one sector it keeps the result of the first
 *     few: a sector reaches the disk as it was at some moment.
 *   - Bytes of a sector that no pending write touched never change (flash:
 *     SQLITE_IOCAP_POWERSAFE_OVERWRITE; the card: the kernel writes whole
 *     pages and the old bytes are in them).
 *   - Card (medium.h): a new file is durable after a sync of the file and then a
 *     directory sync; the bytes and the size of a file after its sync. Growth
 *     whose data is lost shows garbage, as FAT does with stale clusters.
 *   - Internal flash (SQLite's unix VFS on ext4): a file's sync makes its
 *     bytes, its size and its name durable, the name together with all earlier
 *     creations and unlinks, since one journal holds them; a directory sync
 *     does the latter too. Growth whose data is lost shows zeroes.
 *   - Names change in order on each side; the sizes of a file change in order.
 *   - A medium may be told to be worse than that: to lie about syncs, to lose at
 *     a cut what it confirmed a while ago, to write elsewhere, to rot. What it
 *     has then lost is counted, so that a test knows when it may ask for less.
 *   - Time is simulated: each operation takes so many microseconds, more when
 *     simdisk_idle says so. It only ages what a cache holds.
 *
 * Names are flat, one name space per side. Results are 0 (or a count) and
 * negative errnos. Thread-safe: one lock in the struct.
 */
#ifndef LBS_TESTS_SIMDISK_H
#define LBS_TESTS_SIMDISK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct simdisk;

enum sim_side { SIM_CARD, SIM_FLASH, SIM_SIDES };

enum sim_op { SIM_READ, SIM_CREATE, SIM_WRITE, SIM_TRUNCATE, SIM_SYNC,
	      SIM_SYNC_DIR, SIM_UNLINK, SIM_OPS };

#define SIM_NAME_BYTES 64
#define SIM_SECTOR 512
#define SIM_PAGE 4096

struct simdisk *simdisk_new(void);
/* A second disk in the same state, without handles, locks and faults. */
struct simdisk *simdisk_clone(struct simdisk *d);
void simdisk_free(struct simdisk *d);

/* ---- the operations ----------------------------------------------------- */

/* An open file. It goes stale (-EIO) at a power cycle. */
struct sim_fd {
	uint32_t index;
	uint32_t boot;
};

/* -ENOENT when missing and not create. */
int simdisk_open(struct simdisk *d, enum sim_side side, const char *name,
		 int create, struct sim_fd *fd);
int simdisk_exists(struct simdisk *d, enum sim_side side, const char *name);
int simdisk_size(struct simdisk *d, struct sim_fd fd, uint64_t *size_bytes);
ssize_t simdisk_read(struct simdisk *d, struct sim_fd fd, void *buf, size_t len,
		     uint64_t offset);
int simdisk_write(struct simdisk *d, struct sim_fd fd, const void *buf,
		  size_t len, uint64_t offset);
int simdisk_truncate(struct simdisk *d, struct sim_fd fd, uint64_t size_bytes);
int simdisk_sync(struct simdisk *d, struct sim_fd fd);
int simdisk_sync_dir(struct simdisk *d, enum sim_side side);
int simdisk_unlink(struct simdisk *d, enum sim_side side, const char *name);

/* SQLite's lock levels, 0 (none) to 4 (exclusive), of one holder of a file;
 * held is the holder's present level. -EBUSY if another holder forbids it. */
int simdisk_lock(struct simdisk *d, struct sim_fd fd, int held, int want);
/* 1 if any holder has reserved the file. */
int simdisk_reserved(struct simdisk *d, struct sim_fd fd);

/* ---- power --------------------------------------------------------------- */

/* What a cut leaves of the pending changes; card and flash drawn apart. */
enum sim_variant {
	SIM_DROP_ALL,	/* nothing */
	SIM_PREFIX,	/* the first few, in the order of time */
	SIM_SUBSET,	/* any subset of sectors */
	SIM_TEAR_LAST,	/* all, but the last write torn at a sector */
	SIM_KEEP_ALL,	/* all: the death of the process, not of the machine */
	SIM_VARIANTS
};
const char *sim_variant_name(enum sim_variant v);

uint64_t simdisk_ticks(struct simdisk *d);
/* Power fails at that tick; 0 = never. */
void simdisk_arm(struct simdisk *d, uint64_t cut_at_tick);
int simdisk_is_off(struct simdisk *d);
/* Power fails now. */
void simdisk_power_off(struct simdisk *d);
/* The machine (for SIM_KEEP_ALL: the process) is gone and comes back: handles
 * are stale, locks released, faults cleared; ticks go on. A cut that is still
 * to come stays armed over the death of a process only. */
void simdisk_power_cycle(struct simdisk *d, enum sim_variant v, uint64_t seed);
/* The machine loses power, each side in a variant of its own: SIM_KEEP_ALL of a
 * side means that all that was pending there has reached the disk. */
void simdisk_lose_power(struct simdisk *d, const enum sim_variant v[SIM_SIDES],
			uint64_t seed);
/* Calls fn before each tick takes effect, the disk being as a cut at that tick
 * would stop it. fn may clone the disk, or stop watching and use it as another
 * thread would (but make no file). NULL = no longer. A clone is not watched. */
void simdisk_watch(struct simdisk *d, void (*fn)(void *ctx), void *ctx);
/* The machine is shut down in good order: nothing is pending any more. */
void simdisk_shut_down(struct simdisk *d);
/* A side is pulled out while the machine runs: what was pending on it is lost as
 * at a cut, its handles are dead, and until it is put back its files are not
 * there. */
void simdisk_pull(struct simdisk *d, enum sim_side side, enum sim_variant v,
		  uint64_t seed);
void simdisk_insert(struct simdisk *d, enum sim_side side);
int simdisk_is_gone(struct simdisk *d, enum sim_side side);
/* Confirmed changes that the last cut or pulling took away, in whole or part. */
uint64_t simdisk_lost(struct simdisk *d);

/* ---- faults --------------------------------------------------------------- */

enum {
	SIM_FAULT_PARTIAL = 1,	/* a write leaves its first half behind */
	SIM_FAULT_DROP = 2,	/* a sync drops the pages: they look clean, are
				 * read from the cache, and are never written */
	SIM_FAULT_STRAY = 4,	/* with err 0: a write lands elsewhere in its
				 * file, is not where it should be, and counts
				 * as done */
	SIM_FAULT_FLAGS = 8
};

/* Lets `after` operations of that kind pass, then fails `times` of them
 * (0 = all from then on) with -err. Several may be set. */
void simdisk_fault(struct simdisk *d, enum sim_side side, enum sim_op op,
		   unsigned after, unsigned times, int err, unsigned flags);
void simdisk_clear_faults(struct simdisk *d);
/* Operations that a fault has failed, or led astray, since the disk was made. */
uint64_t simdisk_fault_hits(struct simdisk *d);
/* How often a fault with just these flags has struck since the disk was made. */
uint64_t simdisk_hits(struct simdisk *d, enum sim_side side, enum sim_op op,
		      unsigned flags);
/* Bytes of writes that went astray. */
uint64_t simdisk_stray_bytes(struct simdisk *d);
/* Growth of that side beyond so many bytes fails with -ENOSPC; 0 = no limit. */
void simdisk_capacity(struct simdisk *d, enum sim_side side, uint64_t bytes);
/* Bytes left below the capacity; UINT64_MAX = no limit. How often there were
 * too few. */
uint64_t simdisk_room(struct simdisk *d, enum sim_side side);
uint64_t simdisk_refused(struct simdisk *d, enum sim_side side);
/* Syncs of that side return 0 and do nothing. */
void simdisk_lie(struct simdisk *d, enum sim_side side, int lying);
/* Syncs of that side return 0, but a cut may take what was confirmed in the last
 * so many microseconds; 0 = an honest card, and all it has confirmed is safe. */
void simdisk_cache(struct simdisk *d, enum sim_side side, uint64_t us);
/* Time passes. */
void simdisk_idle(struct simdisk *d, uint64_t us);
/* The cache forgets what a failed sync dropped: reads show the disk. */
void simdisk_evict(struct simdisk *d);

/* ---- tampering: at once, durable, no tick, handles stay valid ------------ */

/* The present content of a side, to be restored later, on any disk. */
struct sim_copy;
struct sim_copy *simdisk_copy(struct simdisk *d, enum sim_side side);
void simdisk_restore(struct simdisk *d, const struct sim_copy *copy);
void sim_copy_free(struct sim_copy *copy);
int simdisk_flip(struct simdisk *d, enum sim_side side, const char *name,
		 uint64_t offset, uint8_t mask);
/* Bits of a byte on the disk decay; what is pending there is not touched. */
int simdisk_rot(struct simdisk *d, enum sim_side side, const char *name,
		uint64_t offset, uint8_t mask);
int simdisk_poke(struct simdisk *d, enum sim_side side, const char *name,
		 const void *buf, size_t len, uint64_t offset);
int simdisk_peek(struct simdisk *d, enum sim_side side, const char *name,
		 void *buf, size_t len, uint64_t offset);
int simdisk_cut_file(struct simdisk *d, enum sim_side side, const char *name,
		     uint64_t size_bytes);
int simdisk_copy_file(struct simdisk *d, enum sim_side side, const char *from,
		      const char *to);
int simdisk_drop_file(struct simdisk *d, enum sim_side side, const char *name);

/* ---- counters ------------------------------------------------------------- */

struct sim_count {
	uint64_t bytes, writes, syncs;
};
/* Of the file by name since the disk was made; NULL = of the whole side. */
void simdisk_count(struct simdisk *d, enum sim_side side, const char *name,
		   struct sim_count *count);
/* Bytes that the files of a side take. */
uint64_t simdisk_used(struct simdisk *d, enum sim_side side);
/* Writes on the card that covered a part of a 4 KiB page whose bytes were not
 * pending: the kernel reads such a page and writes old bytes again, which a
 * card that loses power then may lose with the new ones. A store makes none,
 * except where a sync took along what was written beside the flush. */
uint64_t simdisk_torn_pages(struct simdisk *d);
/* Pending changes of a side: 0 = everything is durable. */
size_t simdisk_pending(struct simdisk *d, enum sim_side side);

#endif
