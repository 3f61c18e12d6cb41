/*
 * io_error_test.c - every read, write, truncation, sync and unlink of card and
 * internal flash fails, one at a time and from one on for ever: while a store is
 * made, opened and worked with. It opens or refuses with "io", reads give the
 * truth or an error, and once nothing fails any more it opens with everything that
 * was acknowledged (promises 1 to 4, 6; the state "failed").
 * Must never count a trial in which nothing failed.
 *
 *   io_error_test [--stop] [--every N] [--json FILE] [--replay ID]
 *
 * A failure prints an ID, PHASE:SIDE:OP:NUMBER:TIMES:FLAVOUR, that --replay runs
 * again. The last line is "N trials, N failed".
 */
#include "tests/lab/nonce_audit.h"
#include "tests/lab/rough.h"
#include "tests/lab/script.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The log goes over segments' ends and through two checkpoints. */
#define WORK "wapbdzfbcpwzafdbbf"

enum phase { CREATING, OPENING_CLOSED, OPENING_KILLED, OPENING_CUT,
	     OPENING_RDONLY, WORKING, WORKING_WORN, PHASES };
static const char *const phase_names[PHASES] = {
	"create", "open-closed", "open-killed", "open-cut", "open-read-only",
	"work", "work-worn",
};
static const char *const side_names[SIM_SIDES] = { "card", "flash" };
static const char *const op_names[SIM_OPS] = {
	"read", "create", "write", "truncate", "sync", "sync-dir", "unlink",
};

struct trial {
	enum phase phase;
	enum sim_side side;
	enum sim_op op;
	unsigned number, times, flavour;
};

static struct world *bases[PHASES];
static int stop;	/* at the first failure */
static unsigned every = 1;	/* one number in so many */
static unsigned long trials, failed, refused, errors, by_op[SIM_SIDES][SIM_OPS];

static void print_id(const struct trial *t, char *text, size_t len)
{
	snprintf(text, len, "%s:%s:%s:%u:%u:%u", phase_names[t->phase],
		 side_names[t->side], op_names[t->op], t->number, t->times,
		 t->flavour);
}

static void make_bases(void)
{
	bases[OPENING_CLOSED] = rough_base(ROUGH_CLOSED);
	bases[OPENING_KILLED] = rough_base(ROUGH_KILLED);
	bases[OPENING_CUT] = rough_base(ROUGH_CUT);
	bases[OPENING_RDONLY] = rough_base(ROUGH_KILLED);
	bases[WORKING] = rough_lived(SCRIPT_NEW, "");
	bases[WORKING_WORN] = rough_lived(SCRIPT_WORN, "w");
}

/* ---- one trial --------------------------------------------------------------- */

static void set_fault(const struct trial *t, struct world *w)
{
	unsigned flags = 0;

	if (t->flavour && t->op == SIM_WRITE)
		flags = SIM_FAULT_PARTIAL;
	if (t->flavour && t->op == SIM_SYNC)
		flags = SIM_FAULT_DROP;
	simdisk_fault(w->disk, t->side, t->op, t->number, t->times, EIO, flags);
}

static int try_creating(const struct trial *t, struct rough *r)
{
	set_fault(t, r->w);
	return rough_made(r, world_create(r->w), t->number);
}

static int try_opening(const struct trial *t, struct rough *r)
{
	int rdonly = t->phase == OPENING_RDONLY, rc;
	uint64_t ticks = simdisk_ticks(r->w->disk);

	set_fault(t, r->w);
	rc = rough_open(r, rdonly ? LBS_RDONLY : 0);
	refused += rc == 1;
	/* After a cut the log may end anywhere behind the flush; but what is only
	 * looked at is no more durable for it. */
	if (rc == 0)
		rc = rdonly ? rough_read(r) : rough_settle(r);
	if (rc == 0 && !rdonly)
		rc = rough_work(r, "wpf");
	if (rc == 0 || rc == 1)
		rc = rough_close(r);
	if (rc == 0 && rdonly && simdisk_ticks(r->w->disk) != ticks) {
		snprintf(r->why, sizeof(r->why), "open for reading only, and "
			 "something was written");
		rc = -1;
	}
	return rc < 0 ? -1 : rough_aftermath(r, t->number);
}

static int try_working(const struct trial *t, struct rough *r)
{
	if (rough_open(r, 0) != 0)
		return -1;
	set_fault(t, r->w);
	if (rough_work(r, WORK) < 0)
		return -1;
	/* By its number: the failing goes on over the end, or not. */
	if (t->number % 2 == 0 && rough_close(r) < 0)
		return -1;
	return rough_aftermath(r, t->number / 2);
}

