/*
 * ck.h - lbsck's own state: what was asked for, what was found. Private to the
 * files of lbsck.
 */
#ifndef LBS_TOOLS_CK_H
#define LBS_TOOLS_CK_H

#include "recovery/check.h"
#include "tools/common/report.h"

enum {
	CK_CLEAN = 0, CK_CORRECTED = 1, CK_ERRORS_LEFT = 4, CK_OPERATIONAL = 8,
	CK_USAGE = 16, CK_CANCELLED = 32
};

struct ck_finding;

struct ck {
	struct report report;
	int no, preen, yes, scrub, accept_loss;
	uint64_t scrub_rate;	/* bytes a second; 0 = as fast as it goes */
	const char *data_dir;
	struct progress *bar;	/* drawn while blocks are read, or NULL */

	/* The store is looked at again after each change; a finding is printed
	 * once, and one that the last look did not meet again, nor of some of its
	 * segments, is mended. */
	struct ck_finding *findings, **findings_end, *cursor;
	int look;		/* number of the present look, from 1 */
	uint64_t scrubbed;	/* bytes, in the last scrub */
	int scrubs;		/* that were done */
	json_t *salvaged;	/* the outcome of the salvaged file, or NULL */
};

/* ck_report.c: what was found, told once and counted at the end. */

/* A finding_fn with a struct ck as its context. */
void ck_take(void *ctx, const struct finding *finding);
void ck_note(struct ck *ck, int severity, const char *code, const char *sentence);
/* The stretches of guest data that the look before found are there still: so
 * that nothing is scrubbed twice. */
void ck_keep_ranges(struct ck *ck);
/* How many findings of the present look have this severity. */
int ck_count(const struct ck *ck, int severity);
/* Prints the outcome and frees the findings. rc is what ended the work: 0 or
 * LBS_E... Returns the exit code. */
int ck_finish(struct ck *ck, int rc);
/* The same of a store that was salvaged from this one: printed before it, or
 * kept for its JSON. */
void ck_finish_new(struct ck *ck, struct ck *salvaged, int rc);

/* ck_run.c: all the work. 0, or an error that kept it from being done. */
int ck_run(struct ck *ck);

/* ck_salvage.c: writes what can be read of a corrupt metadata file into a new
 * one beside it, and looks at that. */
int ck_salvage(struct ck *ck);
/* The same of what SQLite does not know for a database at all. */
int ck_salvage_stranger(struct ck *ck);

/* ck_scrub.c: check_scrub with a progress bar, a rate, and a stop on ^C. */
int ck_scrub(struct ck *ck, struct checker *c);

#endif
