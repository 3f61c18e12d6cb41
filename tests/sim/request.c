/*
 * request.c - what the clients of a run ask, and what the answer has to be.
 */
#include "liblbs/format/layout.h"
#include "tests/lab/simimage.h"
#include "tests/sim/pieces.h"
#include "tests/sim/run_int.h"

#include <stdlib.h>

#define MAP_REGION_BYTES ((uint64_t)MAP_REGION_BLOCKS * BLOCK_BYTES)

static lbs_vdisk *handle_of(const struct run *r, uint64_t client)
{
	return client % 2 == 1 ? r->second : r->w->vdisk;
}

static int write_pieces(struct run *r, lbs_vdisk *v, uint64_t at, size_t len,
			unsigned flags)
{
	uint64_t op = model_issue(r->w->model, MODEL_WRITE, at, len);
	struct iovec iov[PIECES_MAX];
	uint8_t *buf = sim_alloc(len);
	int count = pieces_of(buf, len, at, iov), rc;

	oracle_issued(&r->o, at, len);
	model_fill(op, at, buf, len);
	at += r->w->shape.base_bytes;
	if (count == 1)
		rc = lbs_vdisk_write(v, buf, len, at, flags);
	else
		rc = lbs_vdisk_writev(v, iov, count, at, flags);
	run_count(r, COUNT_IN_PIECES, count > 1);
	free(buf);
	return rc;
}

static void count_rare(struct run *r, const struct sim_step *step)
{
	uint64_t at = step->arg[1] + r->w->shape.base_bytes, len = step->arg[2];

	/* The window begins in one region of the map and ends in the next. */
	run_count(r, COUNT_ACROSS_REGIONS,
		  len > 0 && at / MAP_REGION_BYTES !=
				     (at + len - 1) / MAP_REGION_BYTES);
	if (len <= MODEL_ATOMIC_BYTES)
		return;
	run_count(r, step->kind == SIM_DO_WRITE	 ? COUNT_LONG_WRITES
		     : step->kind == SIM_DO_ZERO ? COUNT_LONG_ZEROES
						 : COUNT_LONG_DISCARDS, 1);
	run_count(r, COUNT_LONG_FUA, step->arg[3] != 0);
}

static int send(struct run *r, const struct sim_step *step, lbs_vdisk *v)
{
	uint64_t at = step->arg[1], len = step->arg[2];
	uint64_t base = r->w->shape.base_bytes;
	unsigned flags = step->arg[3] != 0 ? LBS_FUA : 0;

	count_rare(r, step);
	if (step->kind == SIM_DO_WRITE)
		return write_pieces(r, v, at, (size_t)len, flags);
	model_issue(r->w->model, step->kind == SIM_DO_ZERO ? MODEL_ZERO
							   : MODEL_DISCARD,
		    at, (size_t)len);
	oracle_issued(&r->o, at, len);
	if (step->kind == SIM_DO_ZERO)
		return lbs_vdisk_write_zeroes(v, len, base + at, flags);
	/* There is nothing before what clients use, so that may go, too. */
	if (at == 0)
		return lbs_vdisk_discard(v, base + len, 0, flags);
	return lbs_vdisk_discard(v, len, base + at, flags);
}

static int change(struct run *r, const struct sim_step *step);

/* The log is full of the half dead: with all discarded there is room again. */
static int relieve(struct run *r)
{
	struct sim_step all = { SIM_DO_DISCARD,
				{ 0, 0, r->w->shape.vdisk_bytes, 0 } };
	struct sim_step some = { SIM_DO_WRITE, { 0, 8192, 16384, 0 } };
	struct struck before = run_struck(r);
	int rc;

	if (change(r, &all) < 0)
		return -1;
	if (simdisk_is_off(r->w->disk) || run_store_failed(r))
		return 0;
	rc = lbs_store_checkpoint(r->w->store);
	if (simdisk_is_off(r->w->disk) || run_excused(r, rc, &before))
		return 0;
	if (rc != 0)
		return oracle_broken(&r->o, "checkpoint", "a checkpoint of a full "
				     "store gave %s", lbs_error_word(rc));
	r->relieved = 1;
	rc = change(r, &some);
	r->relieved = 0;
	return rc;
}

static int no_space(struct run *r, const struct sim_step *step)
{
	/* A card that was full before the reserve was filled has none. */
	if (step->kind == SIM_DO_DISCARD &&
	    (r->ahead || r->full_for[SIM_CARD] == 0))
		return oracle_broken(&r->o, "no-space", "a discard got no-space");
	if (r->full_for[SIM_CARD] != 0 || r->full_for[SIM_FLASH] != 0) {
		run_count(r, r->full_for[SIM_CARD] ? COUNT_CARD_FULL
						   : COUNT_FLASH_FULL, 1);
		run_count(r, COUNT_NO_SPACE, 1);
		return 0;
	}
	if (r->relieved)
		return oracle_broken(&r->o, "no-space", "all was discarded and a "
				     "checkpoint taken, and there is no room");
	run_count(r, COUNT_NO_SPACE, 1);
	return relieve(r);
}

