/*
 * trouble.c - what goes wrong in a run, as the steps say.
 * Must never do it without telling the oracle what it may excuse for it.
 */
#include "liblbs/medium/medium.h"
#include "tests/lab/simimage.h"
#include "tests/sim/run_int.h"

#include <errno.h>
#include <string.h>

static int cut(struct run *r, uint64_t ticks, enum sim_variant v, uint64_t seed)
{
	if (ticks == 0) {
		run_die(r, v, seed);
		return run_open(r);
	}
	r->variant = v;
	r->cut_seed = seed;
	simdisk_arm(r->w->disk, simdisk_ticks(r->w->disk) + ticks);
	return 0;
}

void run_fail_later(struct run *r, const struct sim_step *s)
{
	simdisk_clear_faults(r->w->disk);
	simdisk_fault(r->w->disk, s->arg[0], s->arg[1], (unsigned)s->arg[2], 1,
		      EIO, s->arg[3] == SIM_HALF   ? SIM_FAULT_PARTIAL
			   : s->arg[3] == SIM_DROP ? SIM_FAULT_DROP
						   : 0);
}

/* Dropped pages are gone for good: what was acknowledged since the last flush
 * cannot be read any more, nor recovered. */
static void evict(struct run *r)
{
	simdisk_evict(r->w->disk);
	if (simdisk_hits(r->w->disk, SIM_CARD, SIM_SYNC, SIM_FAULT_DROP) !=
	    r->drops)
		r->o.evicted = r->o.at_risk = 1;
}

static void pull(struct run *r, const struct sim_step *s)
{
	if (r->gone_for != 0)
		return;
	simdisk_pull(r->w->disk, SIM_CARD, s->arg[0], s->arg[1]);
	r->gone_for = (unsigned)s->arg[2];
	r->o.at_risk = r->o.card_dead = 1;
	run_count(r, COUNT_CARD_GONE, 1);
	run_note_lost(r);
}

/* Where the log has been: a byte of a sector that is not all zeroes. */
static void rot(struct run *r, uint64_t bits, uint64_t seed)
{
	uint64_t rng = sim_mix(seed, 5), chunks, at;
	char name[MEDIUM_NAME_BYTES];
	uint8_t sector[SIM_SECTOR];
	int tries;

	chunks = r->w->shape.capacity_bytes / r->w->shape.chunk_bytes;
	for (tries = 0; tries < 40 && bits > 0; tries++) {
		medium_file_name((uint32_t)(sim_random(&rng) % chunks), name);
		at = sim_random(&rng) % r->w->shape.chunk_bytes;
		if (simdisk_peek(r->w->disk, SIM_CARD, name, sector,
				 sizeof(sector), at / SIM_SECTOR * SIM_SECTOR) < 0 ||
		    (sector[0] == 0 && memcmp(sector, sector + 1,
					      sizeof(sector) - 1) == 0))
			continue;
		if (simdisk_rot(r->w->disk, SIM_CARD, name, at,
				(uint8_t)(1u << sim_random(&rng) % 8)) < 0)
			continue;
		oracle_hurt(&r->o, HURT_ROT, 1);
		run_count(r, COUNT_BIT_ROT, 1);
		bits--;
	}
}

static void copy(struct run *r, enum sim_side side)
{
	sim_copy_free(r->copy[side]);
	r->copy[side] = simdisk_copy(r->w->disk, side);
	r->copied_at[side] = simdisk_ticks(r->w->disk);
}

/* The process ends, the machine boots with another state of one side. Nothing
 * else is lost; from an older card what was not flushed since is as after a power
 * cut. */
static int restore(struct run *r, enum sim_side side)
{
	int older;

	if (r->copy[side] == NULL)
		return 0;
	older = simdisk_ticks(r->w->disk) != r->copied_at[side];
	run_die(r, SIM_KEEP_ALL, 0);
	/* No cache outlives the machine. */
	evict(r);
	world_reboot(r->w);
	simdisk_restore(r->w->disk, r->copy[side]);
	/* With both sides of one moment nothing would be old. */
	sim_copy_free(r->copy[!side]);
	r->copy[!side] = NULL;
	if (older)
		oracle_hurt(&r->o, side == SIM_FLASH ? HURT_OLD_FLASH
						     : HURT_OLD_CARD, 0);
	/* In another boot nobody knows what the card never got. */
	if (side == SIM_CARD || r->o.at_risk)
		model_lost_power(r->w->model);
	r->o.at_risk = 0;
	run_count(r, side == SIM_FLASH ? COUNT_OLD_FLASH : COUNT_OLD_CARD, 1);
	return run_open(r);
}

static void limit(struct run *r, const struct sim_step *s)
{
	enum sim_side side = s->arg[0];

	simdisk_capacity(r->w->disk, side,
			 simdisk_used(r->w->disk, side) + s->arg[1] + 1);
	r->full_for[side] = (unsigned)s->arg[2] + 1;
}

int run_trouble(struct run *r, const struct sim_step *s)
{
	switch (s->kind) {
	case SIM_IDLE:
		simdisk_idle(r->w->disk, s->arg[0] * 1000);
		return 0;
	case SIM_CUT:
		return cut(r, s->arg[0], s->arg[1], s->arg[2]);
	case SIM_KILL:
		return cut(r, s->arg[0], SIM_KEEP_ALL, 0);
	case SIM_FAIL:
		run_fail_later(r, s);
		return 0;
	case SIM_STRAY:
		simdisk_clear_faults(r->w->disk);
		simdisk_fault(r->w->disk, SIM_CARD, SIM_WRITE,
			      (unsigned)s->arg[0], 1, 0, SIM_FAULT_STRAY);
		return 0;
	case SIM_EVICT:
		evict(r);
		return 0;
	case SIM_FULL:
		limit(r, s);
		return 0;
	case SIM_PULL:
		pull(r, s);
		return 0;
	case SIM_ROT:
		rot(r, s->arg[0], s->arg[1]);
		return 0;
	case SIM_LIE:
		simdisk_lie(r->w->disk, SIM_CARD, 1);
		r->lie_for = (unsigned)s->arg[0] + 1;
		return 0;
	case SIM_CACHE:
		simdisk_cache(r->w->disk, SIM_CARD, s->arg[0] * 1000);
		r->cache_ms = s->arg[0];
		r->cache_for = (unsigned)s->arg[1] + 1;
		return 0;
	case SIM_COPY:
		copy(r, s->arg[0]);
		return 0;
	case SIM_RESTORE:
		return restore(r, s->arg[0]);
	case SIM_OPENING_CUT:
	case SIM_OPENING_FAIL:
		if (r->openings < OPENING_MAX)
			r->opening[r->openings++] = *s;
		return 0;
	default:
		return 0;
	}
}
