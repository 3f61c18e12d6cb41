/*
 * replay.h - one opening's roll-forward, shared by replay.c (reads the log),
 * judge.c (is it what was promised?) and resume.c (makes it durable).
 */
#ifndef LBS_STORE_REPLAY_H
#define LBS_STORE_REPLAY_H

#include "liblbs/store/internal.h"

/* A record beyond the anchor: to be written anew. */
struct tail_record {
	uint32_t segment, offset;
};

struct replay {
	lbs_store *s;
	struct scan_source src;
	struct meta_state state;
	struct meta_anchor anchor;
	struct card_sealed card;

	uint64_t end;		/* last record of the last complete group */
	struct log_position behind;
	struct map_change group[GROUP_RECORDS_MAX];
	int group_len;
	uint64_t group_blocks;	/* of data, and an unmap counts as one */
	size_t group_tail;	/* tail records of the open group */
	struct tail_record *tail;
	size_t tail_len, tail_cap;
	uint64_t records;

	/* evidence */
	uint64_t durable_to, checkpoint; /* largest seen in any record */
	struct newest newest;	/* in any header, if a loss is accepted */
	int missing;		/* 0, or the verdict */
	struct cut last;	/* where record end lies, if it was read */
	int stopped;		/* an incomplete piece ended the replay */
	uint32_t stop_segment, stop_offset;
	uint64_t stop_end;	/* last record of that piece; 0 = it is open */
	int io;			/* an I/O error ended the replay */
	int anchor_seen;	/* its record was read in full */
};

/* Sets r->missing to 0 or to what is wrong. 0, or an error of reading on. */
int replay_judge(struct replay *r);
/* Turns r->missing into a code and a sentence that says what to do. */
int replay_verdict(struct replay *r);
/* The last session that the metadata knows to have written. */
uint64_t replay_known_begun(const struct replay *r);
/* Writes what lies beyond the anchor anew and begins the session: after this,
 * and not before, the store may serve. */
int replay_resume(struct replay *r);

#endif
