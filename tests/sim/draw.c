/*
 * draw.c - draws a script from a seed.
 * Must never ask anything but the seed. Each seed has a character of its own: the
 * kinds of fault that it may have at all, how often, and what its clients like to
 * do. So many seeds stay free of a kind, and are judged the more strictly.
 */
#include "tests/lab/simdisk.h"
#include "tests/lab/simimage.h"
#include "tests/sim/script.h"

#include <stdlib.h>
#include <string.h>

#define KIB 1024u
#define MIB (1024u * KIB)
#define BLOCK 4096u
/* Blocks of one region of the map (liblbs/format/layout.h). */
#define REGION 131072u

struct draw {
	uint64_t rng, size;
	struct sim_script *script;
	unsigned weight[SIM_KINDS], total; /* of what goes wrong */
	unsigned one_in;		   /* operations to one of these */
	unsigned reads, flushes;	   /* of 100 operations */
};

static uint64_t below(struct draw *d, uint64_t limit)
{
	return sim_random(&d->rng) % limit;
}

static void add(struct draw *d, enum sim_kind kind, uint64_t a, uint64_t b,
		uint64_t c, uint64_t e)
{
	struct sim_script *s = d->script;

	if (s->count == s->room) {
		s->room = s->room * 2 + 256;
		s->steps = sim_realloc(s->steps, s->room * sizeof(*s->steps));
	}
	s->steps[s->count++] = (struct sim_step){ .kind = kind,
						  .arg = { a, b, c, e } };
}

/* ---- what the clients do -------------------------------------------------- */

/* A stretch of so many bytes or a few more: each client has a quarter of the disk,
 * where it is half of the time. Half are whole blocks, as of a file system, a quarter
 * sectors; some reach the disk's end. */
struct stretch {
	uint64_t at, len;
};

static struct stretch place(struct draw *d, unsigned client, uint64_t len)
{
	static const unsigned grains[] = { BLOCK, BLOCK, 512, 1 };
	unsigned grain = grains[below(d, 4)];
	uint64_t quarter = d->size / SIM_CLIENTS, at;

	len = (len + grain - 1) / grain * grain;
	if (len > d->size)
		len = d->size / grain * grain;
	if (below(d, 2) == 0 && len < quarter)
		at = client * quarter + below(d, quarter - len);
	else
		at = below(d, d->size - len + 1);
	if (below(d, 16) != 0 || len == 0)
		return (struct stretch){ at / grain * grain, len };
	at = (d->size - len) / grain * grain;
	return (struct stretch){ at, d->size - at };
}

static uint64_t draw_len(struct draw *d)
{
	uint64_t dice = below(d, 100);

	if (dice < 50)
		return BLOCK * (1 + below(d, 4));
	if (dice < 80)
		return 1 + below(d, BLOCK);
	if (dice < 95)
		return 1 + below(d, 40 * KIB);
	if (dice < 96)
		return 0;
	/* Longer than is atomic, where there is room for it. */
	if (dice >= 98 && d->size > MIB)
		return MIB + below(d, d->size - MIB + 1);
	return 100 * KIB + below(d, 400 * KIB);
}

/* What is longer than is atomic is in the middle of its way when things happen. */
static void draw_long(struct draw *d)
{
	unsigned client = (unsigned)below(d, SIM_CLIENTS);
	uint64_t dice = below(d, 16);
	struct stretch s;

	if (d->size <= MIB || dice >= 6)
		return;
	s = place(d, client, MIB + 1 + below(d, d->size - MIB));
	add(d, dice == 0 ? SIM_DO_ZERO : SIM_DO_WRITE, client, s.at, s.len,
	    dice == 1);
}

/* Mostly short, now and then of any length. */
static uint64_t draw_some(struct draw *d, uint64_t usual)
{
	return 1 + below(d, below(d, 8) == 0 ? d->size : usual);
}

