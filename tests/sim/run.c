/*
 * run.c - see run.h: the steps of a script, one after another.
 */
#include "tests/sim/run.h"
#include "tests/lab/nonce_audit.h"
#include "tests/lab/simimage.h"
#include "tests/sim/run_int.h"
#include "liblbs/store/internal.h"

#include <stdlib.h>
#include <string.h>

#define KIB 1024u
#define MIB (1024u * KIB)
/* A failed store is looked at for so many steps before it is reopened. */
#define FAILED_STEPS 3

void run_count(struct run *r, enum sim_tally c, uint64_t n)
{
	r->counts[c] += n;
}

struct struck run_struck(const struct run *r)
{
	struct struck s;

	s.faults = simdisk_fault_hits(r->w->disk);
	s.strays = simdisk_hits(r->w->disk, SIM_CARD, SIM_WRITE,
				SIM_FAULT_STRAY);
	s.flash_full = simdisk_refused(r->w->disk, SIM_FLASH);
	return s;
}

int run_excused(const struct run *r, int rc, const struct struck *before)
{
	struct struck now = run_struck(r);
	int faults = now.faults != before->faults ||
		     r->o.card_dead;
	int full = now.flash_full != before->flash_full;

	switch (rc) {
	case 0:
		return 1;
	case LBS_EIO:
		return faults || full;
	case LBS_EMETAFULL:
		return full;
	case LBS_EFAILED:	/* by what the same call had met before */
		return faults || full;
	default:
		return 0;
	}
}

int run_may_stop(struct run *r, int rc, const struct struck *before)
{
	if (rc != LBS_ESTALEMETA || !r->o.branched)
		return run_excused(r, rc, before);
	r->accept = 1;
	return 1;
}

int run_store_failed(const struct run *r)
{
	return lbs_store_failure(r->w->store)[0] != '\0';
}

void run_notice(struct run *r)
{
	uint64_t strays = simdisk_hits(r->w->disk, SIM_CARD, SIM_WRITE,
				       SIM_FAULT_STRAY);
	uint64_t bytes = simdisk_stray_bytes(r->w->disk);
	/* A block's frame has so many bytes at the least. */
	uint64_t least = r->w->shape.compress ? ZIP_FRAME_BYTES_MIN : MODEL_BLOCK;

	if (strays == r->strays)
		return;
	/* Both where it should be and where it went. */
	oracle_hurt(&r->o, HURT_STRAY,
		    2 * (uint32_t)((bytes - r->stray_bytes) / least + 2));
	r->strays = strays;
	r->stray_bytes = bytes;
}

int run_fill_ahead(struct run *r)
{
	struct struck before = run_struck(r);
	int rc = 0;

	if (!r->ahead || run_store_failed(r))
		return 0;
	while (rc == 0 && store_fill_wanted(r->w->store))
		rc = store_fill_one(r->w->store);
	if (simdisk_is_off(r->w->disk) || rc == LBS_ENOSPC ||
	    run_may_stop(r, rc, &before))
		return 0;
	return oracle_broken(&r->o, "unexpected-error", "filling ahead gave %s "
			     "without a cause", lbs_error_word(rc));
}

/* ---- the run ----------------------------------------------------------------- */

static int ends(unsigned *steps)
{
	return *steps != 0 && --*steps == 0;
}

/* What lasts for a while ends by itself. */
static void pass_time(struct run *r)
{
	if (ends(&r->full_for[SIM_CARD]))
		simdisk_capacity(r->w->disk, SIM_CARD, 0);
	if (ends(&r->full_for[SIM_FLASH]))
		simdisk_capacity(r->w->disk, SIM_FLASH, r->w->shape.flash_bytes);
	if (ends(&r->gone_for))
		simdisk_insert(r->w->disk, SIM_CARD);
	if (ends(&r->lie_for))
		simdisk_lie(r->w->disk, SIM_CARD, 0);
	if (ends(&r->cache_for)) {
		simdisk_cache(r->w->disk, SIM_CARD, 0);
		r->cache_ms = 0;
	}
}

static int check(struct run *r)
{
	uint32_t damaged;
	int rc = oracle_look(&r->o, &damaged);

	run_count(r, COUNT_CHECKS, 1);
	run_count(r, COUNT_DAMAGED, damaged);
	return rc;
}

static int step_once(struct run *r, const struct sim_step *step)
{
	switch (step->kind) {
	case SIM_STORE:
		return 0;
	case SIM_DO_CHECK:
		return check(r);
	case SIM_DO_REOPEN:
		return run_reopen(r);
	default:
		return script_is_operation(step->kind) ? request_step(r, step)
						       : run_trouble(r, step);
	}
}

/* No page that was flushed is written again, which the card might then lose.
 * Making room syncs what lies beside it, flushed or not: until the next flush
 * such a page may be written on. */
static int look_at_pages(struct run *r)
{
	uint64_t torn = simdisk_torn_pages(r->w->disk), more, fill;

	more = torn - r->torn_pages;
	r->torn_pages = torn;
	fill = world_stat(r->w, LBS_STAT_CARD_FILL_BYTES);
	r->filled |= fill != r->fill_bytes;
	r->fill_bytes = fill;
	if (more == 0 || r->filled || r->strays != 0) {
		/* What the step wrote came before its flush. */
		r->filled &= !r->flushed;
		r->flushed = 0;
		return 0;
	}
	return oracle_broken(&r->o, "torn-page", "a page of the card with "
			     "flushed bytes was written again");
}

void run_flushed(struct run *r)
{
	model_flushed(r->w->model);
	r->flushed = 1;
}

