/*
 * rough.h - a guest on a machine where any call may fail: it goes through the
 * requests of script.h, takes errors as answers, and keeps the model true of what
 * a failed request may have left. Then the failing stops, and everything that was
 * acknowledged must be there.
 * Must never take an error for an excuse: a store that answered with one either
 * goes on as if nothing had been asked, or refuses writes until reopened.
 */
#ifndef LBS_TESTS_ROUGH_H
#define LBS_TESTS_ROUGH_H

#include "tests/lab/world.h"

#define ROUGH_WHY 500

/* Bit n allows code -n; LBS_EFAILED is allowed behind any other. */
#define ROUGH_CODE(code) (1u << -(code))

struct rough {
	struct world *w;
	uint32_t codes;		/* that may be met, of ROUGH_CODE */
	int stopped;		/* the store has said "failed" */
	int errors;		/* answers that were errors */
	char why[ROUGH_WHY];
};

/* Stores to begin with, a new one each time: closed cleanly; whose process died with
 * records beyond the anchor, which an opening writes anew; with compression, after a
 * power cut that the card alone kept everything over. */
enum rough_base { ROUGH_CLOSED, ROUGH_KILLED, ROUGH_CUT };
struct world *rough_base(enum rough_base which);
/* A store of script.h (SCRIPT_...) that has lived through these letters, closed. */
struct world *rough_lived(int which, const char *letters);

/* Making a store gave rc, and nothing fails any more: what is there is no store, or a
 * whole one. 0, or -1 and why. */
int rough_made(struct rough *r, int rc, unsigned how);
/* Opens: 0, 1 when refused with an allowed code, -1 and why. */
int rough_open(struct rough *r, unsigned flags);
/* Reads all of a store just opened, until that works or has failed a few times; what
 * it shows must be as promised. 0, 1 when it could not be read, -1 and why. */
int rough_settle(struct rough *r);
/* Reads all: every block as the model has it, or an error. 0, or -1 and why. */
int rough_read(struct rough *r);
/* The requests of these letters of script.h ("r" and "k" aside), and reads of all
 * blocks between them. 0, or -1 and why. */
int rough_work(struct rough *r, const char *letters);
/* Closes, if open: an allowed code is no fault. */
int rough_close(struct rough *r);
/* Nothing fails any more: the process ends in one of three ways by how, the store
 * opens, holds what it must, takes more and holds that. */
int rough_aftermath(struct rough *r, unsigned how);

#endif