/* One draw in a statement: C leaves open in which order arguments are drawn. */
static void draw_operation(struct draw *d)
{
	unsigned client = (unsigned)below(d, SIM_CLIENTS);
	uint64_t dice = below(d, 100);
	uint64_t len = draw_len(d);
	struct stretch s = place(d, client, len);
	int rarely = below(d, 8) == 0;

	if (dice < d->reads) {
		add(d, rarely ? SIM_DO_EXTENTS : SIM_DO_READ, client, s.at, s.len,
		    0);
		return;
	}
	dice -= d->reads;
	if (dice < d->flushes) {
		add(d, SIM_DO_FLUSH, client, 0, 0, 0);
		return;
	}
	dice = below(d, 200);
	if (dice < 5) {
		add(d, SIM_DO_CHECKPOINT, 0, 0, 0, 0);
	} else if (dice < 8) {
		add(d, SIM_DO_REOPEN, 0, 0, 0, 0);
	} else if (dice < 9) {
		add(d, SIM_DO_CLEAN, below(d, 3) != 0, 0, 0, 0);
	} else if (dice < 12) {
		add(d, SIM_DO_CHECK, 0, 0, 0, 0);
	} else if (dice < 14) {
		add(d, SIM_DO_DISCARD, client, 0, d->size, 0);
	} else if (dice < 30) {
		s = place(d, client, draw_some(d, 160 * KIB));
		add(d, SIM_DO_DISCARD, client, s.at, s.len, rarely);
	} else if (dice < 46) {
		s = place(d, client, draw_some(d, 60 * KIB));
		add(d, SIM_DO_ZERO, client, s.at, s.len, rarely);
	} else {
		add(d, SIM_DO_WRITE, client, s.at, s.len, rarely);
	}
}

/* ---- what goes wrong ------------------------------------------------------ */

/* 0 quite often, so that things happen in the middle of nothing too. */
static uint64_t draw_ticks(struct draw *d)
{
	uint64_t width;

	if (below(d, 4) == 0)
		return 0;
	width = 1u << below(d, 8);
	return 1 + below(d, width);
}

static void draw_failure(struct draw *d, enum sim_kind kind)
{
	static const struct {
		enum sim_op op;
		enum sim_how how;
	} failure[] = {
		{ SIM_READ, SIM_PLAIN }, { SIM_WRITE, SIM_PLAIN },
		{ SIM_WRITE, SIM_HALF }, { SIM_SYNC, SIM_PLAIN },
		{ SIM_SYNC, SIM_DROP },
	};
	uint64_t i = below(d, 5);
	uint64_t side = below(d, SIM_SIDES);
	uint64_t after = below(d, failure[i].op == SIM_READ ? 4 : 12);

	add(d, kind, side, failure[i].op, after, failure[i].how);
}

/* The card or internal flash, to the brim or below what the store wants. */
static void draw_full(struct draw *d, uint64_t steps)
{
	if (below(d, 2) == 0)
		add(d, SIM_FULL, SIM_CARD, below(d, 400 * KIB), 10 + steps, 0);
	else if (below(d, 2) == 0)
		add(d, SIM_FULL, SIM_FLASH, below(d, 64 * KIB), 5 + steps / 2, 0);
	else
		add(d, SIM_FULL, SIM_FLASH, below(d, 12 * MIB), 5 + steps / 2, 0);
}

static void draw_fault(struct draw *d, enum sim_kind kind)
{
	uint64_t seed = below(d, 100000), some = below(d, 40), ticks, variant;

	switch (kind) {
	case SIM_IDLE:
		add(d, kind, 1 + below(d, 800), 0, 0, 0);
		break;
	case SIM_CUT:
	case SIM_OPENING_CUT:
		/* An opening may also die of a signal. */
		ticks = kind == SIM_CUT ? draw_ticks(d) : 1 + some;
		variant = below(d, kind == SIM_CUT ? SIM_KEEP_ALL : SIM_VARIANTS);
		add(d, kind, ticks, variant, seed, 0);
		if (ticks != 0 && kind == SIM_CUT)
			draw_long(d);
		if (below(d, 4) == 0 && d->weight[SIM_OPENING_CUT] != 0 &&
		    kind == SIM_CUT)
			draw_fault(d, SIM_OPENING_CUT);
		break;
	case SIM_KILL:
		add(d, kind, draw_ticks(d), 0, 0, 0);
		draw_long(d);
		break;
	case SIM_FAIL:
	case SIM_OPENING_FAIL:
		draw_failure(d, kind);
		if (kind == SIM_FAIL)
			draw_long(d);
		if (kind == SIM_OPENING_FAIL)
			add(d, below(d, 2) ? SIM_KILL : SIM_DO_REOPEN, 0, 0, 0, 0);
		break;
	case SIM_STRAY:
		add(d, kind, below(d, 6), 0, 0, 0);
		break;
	case SIM_FULL:
		draw_full(d, some);
		break;
	case SIM_PULL:
		add(d, kind, below(d, SIM_KEEP_ALL), seed, 1 + some / 8, 0);
		break;
	case SIM_ROT:
		add(d, kind, 1 + below(d, 8), seed, 0, 0);
		break;
	case SIM_LIE:
		add(d, kind, 5 + some, 0, 0, 0);
		break;
	case SIM_CACHE:
		add(d, kind, below(d, 2) ? 100 : 700, 20 + 2 * some, 0, 0);
		break;
	case SIM_COPY:
	case SIM_RESTORE:
		add(d, kind, below(d, SIM_SIDES), 0, 0, 0);
		break;
	default:
		add(d, kind, 0, 0, 0, 0);
		break;
	}
}