/* Whatever the step was. */
static int after_step(struct run *r)
{
	if (!simdisk_is_off(r->w->disk) && run_fill_ahead(r) < 0)
		return -1;
	run_notice(r);
	if (simdisk_is_off(r->w->disk)) {
		run_crash(r);
		if (run_open(r) < 0)
			return -1;
	}
	if (r->over)
		return 0;
	if (look_at_pages(r) < 0)
		return -1;
	if (nonce_audit_repeats() != r->repeats)
		return oracle_broken(&r->o, "nonce", "a (key, nonce) pair was "
				     "sealed twice");
	pass_time(r);
	if (!run_store_failed(r))
		return 0;
	if (r->failed_for++ == 0)
		run_count(r, COUNT_FAILED_STORES, 1);
	return r->failed_for > FAILED_STEPS ? run_reopen(r) : 0;
}

static struct world *make_world(const struct sim_step *store)
{
	struct world_shape shape = {
		.capacity_bytes = store->arg[0],
		.freshness = (int)store->arg[1],
		.compress = (int)store->arg[3],
		.vdisk_bytes = store->arg[4],
		.base_bytes = store->arg[5],
		.segment_bytes = store->arg[6],
		.chunk_bytes = 1 * MIB,
		.checkpoint_log_bytes = 6 * store->arg[6],
		.sync_bytes = 160 * KIB,
		.fill_ahead_bytes = 3 * store->arg[6],
		.flash_bytes = 32 * MIB,
	};
	struct world *w = world_new(&shape);

	if (world_create(w) != 0) {
		world_free(w);
		return NULL;
	}
	return w;
}

static void count_faults(struct run *r)
{
	static const struct {
		enum sim_tally count;
		enum sim_side side;
		enum sim_op op;
		unsigned flags;
	} kinds[] = {
		{ COUNT_CARD_READ_EIO, SIM_CARD, SIM_READ, 0 },
		{ COUNT_CARD_WRITE_EIO, SIM_CARD, SIM_WRITE, 0 },
		{ COUNT_CARD_SYNC_EIO, SIM_CARD, SIM_SYNC, 0 },
		{ COUNT_FLASH_READ_EIO, SIM_FLASH, SIM_READ, 0 },
		{ COUNT_FLASH_WRITE_EIO, SIM_FLASH, SIM_WRITE, 0 },
		{ COUNT_FLASH_SYNC_EIO, SIM_FLASH, SIM_SYNC, 0 },
		{ COUNT_CARD_SHORT_WRITE, SIM_CARD, SIM_WRITE,
		  SIM_FAULT_PARTIAL },
		{ COUNT_FLASH_SHORT_WRITE, SIM_FLASH, SIM_WRITE,
		  SIM_FAULT_PARTIAL },
		{ COUNT_CARD_DROPPED_SYNC, SIM_CARD, SIM_SYNC, SIM_FAULT_DROP },
		{ COUNT_FLASH_DROPPED_SYNC, SIM_FLASH, SIM_SYNC,
		  SIM_FAULT_DROP },
		{ COUNT_STRAY_WRITE, SIM_CARD, SIM_WRITE, SIM_FAULT_STRAY },
	};
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		run_count(r, kinds[i].count,
			  simdisk_hits(r->w->disk, kinds[i].side, kinds[i].op,
				       kinds[i].flags));
	run_count(r, COUNT_FLASH_FULL, simdisk_refused(r->w->disk, SIM_FLASH));
	run_count(r, COUNT_IN_PIECES, r->o.scattered);
}

static void play(struct run *r, const struct sim_script *script,
		 struct sim_result *result)
{
	char text[200];
	size_t i;
	int rc = run_open(r);

	for (i = 1; i < script->count && rc == 0 && !r->over; i++) {
		result->step = i;
		if (r->trace != NULL) {
			script_print_step(&script->steps[i], text, sizeof(text));
			fprintf(r->trace, "%5zu  %s\n", i, text);
		}
		rc = step_once(r, &script->steps[i]);
		if (rc == 0 && !r->over)
			rc = after_step(r);
		if (r->trace != NULL && r->w->log_text[0] != '\0') {
			fprintf(r->trace, "       [%s]\n", r->w->log_text);
			r->w->log_text[0] = '\0';
		}
	}
	/* And all is well in the end. */
	if (rc == 0 && !r->over) {
		run_lift_limits(r);
		simdisk_arm(r->w->disk, 0);
		rc = run_reopen(r);
	}
	if (rc == 0 && !r->over)
		rc = run_reopen(r);
	result->broken = rc < 0;
}

void sim_run(const struct sim_script *script, uint64_t counts[SIM_COUNTS],
	     struct sim_result *result, FILE *trace)
{
	struct run r = { .counts = counts, .trace = trace };
	uint64_t sealings = nonce_audit_sealings();

	memset(result, 0, sizeof(*result));
	chance_begin(script->seed);
	nonce_audit_reset();
	r.repeats = nonce_audit_repeats();
	r.w = make_world(&script->steps[0]);
	if (r.w == NULL) {
		result->broken = 1;
		strcpy(result->label, "creating");
		strcpy(result->why, "the store could not be made");
		return;
	}
	r.ahead = script->steps[0].arg[2] != 0;
	oracle_begin(&r.o, r.w);
	play(&r, script, result);
	memcpy(result->label, r.o.label, sizeof(result->label));
	memcpy(result->why, r.o.why, sizeof(result->why));
	count_faults(&r);
	run_count(&r, COUNT_SEALINGS, nonce_audit_sealings() - sealings);
	result->digest = sim_mix(r.digest, simdisk_ticks(r.w->disk));
	sim_copy_free(r.copy[SIM_CARD]);
	sim_copy_free(r.copy[SIM_FLASH]);
	run_look_done(&r);
	lbs_vdisk_close(r.second);
	oracle_end(&r.o);
	world_free(r.w);
}
