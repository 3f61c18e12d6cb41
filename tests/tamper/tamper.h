/*
 * tamper.h - what the parts of tamper_test share: a job's plan and how a change is
 * judged (plan.c), where the structures of a store lie (walk.c), and the kinds of
 * changes: fields.c, reseal.c, bytes.c.
 * Must never leave the card of a victim changed.
 */
#ifndef LBS_TESTS_TAMPER_H
#define LBS_TESTS_TAMPER_H

#include <stdatomic.h>

#include "tests/lab/format_doc.h"
#include "tests/lab/victim.h"

#define TAMPER_LETTERS_MAX 8
#define TAMPER_VERDICTS 32

/* Shared by all jobs. */
struct totals {
	atomic_uint_fast64_t changes, failed, errors, opened;
	atomic_uint_fast64_t verdicts[TAMPER_VERDICTS];
};

struct plan {
	int all, jobs, job;
	unsigned turn;
	struct totals *totals;
	struct doc *doc;
	uint8_t *tried;		/* per field of the document; shared */
};

/* ---- plan.c ---- */

/* One failure: what was changed, and what is wrong. */
void tamper_tell(struct plan *p, const char *what, const char *why);
/* Counts a change and what opening came to. */
void tamper_count(struct plan *p, const struct looked *l);
/* One change of one structure was made: counts it, and tells of anything but a
 * verdict of FORMAT.md section 11 or at most one block that cannot be read. */
void tamper_judge(struct plan *p, const char *what, const struct looked *l);

enum change { LOW_BIT, HIGH_BIT, INVERT, ZERO, CHANGES };
const char *change_name(enum change c);
/* 0 when nothing changed. */
int change_bytes(enum change c, uint8_t *p, size_t len);

/* ---- walk.c ---- */

/* A stretch of a card file. */
struct place {
	const struct victim_segment *segment; /* NULL: the card file */
	char file[MEDIUM_NAME_BYTES];
	uint64_t at;
	struct doc_letter letters[TAMPER_LETTERS_MAX];
	char what[96];
};

typedef void place_fn(void *ctx, const char *table, const struct place *at);
/* Calls fn for everything that a root table of FORMAT.md describes; on a store with
 * compression for records alone, as all else is the same there. */
void tamper_walk(struct victim *v, place_fn *fn, void *ctx);

/* ---- kinds of changes; each takes the plan's job's share of them ---- */

/* Every field of FORMAT.md's tables, as it lies there. */
void tamper_fields(struct plan *p, struct victim *v);
/* Fails unless every field that lies somewhere was tried by some job. */
void tamper_fields_reach(struct plan *p);
/* Fields of sealed tables, sealed again with the key. */
void tamper_resealed(struct plan *p, struct victim *v);
/* Bytes, each by a bit; all of them if the plan says so. */
void tamper_bytes(struct plan *p, struct victim *v);
/* Bytes while the store is open. */
void tamper_while_open(struct plan *p, struct victim *v);

#endif
