/*
 * slice.h - the transactions in which a checkpoint writes, each with the live counts
 * that it changes and the newest anchor. The map and its live counts agree at the
 * end of each.
 */
#ifndef LBS_STORE_SLICE_H
#define LBS_STORE_SLICE_H

#include "liblbs/map/memtable.h"
#include "liblbs/store/internal.h"

struct slice {
	lbs_store *s;
	size_t max_bytes;	/* of rows in a slice, about */
	size_t bytes, read;	/* written and read in the open transaction */
	int open;
	uint8_t *groups;	/* groups of live counts changed in it */
	uint32_t group_count;
};

/* 0 or LBS_ENOMEM. */
int slice_init(struct slice *sl, lbs_store *s);
/* Takes db and opens a transaction, unless one is open. */
int slice_begin(struct slice *sl);
/* 1 if the open one has done enough: what a flush may wait for. */
int slice_full(const struct slice *sl);
/* Commits and gives db back; after an error nothing of the slice is there. */
int slice_end(struct slice *sl);
/* Gives up the open transaction, if there is one. */
void slice_free(struct slice *sl);
/* An entry of the map that points to position comes (1) or goes (-1). */
void slice_change_live(struct slice *sl, uint64_t position, int32_t by);

/* mapwrite.c: writes runs, ascending, into the map's rows; the last slice stays
 * open. The runs are changed on the way. */
int mapwrite(struct slice *sl, struct memtable_run *runs, size_t count);

#endif
