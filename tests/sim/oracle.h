/*
 * oracle.h - what must hold after each thing that can happen to a store.
 * Must never excuse more than what is known to have happened: without a fault
 * every error and every refusal is a failure.
 *
 * The rules.
 *   - A read gives the data of the acknowledged requests, whatever happened to
 *     the store, or an error that has a cause: LBS_EIO when a medium has just
 *     failed, LBS_EDAMAGED when the card was hurt, and then for no more blocks
 *     than can have been hurt. Never other data.
 *   - After a power cut the disk holds what the first k requests left, for a k
 *     at or past the last flush; after the death of the process every
 *     acknowledged request (tests/lab/model.h).
 *   - A request that fails without stopping the store has done nothing. One that
 *     stops it is there or not, whole. From then on writes, discards and flushes
 *     are refused and reads go on, until the store is reopened.
 *   - Of a write or zeroes of more than 1 MiB the first blocks may have been done
 *     and the others not, each whole: after a power cut, a death or a failure.
 *   - No space is not a failure: nothing was done, reads, flushes and discards
 *     go on. A discard of all and a checkpoint make room.
 *   - An opening may be refused only for what the card or internal flash has
 *     lost, with a verdict that such a loss allows; then nothing was written to
 *     the card, and with the loss accepted it opens. What it then shows is the
 *     state of each block at some time, or an error.
 *   - Opened for reading only just before, a store comes to the same verdict and shows
 *     the same blocks, and nothing is written to either side.
 *   - Pages that the kernel took and the card never got (card pulled, sync that
 *     dropped them) are a loss, in the same boot, of what was acknowledged
 *     since the last flush, and of nothing else.
 *   - What a block holds that could not be read when a loss was accepted is not known:
 *     should it be readable after another opening, because what lay on it was itself
 *     lost, it is in a state of some time.
 *   - With freshness=checkpoint a hurt card may lack flushed data unnoticed that
 *     no checkpoint knows; and what tells that internal flash is old lies on the
 *     card, so that hurt in both a store may look whole. Then each block is in
 *     a state of some time, or an error, as with a loss accepted.
 *   - A store that was opened with an older internal flash and no loss accepted may
 *     at any time come upon a segment that the newer one had written, where nothing
 *     else was left to tell: then it stops with stale-metadata before it writes over
 *     it. Once a loss was accepted, nothing of the newer one is told again.
 *   - Hurt is forgotten when the store was closed cleanly, opened, and all of it
 *     looked at: from then on only what could not be read may be unreadable.
 */
#ifndef LBS_TESTS_SIM_ORACLE_H
#define LBS_TESTS_SIM_ORACLE_H

#include "tests/lab/world.h"

struct history;

/* What has been done to the media since all was well. */
enum {
	HURT_ROT = 1,
	HURT_STRAY = 2,
	HURT_LOST = 4,		/* the card lost what it had confirmed */
	HURT_OLD_FLASH = 8,
	HURT_OLD_CARD = 16,
};

#define ANY_NUMBER UINT32_MAX

struct oracle {
	struct world *w;
	struct history *history;
	uint32_t blocks;
	uint8_t *unknown;	/* by block: it was unreadable when the beginning
				 * was taken as found */
	unsigned hurt;
	uint32_t may_be_damaged; /* so many blocks, or ANY_NUMBER */
	int card_dead;		/* it was pulled: the handles are of no use */
	int at_risk;		/* pages that the kernel took were lost */
	int evicted;		/* such pages are not even in the cache: any
				 * block may be damaged until reopened */
	int limbo;		/* the last request stopped the store */
	uint64_t scattered;	/* reads into several pieces of memory */
	int lacks_files;	/* a loss was accepted that may be whole files:
				 * reading there is LBS_EIO for good */
	int branched;		/* an older flash was put back and no loss accepted
				 * since: what lies on the card may be of a
				 * future that never was */
	int consented;		/* a loss was accepted, not yet looked at */
	int found_part;		/* the last settling found a long request done in
				 * part */
	uint32_t met_damaged;	/* blocks, in the last look at the whole disk */
	char label[32];		/* the rule that was broken, */
	char why[700];		/* and how */
};

void oracle_begin(struct oracle *o, struct world *w);
void oracle_end(struct oracle *o);
/* Says that a rule was broken; -1. */
int oracle_broken(struct oracle *o, const char *label, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* So many blocks more may not authenticate from now on. */
void oracle_hurt(struct oracle *o, unsigned hurt, uint32_t blocks);
/* The request that was just told to the model: its blocks have new states. */
void oracle_issued(struct oracle *o, uint64_t offset, uint64_t len);
/* Reads through that handle; -1 if a rule is broken. */
int oracle_read(struct oracle *o, lbs_vdisk *v, uint64_t offset, size_t len,
		uint32_t *damaged);
/* The last request, which was told to the model, failed, and the store goes on: nothing
 * was done, or of a long one the first blocks. 1 if so, 0 or -1. */
int oracle_refused(struct oracle *o, lbs_vdisk *v, uint64_t offset, size_t len,
		   uint32_t *damaged);
/* A hole of the disk reads as zeroes. */
int oracle_hole(struct oracle *o, uint64_t offset, uint64_t len);
/* Reads the whole disk, and finds nothing before what the clients use of it. */
int oracle_look(struct oracle *o, uint32_t *damaged);
/* Reads the whole disk of a store that has just been opened, and settles where
 * the disk stands: all of that is durable now. */
int oracle_settle(struct oracle *o);
/* Whether an opening may end with that verdict. */
int oracle_may_refuse(const struct oracle *o, int verdict);
/* Closed cleanly, opened and looked at without a fault. */
void oracle_forget(struct oracle *o);

#endif
