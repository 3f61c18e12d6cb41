/*
 * cut.c - see cut.h.
 */
#include "tests/lab/cut.h"
#include "tests/lab/simimage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SIM_KEEP_ALL of a side that lost power. */
#define KEPT "keep"

const char *cut_side_name(enum sim_variant v)
{
	return v == SIM_KEEP_ALL ? KEPT : sim_variant_name(v);
}

void cut_print(const struct cut_id *c, char text[CUT_TEXT_BYTES])
{
	int n = snprintf(text, CUT_TEXT_BYTES, "%llu:",
			 (unsigned long long)c->tick);

	if (c->kill)
		n += snprintf(text + n, CUT_TEXT_BYTES - (size_t)n, "kill");
	else
		n += snprintf(text + n, CUT_TEXT_BYTES - (size_t)n, "%s/%s",
			      cut_side_name(c->side[SIM_CARD]),
			      cut_side_name(c->side[SIM_FLASH]));
	snprintf(text + n, CUT_TEXT_BYTES - (size_t)n, ":%llu",
		 (unsigned long long)c->seed);
}

static int side_parse(const char *name, size_t len, enum sim_variant *v)
{
	for (*v = 0; *v < SIM_VARIANTS; ++*v)
		if (strlen(cut_side_name(*v)) == len &&
		    strncmp(cut_side_name(*v), name, len) == 0)
			return 0;
	return -1;
}

int cut_parse(const char **text, struct cut_id *c)
{
	const char *end, *slash, *name;
	char *rest;

	memset(c, 0, sizeof(*c));
	c->tick = strtoull(*text, &rest, 10);
	if (rest == *text || *rest != ':')
		return -1;
	name = rest + 1;
	end = strchr(name, ':');
	if (end == NULL)
		return -1;
	slash = memchr(name, '/', (size_t)(end - name));
	c->kill = end - name == 4 && memcmp(name, "kill", 4) == 0;
	if (!c->kill &&
	    (slash == NULL ||
	     side_parse(name, (size_t)(slash - name), &c->side[SIM_CARD]) < 0 ||
	     side_parse(slash + 1, (size_t)(end - slash - 1),
			&c->side[SIM_FLASH]) < 0))
		return -1;
	c->seed = strtoull(end + 1, &rest, 10);
	if (rest == end + 1)
		return -1;
	*text = *rest == ':' ? rest + 1 : rest;
	return 0;
}

int cut_list(struct simdisk *d, uint64_t tick, uint64_t salt, int draws,
	     struct cut_id out[CUTS_PER_TICK])
{
	static const enum sim_variant some[] = { SIM_PREFIX, SIM_SUBSET,
						 SIM_SUBSET, SIM_TEAR_LAST };
	uint64_t rng = sim_mix(salt, tick);
	int pending[SIM_SIDES], n = 0, card, flash, i;
	enum sim_side side;

	memset(out, 0, CUTS_PER_TICK * sizeof(*out));
	for (side = 0; side < SIM_SIDES; side++)
		pending[side] = simdisk_pending(d, side) != 0;
	for (card = 0; card <= pending[SIM_CARD]; card++)
		for (flash = 0; flash <= pending[SIM_FLASH]; flash++, n++) {
			out[n].side[SIM_CARD] = card ? SIM_KEEP_ALL : SIM_DROP_ALL;
			out[n].side[SIM_FLASH] = flash ? SIM_KEEP_ALL
						       : SIM_DROP_ALL;
		}
	out[n++].kill = 1;
	for (i = 0; i < draws && i < 4 && (pending[0] || pending[1]); i++, n++)
		for (side = 0; side < SIM_SIDES; side++)
			out[n].side[side] = pending[side]
						    ? some[sim_random(&rng) % 4]
						    : SIM_DROP_ALL;
	for (i = 0; i < n; i++) {
		out[i].tick = tick;
		/* Not the first few, which mean something of their own. */
		out[i].seed = 3 + sim_random(&rng) % 100000;
	}
	return n;
}

void cut_apply(struct world *w, const struct cut_id *c)
{
	if (c->kill)
		world_cut(w, SIM_KEEP_ALL, c->seed);
	else
		world_cut_sides(w, c->side, c->seed);
}
