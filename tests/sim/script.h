/*
 * script.h - a run of the simulator as data: what the clients ask and what goes
 * wrong, step by step; drawn from a seed, or read from a text file.
 * Must never hold anything that a step means only by what went before: any
 * script with steps left out is a script too, so that a failing one can shrink.
 *
 * As text a step is a line, "write client=1 at=4096 len=8192 fua=0"; the first is
 * the store's. Empty lines and lines that begin with # are skipped.
 */
#ifndef LBS_TESTS_SIM_SCRIPT_H
#define LBS_TESTS_SIM_SCRIPT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* One row each in script.c and one case in run.c. A guest sees nothing of cleaning
 * and of chunk files given back, so the oracle knows nothing of it. */
enum sim_kind {
	SIM_STORE,		/* what kind of store: the first step; ahead: the
				 * card is filled ahead, as threads would do; size: of
				 * what the clients use, base: before it */
	/* operations */
	SIM_DO_WRITE, SIM_DO_ZERO, SIM_DO_DISCARD, SIM_DO_READ, SIM_DO_EXTENTS,
	SIM_DO_FLUSH, SIM_DO_CHECKPOINT,
	SIM_DO_CLEAN,		/* by hand; shrink: chunk files are given back */
	SIM_DO_CHECK,		/* reads the whole disk */
	SIM_DO_REOPEN,		/* closed cleanly and opened again */
	/* what goes wrong */
	SIM_IDLE,		/* time passes */
	SIM_CUT, SIM_KILL,	/* at a tick from now on; 0 = now */
	SIM_FAIL,		/* one operation of a medium to come fails */
	SIM_STRAY,		/* one write of the card to come goes astray */
	SIM_EVICT,		/* the cache forgets what a failed sync dropped */
	SIM_FULL,		/* a medium has so much room left, for a while */
	SIM_PULL,		/* the card is gone, for a while */
	SIM_ROT,		/* bits of the card decay */
	SIM_LIE,		/* the card's syncs do nothing, for a while */
	SIM_CACHE,		/* the card forgets the last ms at a cut, likewise */
	SIM_COPY, SIM_RESTORE,	/* of a whole side; a restore is a new boot */
	SIM_OPENING_CUT, SIM_OPENING_FAIL, /* while the store opens next */
	SIM_KINDS
};

#define SIM_ARGS 7

struct sim_step {
	enum sim_kind kind;
	uint64_t arg[SIM_ARGS];	/* in the order of the names in script.c */
};

/* The last argument of SIM_FAIL and SIM_OPENING_FAIL. */
enum sim_how { SIM_PLAIN, SIM_HALF, SIM_DROP, SIM_HOWS };

struct sim_script {
	uint64_t seed;		/* it was drawn from; 0 = written by hand */
	struct sim_step *steps;
	size_t count, room;
};

#define SIM_CLIENTS 4

/* So many operations, and what goes wrong between them. */
struct sim_script *script_draw(uint64_t seed, unsigned operations);
/* NULL and a sentence on stderr when it cannot be read. */
struct sim_script *script_read(FILE *in);
void script_write(const struct sim_script *s, FILE *out);
void script_print_step(const struct sim_step *step, char *text, size_t len);
/* A copy without the steps [from, to). */
struct sim_script *script_without(const struct sim_script *s, size_t from,
				  size_t to);
void script_free(struct sim_script *s);
int script_is_operation(enum sim_kind kind);

#endif