/* A request that changes the disk. */
static int change(struct run *r, const struct sim_step *step)
{
	int failed = run_store_failed(r), rc;
	struct struck before = run_struck(r);
	uint32_t damaged;
	int part;

	rc = send(r, step, handle_of(r, step->arg[0]));
	if (simdisk_is_off(r->w->disk))
		return 0;
	r->digest = sim_mix(r->digest, (uint64_t)rc);
	if (rc == 0) {
		if (failed)
			return oracle_broken(&r->o, "failed-store", "a failed "
					     "store took a request");
		model_acked(r->w->model);
		if (step->arg[3] != 0)
			run_flushed(r);
		return 0;
	}
	if (!failed && run_store_failed(r)) {
		r->o.limbo = 1;
		if (!run_may_stop(r, rc, &before))
			return oracle_broken(&r->o, "unexpected-error", "the store "
					     "failed by itself with %s",
					     lbs_error_word(rc));
		return 0;
	}
	if (failed) {
		model_refused(r->w->model);
		return rc == LBS_EFAILED
			       ? 0
			       : oracle_broken(&r->o, "failed-store", "a failed "
					       "store answered %s",
					       lbs_error_word(rc));
	}
	/* What went astray in this request may be met in looking what it left. */
	run_notice(r);
	part = oracle_refused(&r->o, r->w->vdisk, step->arg[1],
			      (size_t)step->arg[2], &damaged);
	if (part < 0)
		return -1;
	run_count(r, COUNT_PART_REFUSED, (uint64_t)part);
	run_count(r, COUNT_DAMAGED, damaged);
	if (rc == LBS_ENOSPC)
		return no_space(r, step);
	/* Part of a block that cannot be read cannot be written. */
	if ((rc == LBS_EDAMAGED || rc == LBS_EIO) &&
	    (damaged > 0 || run_struck(r).faults != before.faults))
		return 0;
	if (!run_excused(r, rc, &before))
		return oracle_broken(&r->o, "unexpected-error", "a request gave "
				     "%s without a cause", lbs_error_word(rc));
	return 0;
}

static int flush_by(struct run *r, const struct sim_step *step)
{
	switch (step->kind) {
	case SIM_DO_FLUSH:
		return lbs_vdisk_flush(handle_of(r, step->arg[0]));
	case SIM_DO_CLEAN:
		return lbs_store_clean(r->w->store,
				       step->arg[0] ? LBS_CLEAN_SHRINK : 0, NULL,
				       NULL);
	default:
		return lbs_store_checkpoint(r->w->store);
	}
}

static int do_flush(struct run *r, const struct sim_step *step)
{
	int failed = run_store_failed(r), rc;
	struct struck before = run_struck(r);

	rc = flush_by(r, step);
	if (simdisk_is_off(r->w->disk))
		return 0;
	r->digest = sim_mix(r->digest, (uint64_t)rc);
	if (failed && rc == 0)
		return oracle_broken(&r->o, "failed-store",
				     "a failed store took a flush");
	if (rc == 0 && step->kind == SIM_DO_FLUSH)
		run_flushed(r);
	if (rc != 0 && !(failed && rc == LBS_EFAILED) &&
	    !run_may_stop(r, rc, &before))
		return oracle_broken(&r->o, "unexpected-error",
				     "a flush, checkpoint or cleaning gave %s "
				     "without a cause", lbs_error_word(rc));
	return 0;
}

static int do_read(struct run *r, const struct sim_step *step)
{
	uint32_t damaged;
	int rc = oracle_read(&r->o, handle_of(r, step->arg[0]), step->arg[1],
			     (size_t)step->arg[2], &damaged);

	run_count(r, COUNT_DAMAGED, damaged);
	r->digest = sim_mix(r->digest, damaged);
	return rc;
}

struct extents {
	struct run *r;
	uint64_t next;
	int rc;
};

static int take_extent(void *ctx, uint64_t offset, uint64_t len, int is_data)
{
	struct extents *e = ctx;

	offset -= e->r->w->shape.base_bytes;
	if (offset != e->next)
		e->rc = oracle_broken(&e->r->o, "extents", "extents do not follow "
				      "each other");
	else if (!is_data)
		e->rc = oracle_hole(&e->r->o, offset, len);
	e->next = offset + len;
	return e->rc;
}

static int do_extents(struct run *r, const struct sim_step *step)
{
	struct extents e = { .r = r, .next = step->arg[1] };
	struct struck before = run_struck(r);
	int rc = lbs_vdisk_extents(handle_of(r, step->arg[0]), step->arg[2],
				   r->w->shape.base_bytes + step->arg[1],
				   take_extent, &e);

	if (rc != 0 && !run_excused(r, rc, &before))
		return oracle_broken(&r->o, "extents", "extents gave %s without a "
				     "cause", lbs_error_word(rc));
	if (rc == 0 && e.rc == 0 && e.next != step->arg[1] + step->arg[2])
		return oracle_broken(&r->o, "extents", "extents end too early");
	return e.rc;
}

int request_step(struct run *r, const struct sim_step *step)
{
	static const enum sim_tally counted[SIM_KINDS] = {
		[SIM_DO_WRITE] = COUNT_WRITES, [SIM_DO_ZERO] = COUNT_ZEROES,
		[SIM_DO_DISCARD] = COUNT_DISCARDS, [SIM_DO_READ] = COUNT_READS,
		[SIM_DO_EXTENTS] = COUNT_EXTENTS, [SIM_DO_FLUSH] = COUNT_FLUSHES,
		[SIM_DO_CHECKPOINT] = COUNT_CHECKPOINTS,
		[SIM_DO_CLEAN] = COUNT_CLEANS,
	};

	run_count(r, counted[step->kind], 1);
	switch (step->kind) {
	case SIM_DO_READ:
		return do_read(r, step);
	case SIM_DO_EXTENTS:
		return do_extents(r, step);
	case SIM_DO_FLUSH:
	case SIM_DO_CHECKPOINT:
	case SIM_DO_CLEAN:
		return do_flush(r, step);
	default:
		return change(r, step);
	}
}