/* 1 if anything failed in it. */
static int run(const struct trial *t)
{
	struct rough r = { .codes = ROUGH_CODE(LBS_EIO) };
	uint64_t hits, repeats = nonce_audit_repeats();
	char id[100];
	int rc;

	nonce_audit_reset();
	r.w = t->phase == CREATING ? world_new(&script_shape)
				   : world_clone(bases[t->phase]);
	hits = simdisk_fault_hits(r.w->disk);
	rc = t->phase == CREATING  ? try_creating(t, &r)
	     : t->phase < WORKING ? try_opening(t, &r)
				  : try_working(t, &r);
	hits = simdisk_fault_hits(r.w->disk) - hits;
	if (rc == 0 && nonce_audit_repeats() != repeats) {
		snprintf(r.why, sizeof(r.why), "a (key, nonce) pair was sealed "
			 "twice");
		rc = -1;
	}
	world_free(r.w);
	if (rc < 0) {
		print_id(t, id, sizeof(id));
		printf("FAILED %s\n       %s\n", id, r.why);
		failed++;
	}
	if (hits != 0) {
		trials++;
		by_op[t->side][t->op]++;
		errors += (unsigned long)r.errors;
	}
	return hits != 0;
}

/* Every number of one operation, until it is not reached any more. */
static void sweep(struct trial t)
{
	t.number = (unsigned)t.op % every;
	while (!(stop && failed) && run(&t))
		t.number += every;
}

static void sweep_all(void)
{
	struct trial t;

	memset(&t, 0, sizeof(t));
	for (t.phase = 0; t.phase < PHASES; t.phase++)
		for (t.side = 0; t.side < SIM_SIDES; t.side++)
			for (t.op = 0; t.op < SIM_OPS; t.op++)
				for (t.times = 0; t.times < 2; t.times++)
					for (t.flavour = 0;
					     t.flavour < (t.op == SIM_WRITE ||
							  t.op == SIM_SYNC)
							 + 1u;
					     t.flavour++)
						sweep(t);
}

/* ---- the whole ---------------------------------------------------------------- */

static int find(const char *const *names, int count, const char *name)
{
	int i;

	for (i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

static int replay(const char *id)
{
	char phase[32], side[16], op[16];
	struct trial t;
	int p, s, o;

	if (sscanf(id, "%31[^:]:%15[^:]:%15[^:]:%u:%u:%u", phase, side, op,
		   &t.number, &t.times, &t.flavour) != 6)
		return -1;
	p = find(phase_names, PHASES, phase);
	s = find(side_names, SIM_SIDES, side);
	o = find(op_names, SIM_OPS, op);
	if (p < 0 || s < 0 || o < 0)
		return -1;
	t.phase = (enum phase)p;
	t.side = (enum sim_side)s;
	t.op = (enum sim_op)o;
	run(&t);
	return 0;
}

static void write_json(const char *path)
{
	FILE *f = fopen(path, "w");
	int side, op;

	if (f == NULL) {
		printf("FAILED %s cannot be written\n", path);
		exit(1);
	}
	fprintf(f, "{\"suite\": \"io-error\", \"trials\": %lu, \"refused\": %lu, "
		"\"errors\": %lu, \"failed\": %lu, \"by\": {", trials, refused,
		errors, failed);
	for (side = 0; side < SIM_SIDES; side++)
		for (op = 0; op < SIM_OPS; op++)
			fprintf(f, "%s\"%s %s\": %lu", side + op ? ", " : "",
				side_names[side], op_names[op], by_op[side][op]);
	fprintf(f, "}}\n");
	fclose(f);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "stop", no_argument, NULL, 'x' },
		{ "every", required_argument, NULL, 'e' },
		{ "json", required_argument, NULL, 'J' },
		{ "replay", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	const char *id = NULL, *json = NULL;
	int opt, phase, op;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'x')
			stop = 1;
		else if (opt == 'e' && atoi(optarg) > 0)
			every = (unsigned)atoi(optarg);
		else if (opt == 'J')
			json = optarg;
		else if (opt == 'r')
			id = optarg;
		else
			return 2;
	}
	make_bases();
	if (id == NULL) {
		sweep_all();
		for (op = 0; op < SIM_OPS; op++)
			printf("%s: %lu on the card, %lu on internal flash\n",
			       op_names[op], by_op[SIM_CARD][op],
			       by_op[SIM_FLASH][op]);
		printf("%lu openings were refused, %lu answers were errors\n",
		       refused, errors);
	} else if (replay(id) < 0) {
		fprintf(stderr, "io_error_test: %s is not an ID\n", id);
		return 2;
	}
	for (phase = 0; phase < PHASES; phase++)
		world_free(bases[phase]);
	if (json != NULL)
		write_json(json);
	printf("%lu trials, %lu failed\n", trials, failed);
	return failed == 0 && trials != 0 ? 0 : 1;
}
