/*
 * readonly.c - before some openings of a run the store is opened for reading only and
 * looked at: that must come to what the opening then comes to, show what it then shows,
 * and write nothing to either side.
 */
#include "tests/lab/simimage.h"
#include "tests/sim/run_int.h"

#include <stdlib.h>
#include <string.h>

#define ONE_IN 6

static uint64_t block_count(const struct run *r)
{
	return (r->w->shape.vdisk_bytes + MODEL_BLOCK - 1) / MODEL_BLOCK;
}

static size_t block_len(const struct run *r, uint64_t block)
{
	uint64_t left = r->w->shape.vdisk_bytes - block * MODEL_BLOCK;

	return left < MODEL_BLOCK ? (size_t)left : MODEL_BLOCK;
}

/* All blocks, and which cannot be read. */
static void read_blocks(struct run *r, uint8_t *disk, uint8_t *unreadable)
{
	uint64_t i;

	for (i = 0; i < block_count(r); i++)
		unreadable[i] = lbs_vdisk_read(r->w->vdisk,
					       disk + i * MODEL_BLOCK,
					       block_len(r, i),
					       r->w->shape.base_bytes +
						       i * MODEL_BLOCK) != 0;
}

int run_look_first(struct run *r)
{
	uint64_t ticks = simdisk_ticks(r->w->disk);
	struct struck before = run_struck(r);
	int rc;

	run_look_done(r);
	if (r->openings != 0 || sim_mix(ticks, 1) % ONE_IN != 0)
		return 0;
	r->looked = sim_alloc(block_count(r) * MODEL_BLOCK);
	r->looked_unreadable = sim_alloc(block_count(r));
	r->looked_rc = rc = world_open(r->w, LBS_RDONLY);
	run_count(r, COUNT_READ_ONLY, 1);
	if (rc == 0) {
		read_blocks(r, r->looked, r->looked_unreadable);
		rc = world_close(r->w);
		if (rc != 0)
			return oracle_broken(&r->o, "read-only", "closing what was "
					     "open for reading only gave %s",
					     lbs_error_word(rc));
	}
	if (simdisk_ticks(r->w->disk) != ticks)
		return oracle_broken(&r->o, "read-only", "a store open for reading "
				     "only was written to");
	/* A fault that was to come has struck: nothing is known. */
	if (run_struck(r).faults != before.faults)
		run_look_done(r);
	return 0;
}

int run_look_again(struct run *r, int rc, const struct struck *before)
{
	uint8_t *disk, *unreadable;
	uint64_t i;

	if (r->looked == NULL || simdisk_is_off(r->w->disk) ||
	    run_struck(r).faults != before->faults ||
	    run_struck(r).flash_full != before->flash_full)
		return 0;
	if (rc != r->looked_rc && rc != LBS_ENOSPC)
		return oracle_broken(&r->o, "read-only", "for reading only opening "
				     "gave %s, and then %s",
				     r->looked_rc ? lbs_error_word(r->looked_rc)
						  : "a store",
				     rc ? lbs_error_word(rc) : "a store");
	if (rc != 0)
		return 0;
	disk = sim_alloc(block_count(r) * MODEL_BLOCK);
	unreadable = sim_alloc(block_count(r));
	read_blocks(r, disk, unreadable);
	for (i = 0; i < block_count(r); i++)
		if (unreadable[i] != r->looked_unreadable[i] ||
		    (!unreadable[i] &&
		     memcmp(disk + i * MODEL_BLOCK, r->looked + i * MODEL_BLOCK,
			    block_len(r, i)) != 0))
			break;
	free(disk);
	free(unreadable);
	if (i < block_count(r) && run_struck(r).faults == before->faults)
		return oracle_broken(&r->o, "read-only", "block %llu is another "
				     "than it was for reading only",
				     (unsigned long long)i);
	return 0;
}

void run_look_done(struct run *r)
{
	free(r->looked);
	free(r->looked_unreadable);
	r->looked = r->looked_unreadable = NULL;
}