/* What a seed may have, and how often. A card that lies or forgets is put to the
 * test by cuts, an old copy by restoring it. */
static void draw_character(struct draw *d)
{
	static const unsigned usual[SIM_KINDS] = {
		[SIM_CUT] = 6, [SIM_KILL] = 4, [SIM_FAIL] = 8, [SIM_STRAY] = 2,
		[SIM_EVICT] = 3, [SIM_FULL] = 3, [SIM_PULL] = 3, [SIM_ROT] = 3,
		[SIM_LIE] = 2, [SIM_CACHE] = 3, [SIM_RESTORE] = 2,
		[SIM_OPENING_CUT] = 3, [SIM_OPENING_FAIL] = 3,
	};
	enum sim_kind k;

	for (k = 0; k < SIM_KINDS; k++)
		if (usual[k] != 0 && below(d, 3) == 0)
			d->weight[k] = 1 + (unsigned)below(d, 2 * usual[k]);
	if (d->weight[SIM_LIE] || d->weight[SIM_CACHE])
		d->weight[SIM_CUT] += usual[SIM_CUT];
	d->weight[SIM_IDLE] = d->weight[SIM_CACHE];
	d->weight[SIM_COPY] = d->weight[SIM_RESTORE];
	for (k = 0; k < SIM_KINDS; k++)
		d->total += d->weight[k];
	d->one_in = 6 + (unsigned)below(d, 20);
	d->reads = 10 + (unsigned)below(d, 25);
	d->flushes = (unsigned)below(d, 25);
}

/* All are so small that the cleaner works, and every fourth so that it is full now and
 * then; every fourth can give chunk files back. */
static void draw_store(struct draw *d, uint64_t seed)
{
	uint64_t dice = below(d, 4), segment = 64 * KIB, segments;
	uint64_t freshness, compress, base = 0;
	struct sim_step *store;

	segments = dice == 0 ? 86 : dice == 1 ? 150 : 92;
	freshness = below(d, 4) == 0 ? 2 : 1;
	/* Every third one compresses, by this or that. */
	compress = sim_mix(seed, 12) % 3 == 0 ? 1 + sim_mix(seed, 13) % 2 : 0;
	d->size = 640 * KIB;
	/* Every fourth has room for requests that are longer than is atomic, */
	if (sim_mix(seed, 14) % 4 == 0) {
		d->size = 2304 * KIB;
		segments += 30;
	} else if (sim_mix(seed, 15) % 6 == 0) {
		segment = 256 * KIB;
	}
	/* every other ends in a block that is not whole, */
	if (sim_mix(seed, 17) % 2 == 0)
		d->size += 3 * 512;
	/* every fourth lies where two regions of the map meet. */
	if (sim_mix(seed, 16) % 4 == 0)
		base = (REGION - 48) * (uint64_t)BLOCK;
	add(d, SIM_STORE, segments * segment, freshness, below(d, 4) != 0,
	    compress);
	store = &d->script->steps[0];
	store->arg[4] = d->size;
	store->arg[5] = base;
	store->arg[6] = segment;
}

struct sim_script *script_draw(uint64_t seed, unsigned operations)
{
	struct draw d = { .rng = sim_mix(seed, 11) };
	uint64_t dice;
	enum sim_kind k;
	unsigned i;

	d.script = sim_alloc(sizeof(*d.script));
	d.script->seed = seed;
	draw_character(&d);
	draw_store(&d, seed);
	for (i = 0; i < operations; i++) {
		draw_operation(&d);
		if (d.total == 0 || below(&d, d.one_in) != 0)
			continue;
		dice = below(&d, d.total);
		for (k = 0; dice >= d.weight[k]; k++)
			dice -= d.weight[k];
		draw_fault(&d, k);
	}
	return d.script;
}
