/*
 * check.h - what lbsck looks at: metadata against log against map. It reads
 * with the scanner and the map code that opening uses, so that the two cannot
 * disagree about what is valid. Never changes anything but in check_repair.
 */
#ifndef LBS_RECOVERY_CHECK_H
#define LBS_RECOVERY_CHECK_H

#include "lbs.h"

/* How bad a finding is. */
enum {
	FINDING_NOTE,		/* worth knowing, not an error */
	FINDING_REPAIRABLE,	/* -p mends it and loses nothing */
	FINDING_ERROR		/* data is damaged or missing */
};

struct finding {
	const char *code;	/* stable word, see lbsck(8) and DESIGN.md */
	int severity;
	/* Of a vdisk, when the finding is about guest data; else NULL, 0, 0. */
	const char *vdisk;
	uint64_t offset_bytes, len_bytes;
	const char *sentence;
};

/* Takes a finding; it is valid during the call. */
typedef void finding_fn(void *ctx, const struct finding *finding);

struct checker {
	lbs_store *store;	/* open, read-only or not */
	finding_fn *fn;
	void *ctx;
	int repairable;		/* how many findings -p can mend */
};

/* SQLite's check, the segment table, the map, live counts. 0, or an error that
 * kept the check from its work. */
int check_store(struct checker *c);

/* Authenticates every live block of every vdisk. progress counts live bytes
 * done. *bytes is what was read. */
int check_scrub(struct checker *c, lbs_progress_fn *progress, void *progress_ctx,
		uint64_t *bytes);

/* Mends what check_store called repairable in a store open for writing. */
int check_repair(struct checker *c);

#endif
