/*
 * count.h - what a run of the simulator came through, in numbers that add up
 * over runs. Must never count what was only meant to happen.
 */
#ifndef LBS_TESTS_SIM_COUNT_H
#define LBS_TESTS_SIM_COUNT_H

#include <stdint.h>

enum sim_tally {
	/* operations that were asked for while the store was open */
	COUNT_WRITES, COUNT_ZEROES, COUNT_DISCARDS, COUNT_READS, COUNT_EXTENTS,
	COUNT_FLUSHES, COUNT_CHECKPOINTS, COUNT_CLEANS, COUNT_CHECKS, COUNT_CLOSES,
	/* faults that struck */
	COUNT_POWER_CUT, COUNT_OPENING_CUT, COUNT_SIGKILL,
	COUNT_CARD_READ_EIO, COUNT_CARD_WRITE_EIO, COUNT_CARD_SYNC_EIO,
	COUNT_FLASH_READ_EIO, COUNT_FLASH_WRITE_EIO, COUNT_FLASH_SYNC_EIO,
	COUNT_CARD_SHORT_WRITE, COUNT_FLASH_SHORT_WRITE,
	COUNT_CARD_DROPPED_SYNC, COUNT_FLASH_DROPPED_SYNC,
	COUNT_CARD_FULL, COUNT_FLASH_FULL,
	COUNT_CARD_GONE, COUNT_BIT_ROT, COUNT_STRAY_WRITE,
	COUNT_LYING_CARD,	/* a cut that took what such a card had */
	COUNT_LOST_100MS, COUNT_LOST_700MS, /* confirmed; likewise */
	COUNT_OLD_FLASH, COUNT_OLD_CARD,
	/* what is rare, and must not be missing either */
	COUNT_LONG_WRITES, COUNT_LONG_ZEROES, COUNT_LONG_DISCARDS, /* over 1 MiB */
	COUNT_LONG_FUA,		/* of these */
	COUNT_IN_PIECES,	/* reads and writes of scattered memory */
	COUNT_ACROSS_REGIONS,	/* of the map */
	COUNT_READ_ONLY,	/* looks at a store before it is opened */
	COUNT_PART_CUT,		/* long requests found done in part after an end */
	/* what came of it */
	COUNT_OPENINGS,		/* that succeeded */
	COUNT_FAILED_STORES,	/* writing stopped until reopened */
	COUNT_NO_SPACE,		/* requests refused so, with nothing done */
	COUNT_PART_REFUSED,	/* long ones, with a part done */
	COUNT_DAMAGED,		/* blocks met that do not authenticate */
	COUNT_DATA_MISSING, COUNT_STALE_CARD, COUNT_STALE_METADATA,
	COUNT_LOG_DAMAGED, COUNT_CARD_MISSING, /* openings refused so */
	COUNT_OPENING_ERRORS,	/* openings that met an error of a medium */
	COUNT_ACCEPTED,		/* losses accepted */
	COUNT_NO_ROOM_TO_ACCEPT, /* runs that ended there */
	COUNT_ROLLED_FORWARD, COUNT_STORE_CHECKPOINTS,
	COUNT_GIVEN_BACK,	/* KiB of chunk files */
	COUNT_SEALINGS,
	SIM_COUNTS
};

#define COUNT_FIRST_FAULT COUNT_POWER_CUT
#define COUNT_FIRST_RARE COUNT_LONG_WRITES
#define COUNT_FIRST_RESULT COUNT_OPENINGS

/* "power_cut": the key under --json. */
const char *sim_count_name(enum sim_tally c);

#endif
