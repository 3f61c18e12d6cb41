/*
 * life.c - the ends and beginnings of a store in a run: closing, dying, opening,
 * a refusal, a loss accepted, the look at the whole disk.
 */
#include "tests/lab/simimage.h"
#include "tests/sim/run_int.h"

#include <stdlib.h>
#include <string.h>

/* Each try may meet one more fault or cut; then it must be over. */
#define OPENING_TRIES 12

static void close_second(struct run *r)
{
	lbs_vdisk_close(r->second);
	r->second = NULL;
}

/* What the store counted, before it goes. */
static void account(struct run *r)
{
	if (r->w->store == NULL)
		return;
	run_count(r, COUNT_STORE_CHECKPOINTS,
		  world_stat(r->w, LBS_STAT_CHECKPOINTS));
	run_count(r, COUNT_GIVEN_BACK,
		  world_stat(r->w, LBS_STAT_CARD_GIVEN_BACK_BYTES) >> 10);
	run_count(r, COUNT_ROLLED_FORWARD,
		  world_stat(r->w, LBS_STAT_REPLAY_RECORDS));
}

void run_note_lost(struct run *r)
{
	if (simdisk_lost(r->w->disk) == 0)
		return;
	oracle_hurt(&r->o, HURT_LOST, ANY_NUMBER);
	run_count(r, r->cache_ms == 0	  ? COUNT_LYING_CARD
		     : r->cache_ms == 100 ? COUNT_LOST_100MS
					  : COUNT_LOST_700MS, 1);
}

void run_die(struct run *r, enum sim_variant v, uint64_t seed)
{
	account(r);
	close_second(r);
	world_cut(r->w, v, seed);
	run_count(r, v == SIM_KEEP_ALL ? COUNT_SIGKILL : COUNT_POWER_CUT, 1);
	if (v == SIM_KEEP_ALL)
		return;
	/* What the card never got is now like anything not flushed. */
	r->o.at_risk = 0;
	run_note_lost(r);
}

void run_crash(struct run *r)
{
	run_die(r, r->variant, r->cut_seed);
}

void run_lift_limits(struct run *r)
{
	struct world *w = r->w;

	simdisk_clear_faults(w->disk);
	simdisk_insert(w->disk, SIM_CARD);
	simdisk_capacity(w->disk, SIM_CARD, 0);
	simdisk_capacity(w->disk, SIM_FLASH, w->shape.flash_bytes);
	r->full_for[SIM_CARD] = r->full_for[SIM_FLASH] = r->gone_for = 0;
}

/* ---- opening ---------------------------------------------------------------- */

static void arm_opening(struct run *r)
{
	unsigned i;

	for (i = 0; i < r->openings; i++) {
		const struct sim_step *s = &r->opening[i];

		if (s->kind == SIM_OPENING_CUT) {
			r->variant = s->arg[1];
			r->cut_seed = s->arg[2];
			simdisk_arm(r->w->disk, simdisk_ticks(r->w->disk) +
							s->arg[0]);
		} else {
			run_fail_later(r, s);
		}
	}
	r->openings = 0;
}

static void count_verdict(struct run *r, int rc)
{
	run_count(r, rc == LBS_EDATAMISSING ? COUNT_DATA_MISSING
		     : rc == LBS_ESTALECARD ? COUNT_STALE_CARD
		     : rc == LBS_ESTALEMETA ? COUNT_STALE_METADATA
		     : rc == LBS_EDAMAGED   ? COUNT_LOG_DAMAGED
					    : COUNT_CARD_MISSING, 1);
}

/* An opening that did not succeed, with power still on. */
static int judge_refusal(struct run *r, int rc, const struct struck *before,
			 uint64_t card_bytes, int *consent)
{
	struct sim_count card;

	if (simdisk_is_gone(r->w->disk, SIM_CARD)) {
		if (rc != LBS_ECARDMISSING && rc != LBS_EIO)
			return oracle_broken(&r->o, "opening", "opening without "
					     "a card gave %s",
					     lbs_error_word(rc));
		run_count(r, COUNT_OPENING_ERRORS, 1);
		run_lift_limits(r);
		return 0;
	}
	if (run_excused(r, rc, before) ||
	    (rc == LBS_ENOSPC && r->full_for[SIM_CARD] != 0)) {
		run_count(r, COUNT_OPENING_ERRORS, 1);
		run_lift_limits(r);
		return 0;
	}
	/* All since an old anchor would have to be written again, and a full
	 * card has no room for it. */
	if (*consent && rc == LBS_ENOSPC && r->o.hurt & HURT_OLD_FLASH) {
		run_count(r, COUNT_NO_ROOM_TO_ACCEPT, 1);
		r->over = 1;
		return 0;
	}
	/* What this opening wrote went astray, over what it had yet to write again:
	 * another one tells of that damage first. */
	if (*consent && rc == LBS_EDAMAGED &&
	    run_struck(r).strays != before->strays) {
		run_count(r, COUNT_OPENING_ERRORS, 1);
		*consent = 0;
		return 0;
	}
	if (*consent || !oracle_may_refuse(&r->o, rc))
		return oracle_broken(&r->o, "opening", "opening gave %s%s",
				     lbs_error_word(rc),
				     *consent ? " with loss accepted" : "");
	simdisk_count(r->w->disk, SIM_CARD, NULL, &card);
	if (card.bytes != card_bytes &&
	    run_struck(r).faults == before->faults)
		return oracle_broken(&r->o, "opening", "refused with %s, and the "
				     "card was written to", lbs_error_word(rc));
	count_verdict(r, rc);
	*consent = 1;
	return 0;
}

