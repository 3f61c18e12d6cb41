/*
 * check.h - what lbsck looks at: metadata against log against map. It reads
 * with the scanner and the map code that opening uses, so that the two cannot
 * disagree about what is valid. Never changes anything but in check_repair, and
 * never turns a block that gives an error into one that reads as zeroes.
 */
#ifndef LBS_RECOVERY_CHECK_H
#define LBS_RECOVERY_CHECK_H

#include "lbs.h"

/* How bad a finding is. */
enum {
	FINDING_NOTE,		/* worth knowing, not an error */
	FINDING_REPAIRABLE,	/* -p mends it and loses nothing */
	FINDING_QUESTION,	/* -y mends it: a person should know what it does */
	FINDING_ERROR		/* data is damaged or missing */
};

struct finding {
	const char *code;	/* stable word, see DESIGN.md, "lbsck's findings" */
	int severity;
	/* Which segments plus one, from and before, or 0, 0. The first, with code
	 * and stretch, tells one finding from another. */
	uint32_t subject, subject_end;
	/* Of a vdisk, when the finding is about guest data; else NULL, 0, 0. */
	const char *vdisk;
	uint64_t offset_bytes, len_bytes;
	const char *sentence;
};

/* Takes a finding; it is valid during the call. */
typedef void finding_fn(void *ctx, const struct finding *finding);

struct checker {
	lbs_store *store;	/* open, read-only or not */
	const char *data_dir;	/* where the card is, if not where it was */
	finding_fn *fn;
	void *ctx;
	int scrub_follows;	/* which lists the blocks that are lost, too */
	int corrupt;		/* set: the metadata must be salvaged, not mended */
	int newer;		/* set: a newer metadata file has written the card,
				 * which only the headers of segments tell */
};

/* SQLite's check, the map, live counts, the segment table, the card's small
 * files. 0, or an error that kept the check from its work. */
int check_store(struct checker *c);

/* Authenticates every live block of every vdisk. progress counts live bytes
 * done; when it asks to stop, what was found is told and LBS_ECANCELLED
 * returned. *bytes is what was read. */
int check_scrub(struct checker *c, lbs_progress_fn *progress, void *progress_ctx,
		uint64_t *bytes);

/* Of a store opened with LBS_ACCEPT_LOSS: what was written behind the end of the
 * log that is left, as far as the card still tells. */
int check_lost_writes(struct checker *c);

/* Mends, in a store open for writing, what check_store called repairable, and
 * with yes also what it called a question. What could not be mended is found
 * again by the next check; that alone says whether this one did its work. */
int check_repair(struct checker *c, int yes);

/* Formats a finding and hands it over. */
void check_report(struct checker *c, int severity, const char *code,
		  const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The same of a stretch of a vdisk; the words say what is wrong with it. */
void check_report_range(struct checker *c, const char *code, const char *vdisk,
			uint64_t offset, uint64_t len, const char *words);

#endif
