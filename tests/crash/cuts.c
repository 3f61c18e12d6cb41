/*
 * cuts.c - the workloads of crash_test, each cut under a sweep that is given, and a look
 * at each uncut: a workload that is not what it should be fails the suite.
 */
#include "tests/crash/crash.h"
#include "tests/lab/nonce_audit.h"
#include "tests/lab/simimage.h"
#include "tests/lab/workload.h"

#include <stdio.h>
#include <string.h>

/* One data key each; long_stores by seed, 0: the one to shrink. */
static struct world *stores[SCRIPT_STORES], *long_stores[8];

/* Of a store and requests that this seed begins with. */
static struct world *long_store(uint64_t seed)
{
	struct world_shape shape = workload_shape;
	struct world *w;
	int rc;

	/* The second seed and every third from there has a card that is too
	 * small, the third and every third anchors at checkpoints only. */
	if (seed % 3 == 2)
		shape.capacity_bytes = WORKLOAD_TIGHT_BYTES;
	if (seed % 3 == 0)
		shape.freshness = LBS_FRESHNESS_CHECKPOINT;
	if (seed == LONG_LZ4)
		shape.compress = LBS_COMPRESS_LZ4;
	if (seed == LONG_ZSTD)
		shape.compress = LBS_COMPRESS_ZSTD;
	w = world_new(&shape);
	rc = world_create(w);
	if (rc != 0)
		fatal("the store could not be made: %s [%s]", lbs_error_word(rc),
		      w->log_text);
	return w;
}

void cut_long(struct sweep *s, uint64_t seed)
{
	struct world *w = world_clone(long_stores[seed]);
	struct sweep_run *run = sweep_begin(s, w);
	char why[WHY];

	if (workload_run(w, seed, NULL, why, sizeof(why)) != WORKLOAD_DONE)
		sweep_fault(s, why);
	sweep_end(run);
	world_free(w);
}

/* ---- chunk files given back ------------------------------------------------ */

static struct world *shrink_store(void)
{
	struct world *w = world_new(&workload_wide_shape);
	int rc = world_create(w);

	if (rc == 0)
		rc = world_open(w, 0);
	if (rc == 0)
		rc = workload_spread(w);
	if (rc == 0)
		rc = world_close(w);
	if (rc != 0)
		fatal("the store to shrink could not be made: %s [%s]",
		      lbs_error_word(rc), w->log_text);
	return w;
}

/* The guest goes on meanwhile. */
static int beside_shrinking(void *ctx, uint64_t done, uint64_t total)
{
	struct world *w = ctx;
	uint64_t at = sim_mix(done, total) % 290 * MODEL_BLOCK;

	return world_write(w, at, 2 * MODEL_BLOCK, done % 3 ? 0 : LBS_FUA) != 0;
}

static int shrink_it(struct world *w)
{
	int rc = world_open(w, 0);

	if (rc == 0)
		rc = lbs_store_clean(w->store, LBS_CLEAN_SHRINK,
				     beside_shrinking, w);
	/* What was given back comes again when it is needed. */
	for (int i = 0; rc == 0 && i < 3; i++)
		rc = workload_go_on(w);
	return rc == 0 ? world_close(w) : rc;
}

void cut_shrink(struct sweep *s)
{
	struct world *w = world_clone(long_stores[0]);
	struct sweep_run *run = sweep_begin(s, w);

	if (shrink_it(w) != 0 && !simdisk_is_off(w->disk))
		sweep_fault(s, w->log_text);
	sweep_end(run);
	world_free(w);
}

/* A sequence is cut in its last letter only, and the opening before it in the
 * sequence of none. */
void cut_script(struct sweep *s, int store, const char *letters)
{
	struct world *w = world_clone(stores[store]);
	struct sweep_run *run = NULL;
	size_t i, n = strlen(letters);
	char why[WHY];
	int rc;

	if (n == 0)
		run = sweep_begin(s, w);
	rc = world_open(w, 0);
	for (i = 0; rc == 0 && i < n; i++) {
		if (i + 1 == n)
			run = sweep_begin(s, w);
		rc = script_step(w, letters[i]);
	}
	sweep_end(run);
	if (rc != 0) {
		snprintf(why, sizeof(why), "uncut, letter %zu gave %s [%.200s]", i,
			 rc == 1 ? "wrong bytes" : lbs_error_word(rc),
			 w->log_text);
		sweep_fault(s, why);
	}
	world_free(w);
}

/* ---- cuts while a store is made ------------------------------------------- */

struct creation {
	struct sweep *s;
	struct world *w;
};

/* Either nothing usable is there, or a whole, empty store. */
static int judge_created(struct world *w, char *why)
{
	char text[400] = "";
	int rc;

	if (!simdisk_exists(w->disk, SIM_FLASH, WORLD_META))
		return 0;
	rc = world_open(w, 0);
	switch (rc) {
	case 0:
		rc = world_check(w, text, sizeof(text));
		if (rc == 0)
			rc = workload_go_on(w);
		if (rc == 0)
			rc = world_close(w);
		if (rc != 0)
			snprintf(why, WHY, "half made, and open: %.300s [%.200s]",
				 text, w->log_text);
		return rc;
	case LBS_ENOENT:
	case LBS_ENOTSTORE:
	case LBS_ECARDMISSING:
	case LBS_EOTHERCARD:
		return 0;
	default:
		snprintf(why, WHY, "opening what was left gave %s [%.300s]",
			 lbs_error_word(rc), w->log_text);
		return -1;
	}
}

