/*
 * salvage_int.h - shared by the files of salvage, and by nobody else.
 */
#ifndef LBS_META_SALVAGE_INT_H
#define LBS_META_SALVAGE_INT_H

#include "liblbs/meta/damaged.h"
#include "liblbs/meta/internal.h"
#include "liblbs/meta/salvage.h"

struct work {
	struct salvage *s;
	struct meta *from, *to;
	int made;			/* the new file is there, and ours */
	uint8_t *key;			/* secret */
	struct meta_vdisk vdisks[VDISKS_MAX];
	int vdisk_count;
	uint32_t *counted;		/* live counts as they were, */
	uint8_t *has_count;		/* where their rows can be read */
	uint8_t *used;			/* segments with a row, or in the map */
	struct meta_piece pieces[PIECES_MAX];
	int piece_count, pieces_end;	/* a gap: no more of them */
	struct meta_state state;
	struct meta_anchor anchor;
	int have_state, have_anchor;
	uint32_t lost_segment;		/* or NO_SEGMENT: not chosen yet */
	uint64_t blocks;		/* that the map names, for want of a
					 * vdisk's size */
	uint64_t base_end;		/* behind the last block of the last base
					 * row, as a key */
	uint64_t gap, gap_end;		/* keys of blocks that may be lost; end 0:
					 * none */
	uint64_t last_delta;		/* the key before the next one */
	uint64_t region;		/* layer and region that deltas are */
	uint32_t region_deltas;		/* copied of, and how many so far */
};

static inline int
salvage_read(struct work *w, const char *table,
	     int (*row)(void *, sqlite3_int64, sqlite3_stmt *),
	     int (*gap)(void *, sqlite3_int64, sqlite3_int64))
{
	struct damaged_reader r = { row, gap, w };

	return damaged_read(w->from->db, table, &r);
}

/* For what can be counted again. */
static inline int
salvage_ignore_gap(void *ctx, sqlite3_int64 after, sqlite3_int64 before)
{
	(void)ctx;
	(void)after;
	(void)before;
	return 0;
}

/* salvage_rows.c: all tables but the map's; segments and chunks go to the new
 * file at once, the rest to w. */
int salvage_rows(struct work *w);

/* salvage_map.c */
/* Which segments the map names, and how far it goes. */
int salvage_map_names(struct work *w);
/* Copies it; needs the vdisks, for what is lost of them. */
int salvage_map_copy(struct work *w);
/* Counts live blocks of the new map, and compares. */
int salvage_map_count(struct work *w);
/* In doubt no block is a hole. */
int salvage_map_lose_holes(struct work *w);

#endif
