/*
 * rough.c - see rough.h.
 */
#include "tests/lab/rough.h"
#include "tests/lab/script.h"
#include "tests/lab/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fault(struct rough *r, const char *what, int rc)
{
	snprintf(r->why, sizeof(r->why), "%s gave %s [%.300s]", what,
		 rc == 1 ? "wrong bytes" : rc == 0 ? "ok" : lbs_error_word(rc),
		 r->w->log_text);
	return -1;
}

static int is_allowed(const struct rough *r, int rc)
{
	return rc == LBS_EFAILED || (rc < 0 && rc > -32 &&
				     r->codes & ROUGH_CODE(rc));
}

/* Open. */
static struct world *lived(int which, const char *letters)
{
	struct world *w = script_store(which, script_shape);
	int rc = w == NULL ? -1 : world_open(w, 0);

	for (; rc == 0 && *letters != '\0'; letters++)
		rc = script_step(w, *letters);
	if (rc != 0) {
		printf("FAILED a store to begin with could not be made\n");
		exit(1);
	}
	return w;
}

struct world *rough_lived(int which, const char *letters)
{
	struct world *w = lived(which, letters);

	world_close(w);
	return w;
}

struct world *rough_base(enum rough_base which)
{
	static const enum sim_variant card_only[SIM_SIDES] = {
		SIM_KEEP_ALL, SIM_DROP_ALL
	};
	struct world *w;

	switch (which) {
	case ROUGH_CLOSED:
		return rough_lived(SCRIPT_NEW, "wbcdpf");
	case ROUGH_KILLED:
		w = lived(SCRIPT_NEW, "wbcdpfbz");
		world_cut(w, SIM_KEEP_ALL, 4);
		return w;
	default:
		w = lived(SCRIPT_ZIP, "bfckwpz");
		world_cut_sides(w, card_only, 4);
		return w;
	}
}

int rough_made(struct rough *r, int rc, unsigned how)
{
	struct world *w = r->w;

	if (rc != 0) {
		if (!is_allowed(r, rc) || rc == LBS_EFAILED)
			return fault(r, "making", rc);
		r->errors++;
		simdisk_clear_faults(w->disk);
		world_cut(w, SIM_KEEP_ALL, 4);
		if (!simdisk_exists(w->disk, SIM_FLASH, WORLD_META))
			return 0;
		rc = world_open(w, 0);
		if (rc == LBS_ENOTSTORE || rc == LBS_ECARDMISSING ||
		    rc == LBS_ENOENT)
			return 0;
		if (rc != 0)
			return fault(r, "opening what was left", rc);
	}
	return rough_aftermath(r, how);
}

int rough_open(struct rough *r, unsigned flags)
{
	int rc = world_open(r->w, flags);

	r->stopped = 0;
	if (rc == 0)
		return 0;
	r->errors++;
	if (!is_allowed(r, rc) || rc == LBS_EFAILED)
		return fault(r, "opening", rc);
	return 1;
}

/* The first word of an error that model_check tells when a read failed. */
#define UNREADABLE "reading"

int rough_settle(struct rough *r)
{
	int i;

	for (i = 0; i < 3; i++) {
		if (world_check(r->w, r->why, sizeof(r->why)) == 0)
			return 0;
		if (strncmp(r->why, UNREADABLE, strlen(UNREADABLE)) != 0)
			return -1;
		r->errors++;
	}
	return 1;
}

/* After an error: has the store stopped? 1 when a flush works, so all that was
 * acknowledged is durable. */
static int look_whether_stopped(struct rough *r)
{
	int rc, i;

	for (i = 0; i < 4; i++) {
		rc = lbs_vdisk_flush(r->w->vdisk);
		if (rc == 0)
			return 1;
		if (!is_allowed(r, rc))
			return fault(r, "a flush after an error", rc);
		if (rc == LBS_EFAILED) {
			r->stopped = 1;
			return 0;
		}
	}
	/* Fails each time anew and stops nothing: still nothing is lost. */
	return 0;
}

/* What came of a request that changes something; issued: the model has it. */
static int answered(struct rough *r, char letter, int issued, int rc)
{
	char what[40];
	int flushed = 0;

	if (rc == 0 && !r->stopped)
		return 0;
	snprintf(what, sizeof(what), "request '%c'%s", letter,
		 r->stopped ? " of a stopped store" : "");
	if (rc == 0 || !is_allowed(r, rc))
		return fault(r, what, rc);
	r->errors++;
	if (!r->stopped) {
		flushed = look_whether_stopped(r);
		if (flushed < 0)
			return -1;
		/* Stopped by this one: it may be there or not. */
		if (r->stopped)
			return 0;
	}
	if (issued && rc != LBS_ENOSPC)
		model_refused(r->w->model);
	if (flushed)
		model_flushed(r->w->model);
	return 0;
}

int rough_read(struct rough *r)
{
	uint64_t size = r->w->shape.vdisk_bytes, at, n;
	int rc;

	for (at = 0; at < size; at += n) {
		n = size - at < 5 * MODEL_BLOCK ? size - at : 5 * MODEL_BLOCK;
		rc = world_read(r->w, at, (size_t)n);
		if (rc != 0 && !is_allowed(r, rc))
			return fault(r, "a read", rc);
		r->errors += rc != 0;
	}
	return 0;
}

int rough_work(struct rough *r, const char *letters)
{
	uint64_t issued;
	int rc;

	for (; *letters != '\0'; letters++) {
		issued = model_issued(r->w->model);
		rc = script_step(r->w, *letters);
		if (answered(r, *letters, model_issued(r->w->model) != issued,
			     rc) < 0)
			return -1;
		/* A stopped store shows a request that failed half-way or not;
		 * only reopening settles it. */
		if (!r->stopped && rough_read(r) < 0)
			return -1;
	}
	return 0;
}

int rough_close(struct rough *r)
{
	int rc;

	if (r->w->store == NULL)
		return 0;
	rc = world_close(r->w);
	r->errors += rc != 0;
	return rc == 0 || is_allowed(r, rc) ? 0 : fault(r, "closing", rc);
}

static int open_and_check(struct rough *r, const char *when)
{
	char text[400];
	int rc = world_open(r->w, 0);

	if (rc != 0)
		return fault(r, when, rc);
	if (world_check(r->w, text, sizeof(text)) == 0)
		return 0;
	snprintf(r->why, sizeof(r->why), "%s: %s", when, text);
	return -1;
}

int rough_aftermath(struct rough *r, unsigned how)
{
	static const enum sim_variant nothing[SIM_SIDES] = { SIM_DROP_ALL,
							      SIM_DROP_ALL };
	struct world *w = r->w;
	int rc;

	simdisk_clear_faults(w->disk);
	switch (how % 3) {
	case 0:
		rc = w->store != NULL ? world_close(w) : 0;
		if (rc != 0 && rc != LBS_EFAILED)
			return fault(r, "closing, nothing failing", rc);
		break;
	case 1:
		world_cut(w, SIM_KEEP_ALL, 3);
		break;
	default:
		world_cut_sides(w, nothing, 4);
	}
	if (open_and_check(r, "opening once nothing fails") < 0)
		return -1;
	rc = workload_go_on(w);
	if (rc != 0)
		return fault(r, "working once nothing fails", rc);
	world_cut_sides(w, nothing, 4);
	return open_and_check(r, "opening after a cut once nothing fails");
}
