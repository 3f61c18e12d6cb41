/*
 * card.h - the card's small files, card.lbs and .nomedia: looked at, and made
 * anew. Nothing in them is guest data, and the log decides without them.
 */
#ifndef LBS_RECOVERY_CARD_H
#define LBS_RECOVERY_CARD_H

#include "recovery/check.h"

/* Of an open store: tells what is wrong with them. */
void card_check(struct checker *c);
/* Puts .nomedia back; card.lbs was made anew by opening for writing. */
void card_mend(struct checker *c);

/* Why a store is refused as card-missing. */
enum card_absence {
	CARD_ABSENT,	/* no data directory, or none of ours in it */
	CARD_NO_FILE,	/* only card.lbs is gone: the log is there and is ours */
	CARD_NO_CHUNK	/* a chunk file is gone */
};

/* Looks at a store that nobody holds. data_dir may be NULL. Writes nothing. */
int card_absence(const char *path, const char *data_dir,
		 enum card_absence *absence);
/* Makes an empty card.lbs, which says nothing, where it is gone: the log alone
 * decides, and opening for writing fills it. */
int card_file_remake(const char *path, const char *data_dir);

#endif