/* Once the store is open. */
static int settle(struct run *r)
{
	r->o.evicted = 0;
	run_count(r, COUNT_OPENINGS, 1);
	if (lbs_vdisk_open(r->w->store, NULL, &r->second) != 0)
		return oracle_broken(&r->o, "opening", "no second handle");
	if (oracle_settle(&r->o) < 0)
		return -1;
	run_count(r, COUNT_PART_CUT, r->o.found_part);
	run_count(r, COUNT_DAMAGED, r->o.met_damaged);
	r->o.limbo = r->o.at_risk = 0;
	r->failed_for = 0;
	r->fill_bytes = 0;
	r->drops = simdisk_hits(r->w->disk, SIM_CARD, SIM_SYNC, SIM_FAULT_DROP);
	return 0;
}

int run_open(struct run *r)
{
	struct struck before;
	struct sim_count card;
	int tries, consent = r->accept, rc;

	r->o.card_dead = 0;
	if (run_look_first(r) < 0)
		return -1;
	arm_opening(r);
	r->accept = 0;
	for (tries = 0; tries < OPENING_TRIES; tries++) {
		before = run_struck(r);
		simdisk_count(r->w->disk, SIM_CARD, NULL, &card);
		rc = world_open(r->w, consent ? LBS_ACCEPT_LOSS : 0);
		r->digest = sim_mix(r->digest, (uint64_t)rc);
		run_notice(r);
		if (!consent && run_look_again(r, rc, &before) < 0)
			return -1;
		run_look_done(r);
		if (r->trace != NULL)
			fprintf(r->trace, "       opening%s: %s\n",
				consent ? ", loss accepted" : "",
				simdisk_is_off(r->w->disk) ? "cut"
				: rc == 0 ? "open" : lbs_error_word(rc));
		if (simdisk_is_off(r->w->disk)) {
			/* Whether consent was taken or not: both may be. */
			r->o.consented |= consent;
			run_count(r, COUNT_OPENING_CUT, 1);
			run_crash(r);
			consent = 0;
			continue;
		}
		if (rc == 0) {
			r->o.consented |= consent;
			run_count(r, COUNT_ACCEPTED, (uint64_t)consent);
			/* It is not met again. */
			if (consent)
				r->o.branched = 0;
			return settle(r);
		}
		if (judge_refusal(r, rc, &before, card.bytes, &consent) < 0)
			return -1;
		if (r->over)
			return 0;
	}
	return oracle_broken(&r->o, "opening", "the store does not open in %d "
			     "tries, the last gave %s", OPENING_TRIES,
			     lbs_error_word(rc));
}

int run_reopen(struct run *r)
{
	int failed = run_store_failed(r), rc;
	struct struck before = run_struck(r);

	account(r);
	close_second(r);
	rc = world_close(r->w);
	run_notice(r);
	if (simdisk_is_off(r->w->disk)) {
		run_crash(r);
		return run_open(r);
	}
	r->digest = sim_mix(r->digest, (uint64_t)rc);
	if (failed ? rc != LBS_EFAILED : !run_excused(r, rc, &before))
		return oracle_broken(&r->o, "closing", "closing %s store gave %s",
				     failed ? "a failed" : "the",
				     rc == 0 ? "success" : lbs_error_word(rc));
	run_count(r, COUNT_CLOSES, rc == 0);
	if (run_open(r) < 0)
		return -1;
	if (r->over)
		return 0;
	if (rc == 0 && run_struck(r).faults == before.faults &&
	    !simdisk_is_gone(r->w->disk, SIM_CARD))
		oracle_forget(&r->o);
	return 0;
}
