/*
 * script.c - see script.h.
 */
#include "tests/lab/script.h"

#include <string.h>

#define KIB 1024u
#define BLOCK MODEL_BLOCK

const char script_letters[] = "wapbdzfcrk";

const struct world_shape script_shape = {
	.vdisk_bytes = 24 * BLOCK + 3 * 512,
	.capacity_bytes = 80 * 64 * KIB,
	.segment_bytes = 64 * KIB,
	.chunk_bytes = 1024 * KIB,
	.checkpoint_log_bytes = 128 * KIB,
	.sync_bytes = 64 * KIB,
	.fill_ahead_bytes = 64 * KIB,
};

const char *const script_store_names[SCRIPT_STORES] = { "new", "worn", "zip" };

/* Writes until every segment has been used, then leaves some data. */
static int wear_out(struct world *w)
{
	uint64_t segments = w->shape.capacity_bytes / w->shape.segment_bytes;
	uint64_t i;
	int rc = world_open(w, 0);

	/* A "b" takes at least one segment, compressed perhaps a third of one, and
	 * checkpoints free them. */
	if (w->shape.compress)
		segments *= 3;
	for (i = 0; rc == 0 && i < segments + 4; i++)
		rc = script_step(w, 'b');
	if (rc == 0)
		rc = script_step(w, 'd');
	return rc == 0 ? world_close(w) : rc;
}

struct world *script_store(int which, struct world_shape shape)
{
	struct world *w;
	int rc;

	if (which == SCRIPT_ZIP)
		shape.compress = LBS_COMPRESS_ZSTD;
	w = world_new(&shape);
	rc = world_create(w);
	if (rc == 0 && which != SCRIPT_NEW)
		rc = wear_out(w);
	if (rc == 0)
		return w;
	world_free(w);
	return NULL;
}

static int reopen(struct world *w, int die)
{
	char why[400];
	int rc = 0;

	if (die)
		world_cut(w, SIM_KEEP_ALL, 0);
	else
		rc = world_close(w);
	if (rc == 0)
		rc = world_open(w, 0);
	if (rc == 0 && world_check(w, why, sizeof(why)) < 0)
		rc = 1;
	return rc;
}

int script_step(struct world *w, char letter)
{
	switch (letter) {
	case 'w':
		return world_write(w, 3 * BLOCK, 2 * BLOCK, 0);
	case 'a':
		return world_write(w, 4 * BLOCK, 2 * BLOCK, LBS_FUA);
	case 'p':
		return world_write(w, 4 * BLOCK + 700, 5000, 0);
	case 'b':
		return world_write(w, 2 * BLOCK + 512, 86 * KIB, 0);
	case 'd':
		return world_discard(w, 3 * BLOCK + 1, 6 * BLOCK, 0);
	case 'z':
		return world_zero(w, 4 * BLOCK - 100, 9000, 0);
	case 'f':
		return world_flush(w);
	case 'c':
		return lbs_store_checkpoint(w->store);
	case 'r':
		return reopen(w, 0);
	case 'k':
		return reopen(w, 1);
	}
	return LBS_EINVAL;
}
