/*
 * sweep.c - see sweep.h.
 */
#include "tests/lab/sweep.h"
#include "tests/lab/nonce_audit.h"
#include "tests/lab/simimage.h"
#include "tests/lab/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHY 600
#define SHOWN_MAX 20	/* failures told in full */
/* In one of so many recoveries the second level goes on behind the opening, into
 * the work and the checkpoint that follow. By the seed: a replay does the same. */
#define BEYOND 4

/* A world under the sweep, and the cut it came out of. */
struct sweep_run {
	struct sweep *s;
	struct world *w;
	uint64_t begun;
	int level;
	const struct sweep_run *above;
	struct cut_id cut;	/* the one that is being tried here */
};

static void print_path(const struct sweep_run *r, char *text, size_t len)
{
	char one[CUT_TEXT_BYTES];
	size_t n;

	if (r->above != NULL)
		print_path(r->above, text, len);
	else
		snprintf(text, len, "%s", r->s->name);
	n = strlen(text);
	cut_print(&r->cut, one);
	snprintf(text + n, len - n, ":%s", one);
}

static void tell(struct sweep *s, const char *id, const char *why)
{
	if (atomic_fetch_add(&s->totals->failed, 1) >= SHOWN_MAX)
		return;
	printf("FAILED %s\n       %s\n", id, why);
	fflush(stdout);
}

void sweep_fault(struct sweep *s, const char *why)
{
	tell(s, s->name, why);
}

static struct sweep_run *begin(struct sweep *s, struct world *w,
			       const struct sweep_run *above);

/* The last step of a life after a cut: in turn a clean end, a power cut that
 * loses whatever is not durable, and a death. */
static int end_life(struct world *w, uint64_t seed, char *why)
{
	static const enum sim_variant nothing[SIM_SIDES] = { SIM_DROP_ALL,
							      SIM_DROP_ALL };
	int rc;

	switch (seed % 3) {
	case 0:
		rc = world_close(w);
		if (rc != 0) {
			snprintf(why, WHY, "closing after the cut gave %s [%.300s]",
				 lbs_error_word(rc), w->log_text);
			return -1;
		}
		world_cut_sides(w, nothing, seed);
		return 0;
	case 1:
		world_cut_sides(w, nothing, seed);
		return 0;
	}
	world_cut(w, SIM_KEEP_ALL, seed);
	return 0;
}

static int open_and_check(struct world *w, const char *when, char *why)
{
	char text[400];
	int rc = world_open(w, 0);

	if (rc != 0)
		snprintf(why, WHY, "opening %s gave %s [%.300s]", when,
			 lbs_error_word(rc), w->log_text);
	else if (world_check(w, text, sizeof(text)) < 0)
		snprintf(why, WHY, "%s: %.300s [%.200s]", when, text, w->log_text);
	else
		return 0;
	return -1;
}

/* Recovers, looks, goes on, ends, and recovers once more. watch: the second
 * level, or NULL. */
static int live_on(struct world *w, const struct cut_id *c,
		   struct sweep_run **watch, int beyond, char *why)
{
	uint64_t repeats = nonce_audit_repeats();
	int rc;

	if (open_and_check(w, "after the cut", why) < 0)
		return -1;
	if (!beyond) {
		sweep_end(*watch);
		*watch = NULL;
	}
	rc = workload_go_on(w);
	if (rc == 0 && beyond)
		rc = lbs_store_checkpoint(w->store);
	sweep_end(*watch);
	*watch = NULL;
	if (rc != 0) {
		snprintf(why, WHY, "working after the cut gave %s [%.300s]",
			 lbs_error_word(rc), w->log_text);
		return -1;
	}
	if (world_stat(w, LBS_STAT_INTEGRITY_ERRORS) != 0) {
		snprintf(why, WHY, "blocks that do not authenticate were met");
		return -1;
	}
	if (end_life(w, c->seed, why) < 0 ||
	    open_and_check(w, "once more", why) < 0)
		return -1;
	if (nonce_audit_repeats() != repeats)
		snprintf(why, WHY, "a (key, nonce) pair was sealed twice");
	else if (simdisk_torn_pages(w->disk) != 0)
		snprintf(why, WHY, "a page of the card with synced bytes was "
			 "written again");
	else
		return 0;
	return -1;
}

void sweep_account(struct sweep *s, const struct cut_id *c, int level)
{
	struct sweep_totals *t = s->totals;

	atomic_fetch_add(&t->cuts, 1);
	if (level > 0)
		atomic_fetch_add(&t->second_cuts, 1);
	if (c->kill)
		atomic_fetch_add(&t->kills, 1);
	else
		atomic_fetch_add(&t->sides[c->side[SIM_CARD]]
					  [c->side[SIM_FLASH]], 1);
}

static void try_cut(struct sweep_run *r)
{
	struct sweep *s = r->s;
	struct world *w = world_clone(r->w);
	struct sweep_run *watch = NULL;
	int beyond = r->cut.seed % BEYOND == 0;
	char why[WHY] = "";

	if (s->at != NULL)
		print_path(r, s->at, s->at_len);
	cut_apply(w, &r->cut);
	if (r->level + 1 < s->levels)
		watch = begin(s, w, r);
	if (live_on(w, &r->cut, &watch, beyond, why) < 0) {
		char id[300];

		print_path(r, id, sizeof(id));
		tell(s, id, why);
	}
	sweep_end(watch);
	sweep_account(s, &r->cut, r->level);
	world_free(w);
}

/* The machine stands before its next tick. */
static void on_tick(void *ctx)
{
	struct sweep_run *r = ctx;
	struct sweep *s = r->s;
	uint64_t tick = simdisk_ticks(r->w->disk) - r->begun + 1;
	uint64_t salt = sim_mix(s->salt, (uint64_t)r->level);
	struct cut_id list[CUTS_PER_TICK];
	int n, i;

	if (s->only != NULL) {
		if (r->level >= s->only_count || s->only[r->level].tick != tick)
			return;
		r->cut = s->only[r->level];
		try_cut(r);
		return;
	}
	if (s->stop && s->totals->failed != 0)
		return;
	if (r->above != NULL)
		salt = sim_mix(salt, r->above->cut.seed);
	else if (s->parts > 1 && tick % s->parts != s->part)
		return;
	n = cut_list(r->w->disk, tick, salt, s->draws[r->level], list);
	atomic_fetch_add(&s->totals->ticks, 1);
	for (i = 0; i < n; i++) {
		r->cut = list[i];
		try_cut(r);
	}
}

static struct sweep_run *begin(struct sweep *s, struct world *w,
			       const struct sweep_run *above)
{
	struct sweep_run *r = sim_alloc(sizeof(*r));

	r->s = s;
	r->w = w;
	r->begun = simdisk_ticks(w->disk);
	r->above = above;
	r->level = above == NULL ? 0 : above->level + 1;
	simdisk_watch(w->disk, on_tick, r);
	return r;
}

struct sweep_run *sweep_begin(struct sweep *s, struct world *w)
{
	return begin(s, w, NULL);
}

void sweep_end(struct sweep_run *r)
{
	if (r == NULL)
		return;
	simdisk_watch(r->w->disk, NULL, NULL);
	free(r);
}
