/*
 * cut.h - one end of a machine: the tick at which power fails (or the process is
 * killed), and what either side keeps of what was pending. Has a text that names
 * it again.
 * Must never list two cuts of a tick that leave the same bytes for sure.
 */
#ifndef LBS_TESTS_CUT_H
#define LBS_TESTS_CUT_H

#include "tests/lab/world.h"

struct cut_id {
	uint64_t tick;	/* counted from where the sweep began */
	int kill;	/* the process only: the sides say nothing */
	enum sim_variant side[SIM_SIDES];
	uint64_t seed;
};

/* "drop", "prefix", "subset", "tear", "keep". */
const char *cut_side_name(enum sim_variant v);

#define CUT_TEXT_BYTES 64
/* "TICK:kill:SEED" or "TICK:CARD/FLASH:SEED", the sides by their variants. */
void cut_print(const struct cut_id *c, char text[CUT_TEXT_BYTES]);
/* Reads one from *text and moves behind it and the ':' that may follow; -1. */
int cut_parse(const char **text, struct cut_id *c);

/* A side keeps nothing or everything, in all four ways; death of the process; and
 * four draws of anything between. */
#define CUTS_PER_TICK 9
/* The cuts worth trying of a disk as it stands. draws: at most so many of the
 * random ones. Returns how many. */
int cut_list(struct simdisk *d, uint64_t tick, uint64_t salt, int draws,
	     struct cut_id out[CUTS_PER_TICK]);

void cut_apply(struct world *w, const struct cut_id *c);

#endif