static void cut_creation(void *ctx)
{
	struct creation *c = ctx;
	uint64_t tick = simdisk_ticks(c->w->disk) + 1;
	struct cut_id list[CUTS_PER_TICK];
	char id[ID_BYTES], why[WHY] = "";
	struct world *w;
	int n, i;

	if (c->s->only != NULL && c->s->only[0].tick != tick)
		return;
	n = cut_list(c->w->disk, tick, c->s->salt, c->s->draws[0], list);
	if (c->s->only != NULL) {
		list[0] = c->s->only[0];
		n = 1;
	}
	for (i = 0; i < n; i++) {
		w = world_clone(c->w);
		cut_apply(w, &list[i]);
		cut_print(&list[i], id);
		if (judge_created(w, why) != 0) {
			printf("FAILED create:%s\n       %s\n", id, why);
			atomic_fetch_add(&shared->totals.failed, 1);
		}
		sweep_account(c->s, &list[i], 0);
		world_free(w);
	}
}

void cut_create(struct sweep *s)
{
	struct creation c = { s, world_new(&workload_shape) };

	simdisk_watch(c.w->disk, cut_creation, &c);
	if (world_create(c.w) != 0)
		sweep_fault(s, "the store could not be made");
	simdisk_watch(c.w->disk, NULL, NULL);
	world_free(c.w);
}

/* ---- that the workloads are what they should be ----------------------------- */

void look_at_long(uint64_t seed)
{
	struct world *w = world_clone(long_stores[seed]);
	struct workload_seen s;
	char why[WHY];

	memset(&s, 0, sizeof(s));
	nonce_audit_reset();
	if (workload_run(w, seed, &s, why, sizeof(why)) != WORKLOAD_DONE)
		fatal("long-%llu, uncut: %s", (unsigned long long)seed, why);
	world_free(w);
	printf("long-%llu: %llu requests, %llu ticks, %llu segments of log, "
	       "%llu checkpoints, %llu segments used again, %llu reopenings "
	       "(%llu after SIGKILL), %llu refused, %llu blocks moved out of %llu "
	       "segments\n",
	       (unsigned long long)seed, (unsigned long long)s.requests,
	       (unsigned long long)s.ticks, (unsigned long long)s.log_segments,
	       (unsigned long long)s.checkpoints, (unsigned long long)s.reuses,
	       (unsigned long long)s.sessions, (unsigned long long)s.deaths,
	       (unsigned long long)s.refusals, (unsigned long long)s.moved,
	       (unsigned long long)s.cleaned);
	if (seed % 3 == 2 && s.refusals == 0)
		fatal("the small card was never full");
	/* The small card with compression has little to clean. */
	if (seed == LONG_ZSTD ? s.cleaned < 2 || s.moved < 8
			      : s.cleaned < 8 || s.moved < 40)
		fatal("the cleaner must have worked");
	if (s.log_segments < 3 || s.checkpoints < 2 || s.reuses < 1 ||
	    s.deaths < 1)
		fatal("the workload must cross three segments and two "
		      "checkpoints and use a segment again");
	atomic_fetch_add(&shared->workloads, 1);
}

void look_at_shrink(void)
{
	struct world *w = world_clone(long_stores[0]);
	uint64_t ticks = simdisk_ticks(w->disk), used, given;

	nonce_audit_reset();
	used = simdisk_used(w->disk, SIM_CARD);
	if (shrink_it(w) != 0)
		fatal("shrink, uncut: %s", w->log_text);
	given = used - simdisk_used(w->disk, SIM_CARD);
	printf("shrink: %llu ticks, %llu of %llu KiB given back\n",
	       (unsigned long long)(simdisk_ticks(w->disk) - ticks),
	       (unsigned long long)given >> 10, (unsigned long long)used >> 10);
	if (given < 3 * w->shape.chunk_bytes)
		fatal("shrinking must give back three chunk files");
	world_free(w);
	atomic_fetch_add(&shared->workloads, 1);
}

/* Every segment that the worn store has made room for was written by the log. */
static void look_at_worn(struct world *w)
{
	uint64_t per_chunk = w->shape.chunk_bytes / w->shape.segment_bytes;
	uint64_t segments = w->shape.capacity_bytes / w->shape.segment_bytes, i;
	char name[MEDIUM_NAME_BYTES];
	uint8_t magic[8];

	for (i = 0; i < segments; i++) {
		medium_file_name((uint32_t)(i / per_chunk), name);
		if (simdisk_peek(w->disk, SIM_CARD, name, magic, sizeof(magic),
				 i % per_chunk * w->shape.segment_bytes) < 0)
			break;
		if (memcmp(magic, "LBSseg1", 8) != 0)
			fatal("segment %llu of the worn store was never used",
			      (unsigned long long)i);
	}
	if (i < 3)
		fatal("the worn store has no segments");
}

void crash_make_stores(void)
{
	unsigned i;

	for (i = 0; i < SCRIPT_STORES; i++) {
		stores[i] = script_store((int)i, script_shape);
		if (stores[i] == NULL)
			fatal("the store \"%s\" could not be made",
			      script_store_names[i]);
	}
	look_at_worn(stores[SCRIPT_WORN]);
	look_at_worn(stores[SCRIPT_ZIP]);
	long_stores[0] = shrink_store();
	for (i = 1; i <= effort->long_seeds; i++)
		long_stores[i] = long_store(i);
}
