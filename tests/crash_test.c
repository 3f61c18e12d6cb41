/*
 * crash_test.c - power is cut at every single write and sync, of card and
 * internal flash on one clock, in every way of tests/lab/cut.h; and again at every
 * one of the recovery that follows. After each: promises 1 to 4 and 6 against the
 * model, and no (key, nonce) pair sealed twice (promise 8).
 * Must never count a cut that did not happen, nor pass when a workload was not
 * what it should be.
 *
 *   crash_test [--quick | --few] [--stop] [--jobs N] [--json FILE] [--only WORKLOAD]
 *   crash_test --replay ID
 *
 * Four kinds of workloads: "create", the making of a store; "shrink", the giving
 * back of chunk files while the guest goes on; "long-N", 110 steps
 * of a guest by seed N; and "new-LETTERS", "worn-LETTERS" and "zip-LETTERS", all sequences of the
 * requests in tests/lab/script.h, each cut in its last letter (the letters before
 * it are a sequence of their own).
 * A failure prints an ID, WORKLOAD:TICK:VARIANT:SEED, with :TICK:VARIANT:SEED of a
 * second cut behind it; --replay ID runs that one again. The last line is
 * "N cuts, N failed".
 */
#include "tests/lab/nonce_audit.h"
#include "tests/lab/script.h"
#include "tests/lab/simimage.h"
#include "tests/lab/sweep.h"
#include "tests/lab/workload.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WHY 600
#define NAME_BYTES 32
#define ID_BYTES 300
#define JOBS_MAX 64

/* How much is tried. */
struct effort {
	unsigned long_seeds;
	uint64_t long_every;	/* of the ticks of a long workload, one in so many */
	uint64_t shrink_every;	/* the same of shrinking */
	int all_letters;	/* all sequences up to so many letters */
	int some_letters;	/* of those of so many letters, one in some_every */
	uint64_t some_every;
	int twice_letters;	/* second cuts in all sequences up to so many */
	uint64_t twice_every;	/* and in one of so many of the longer ones */
	int draws[SWEEP_LEVELS];
};

static const struct effort quick = {
	.long_seeds = 5, .long_every = 23, .shrink_every = 5, .all_letters = 2, .some_letters = 3,
	.some_every = 10, .twice_letters = 1, .twice_every = 40, .draws = { 2, 0 },
};
static const struct effort full = {
	.long_seeds = 5, .long_every = 1, .shrink_every = 1, .all_letters = 3, .some_letters = 4,
	.some_every = 4, .twice_letters = 2, .twice_every = 60, .draws = { 4, 0 },
};
/* For sanitizers. */
static const struct effort few = {
	.long_seeds = 5, .long_every = 101, .shrink_every = 7, .all_letters = 1, .some_letters = 2,
	.some_every = 2, .twice_letters = 0, .twice_every = 50, .draws = { 2, 0 },
};

/* Parts of a long workload, so that the jobs share it. */
#define LONG_PARTS 40
/* Seeds with compression: they are cut at one tick where the others are at four. */
#define LONG_LZ4 4
#define LONG_ZSTD 5

/* Shared by all processes. */
struct shared {
	struct sweep_totals totals;
	atomic_uint_fast64_t next;	/* unit that nobody has begun */
	atomic_uint_fast64_t workloads;
	char at[JOBS_MAX][ID_BYTES];	/* what each job is trying */
};

static struct shared *shared;
static const struct effort *effort;
static const char *only_workload;
static int stop, job;

/* What every job starts from: made before the fork, one data key each. */
static struct world *stores[SCRIPT_STORES];
static struct world *long_stores[8]; /* by seed; 0: the one to shrink */

static void __attribute__((format(printf, 1, 2), noreturn))
fatal(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("FAILED ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	exit(1);
}

static void sweep_of(struct sweep *s, const char *name, int levels)
{
	uint64_t salt = 0;
	const char *p;

	for (p = name; *p != '\0'; p++)
		salt = sim_mix(salt, (uint64_t)*p);
	memset(s, 0, sizeof(*s));
	s->name = name;
	s->salt = salt;
	s->totals = &shared->totals;
	s->levels = levels;
	s->draws[0] = effort->draws[0];
	s->draws[1] = effort->draws[1];
	s->stop = stop;
	s->at = shared->at[job];
	s->at_len = ID_BYTES;
}

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

/* ---- the workloads, each under a sweep that is given ---------------------- */

static void cut_long(struct sweep *s, uint64_t seed)
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

static void cut_shrink(struct sweep *s)
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
static void cut_script(struct sweep *s, const struct world *store,
		       const char *letters)
{
	struct world *w = world_clone(store);
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

static void cut_create(struct sweep *s)
{
	struct creation c = { s, world_new(&workload_shape) };

	simdisk_watch(c.w->disk, cut_creation, &c);
	if (world_create(c.w) != 0)
		sweep_fault(s, "the store could not be made");
	simdisk_watch(c.w->disk, NULL, NULL);
	world_free(c.w);
}

/* ---- units of work --------------------------------------------------------- */

static uint64_t power(uint64_t base, int exponent)
{
	return exponent == 0 ? 1 : base * power(base, exponent - 1);
}

/* Sequences of up to so many letters, of one store. */
static uint64_t sequences(int letters)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i <= letters; i++)
		n += power(SCRIPT_LETTERS, i);
	return n;
}

/* The sequence of a number: shorter ones first. */
static void spell(uint64_t number, char letters[SCRIPT_STEPS_MAX + 1])
{
	int n = 0, i;

	while (number >= power(SCRIPT_LETTERS, n))
		number -= power(SCRIPT_LETTERS, n++);
	for (i = 0; i < n; i++) {
		letters[i] = script_letters[number % SCRIPT_LETTERS];
		number /= SCRIPT_LETTERS;
	}
	letters[n] = '\0';
}

static int is_wanted(const char *name)
{
	return only_workload == NULL ||
	       strncmp(name, only_workload, strlen(only_workload)) == 0;
}

static void run_script(int store, uint64_t number)
{
	char letters[SCRIPT_STEPS_MAX + 1], name[NAME_BYTES];
	struct sweep s;
	uint64_t pick;
	int n, twice;

	spell(number, letters);
	n = (int)strlen(letters);
	pick = sim_mix(number, (uint64_t)store);
	/* With compression the code is the same but for frames: fewer. */
	if (store == SCRIPT_ZIP ? n >= effort->all_letters &&
					  pick % (4 * effort->some_every) != 0
				: n > effort->all_letters &&
					  pick % effort->some_every != 0)
		return;
	twice = n <= effort->twice_letters ||
		pick / effort->some_every % effort->twice_every == 0;
	snprintf(name, sizeof(name), "%s-%s", script_store_names[store], letters);
	if (!is_wanted(name))
		return;
	sweep_of(&s, name, twice ? 2 : 1);
	cut_script(&s, stores[store], letters);
	atomic_fetch_add(&shared->workloads, 1);
}

static void run_long(uint64_t seed, uint64_t part)
{
	char name[NAME_BYTES];
	struct sweep s;

	snprintf(name, sizeof(name), "long-%llu", (unsigned long long)seed);
	if (!is_wanted(name))
		return;
	sweep_of(&s, name, 1);
	s.parts = LONG_PARTS * effort->long_every;
	s.part = part * effort->long_every + seed % effort->long_every;
	cut_long(&s, seed);
}

static void run_shrink(uint64_t part)
{
	struct sweep s;

	if (!is_wanted("shrink"))
		return;
	sweep_of(&s, "shrink", 1);
	s.parts = LONG_PARTS * effort->shrink_every;
	s.part = part * effort->shrink_every;
	cut_shrink(&s);
}

static void run_create(void)
{
	struct sweep s;

	if (!is_wanted("create"))
		return;
	sweep_of(&s, "create", 1);
	cut_create(&s);
	atomic_fetch_add(&shared->workloads, 1);
}

/* Parts of the long workloads of all seeds: a quarter of those with compression. */
static uint64_t long_units(void)
{
	return (LONG_LZ4 - 1) * LONG_PARTS +
	       (effort->long_seeds + 1 - LONG_LZ4) * LONG_PARTS / 4;
}

static void run_long_unit(uint64_t unit)
{
	uint64_t plain = (LONG_LZ4 - 1) * LONG_PARTS;

	if (unit < plain)
		run_long(1 + unit / LONG_PARTS, unit % LONG_PARTS);
	else
		run_long(LONG_LZ4 + (unit - plain) / (LONG_PARTS / 4),
			 (unit - plain) % (LONG_PARTS / 4));
}

/* Units: the making, the parts of the long workloads, the sequences. */
static uint64_t unit_count(void)
{
	return 1 + LONG_PARTS + long_units() +
	       SCRIPT_STORES * sequences(effort->some_letters);
}

static void run_unit(uint64_t unit)
{
	uint64_t longs = LONG_PARTS + long_units();

	/* One store's history, with all the ways it might have gone on. */
	nonce_audit_reset();
	if (unit == 0)
		run_create();
	else if (unit <= LONG_PARTS)
		run_shrink(unit - 1);
	else if (unit <= longs)
		run_long_unit(unit - 1 - LONG_PARTS);
	else
		run_script((int)((unit - longs - 1) % SCRIPT_STORES),
			   (unit - longs - 1) / SCRIPT_STORES);
}

/* ---- that the workloads are what they should be ----------------------------- */

static void look_at_long(uint64_t seed)
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

static void look_at_shrink(void)
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

static void make_stores(void)
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

/* ---- the whole -------------------------------------------------------------- */

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void work(void)
{
	uint64_t units = unit_count(), unit;
	double begun = seconds_now(), told = begun;

	while ((unit = atomic_fetch_add(&shared->next, 1)) < units) {
		if (stop && shared->totals.failed != 0)
			break;
		run_unit(unit);
		if (job == 0 && seconds_now() - told > 20) {
			told = seconds_now();
			printf("%.0f s: %llu of %llu units, %llu cuts\n",
			       told - begun, (unsigned long long)unit,
			       (unsigned long long)units,
			       (unsigned long long)shared->totals.cuts);
			fflush(stdout);
		}
	}
	atomic_fetch_add(&shared->totals.sealings, nonce_audit_sealings());
}

static void work_shared(int jobs)
{
	pid_t pids[JOBS_MAX];
	int status, i;

	fflush(stdout);
	for (i = 0; i < jobs; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			fatal("no process could be started");
		if (pids[i] != 0)
			continue;
		job = i;
		work();
		fflush(stdout);
		_exit(0);
	}
	for (i = 0; i < jobs; i++) {
		waitpid(pids[i], &status, 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			continue;
		printf("FAILED %s\n       the process died (status %d)\n",
		       shared->at[i], status);
		atomic_fetch_add(&shared->totals.failed, 1);
	}
}

static void write_json(const char *path, double seconds)
{
	const struct sweep_totals *t = &shared->totals;
	FILE *f = fopen(path, "w");
	int card, flash;

	if (f == NULL)
		fatal("%s cannot be written", path);
	fprintf(f, "{\"suite\": \"crash\", \"effort\": \"%s\", \"cuts\": %llu, "
		"\"second_cuts\": %llu, \"process_deaths\": %llu, "
		"\"workloads\": %llu, \"ticks\": %llu, \"sealings\": %llu, "
		"\"failed\": %llu, \"seconds\": %.1f,\n \"kept\": {",
		effort == &quick ? "quick" : effort == &few ? "few" : "full",
		(unsigned long long)t->cuts, (unsigned long long)t->second_cuts,
		(unsigned long long)t->kills,
		(unsigned long long)shared->workloads,
		(unsigned long long)t->ticks, (unsigned long long)t->sealings,
		(unsigned long long)t->failed, seconds);
	for (card = 0; card < SIM_VARIANTS; card++)
		for (flash = 0; flash < SIM_VARIANTS; flash++)
			fprintf(f, "%s\"%s/%s\": %llu",
				card + flash ? ", " : "",
				cut_side_name((enum sim_variant)card),
				cut_side_name((enum sim_variant)flash),
				(unsigned long long)t->sides[card][flash]);
	fprintf(f, "}}\n");
	if (fclose(f) != 0)
		fatal("%s cannot be written", path);
}

static int replay(const char *id)
{
	struct cut_id path[SWEEP_LEVELS];
	char name[NAME_BYTES];
	const char *at = strchr(id, ':');
	struct sweep s;
	int n = 0, which;

	if (at == NULL || (size_t)(at - id) >= sizeof(name))
		return -1;
	snprintf(name, sizeof(name), "%.*s", (int)(at - id), id);
	for (at++; *at != '\0' && n < SWEEP_LEVELS; n++)
		if (cut_parse(&at, &path[n]) < 0)
			return -1;
	if (n == 0 || *at != '\0')
		return -1;
	sweep_of(&s, name, n);
	s.only = path;
	s.only_count = n;
	if (strcmp(name, "create") == 0) {
		cut_create(&s);
		return 0;
	}
	if (strcmp(name, "shrink") == 0) {
		cut_shrink(&s);
		return 0;
	}
	if (strncmp(name, "long-", 5) == 0) {
		uint64_t seed = strtoull(name + 5, NULL, 10);

		if (seed == 0 || seed > effort->long_seeds)
			return -1;
		cut_long(&s, seed);
		return 0;
	}
	for (which = 0; which < SCRIPT_STORES; which++) {
		size_t len = strlen(script_store_names[which]);

		if (strncmp(name, script_store_names[which], len) != 0 ||
		    name[len] != '-')
			continue;
		cut_script(&s, stores[which], name + len + 1);
		return 0;
	}
	return -1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "quick", no_argument, NULL, 'q' },
		{ "few", no_argument, NULL, 'f' },
		{ "stop", no_argument, NULL, 'x' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "json", required_argument, NULL, 'J' },
		{ "only", required_argument, NULL, 'o' },
		{ "replay", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	int jobs = (int)sysconf(_SC_NPROCESSORS_ONLN), opt;
	const char *id = NULL, *json = NULL;
	double begun = seconds_now();
	uint64_t seed;

	effort = &full;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'q':
			effort = &quick;
			break;
		case 'f':
			effort = &few;
			break;
		case 'x':
			stop = 1;
			break;
		case 'j':
			jobs = atoi(optarg);
			break;
		case 'J':
			json = optarg;
			break;
		case 'o':
			only_workload = optarg;
			break;
		case 'r':
			id = optarg;
			break;
		default:
			return 2;
		}
	}
	jobs = jobs < 1 ? 1 : jobs > JOBS_MAX ? JOBS_MAX : jobs;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	make_stores();
	if (id != NULL) {
		if (replay(id) < 0) {
			fprintf(stderr, "crash_test: %s is not an ID\n", id);
			return 2;
		}
		if (shared->totals.cuts == 0)
			fatal("%s names a tick that is not reached", id);
	} else {
		look_at_shrink();
		for (seed = 1; seed <= effort->long_seeds; seed++)
			look_at_long(seed);
		work_shared(jobs);
		printf("%llu workloads; %llu of the cuts were second cuts, "
		       "during recovery, %llu deaths of the process; %llu "
		       "sealings, no (key, nonce) pair twice unless said above; "
		       "%.0f s\n",
		       (unsigned long long)shared->workloads,
		       (unsigned long long)shared->totals.second_cuts,
		       (unsigned long long)shared->totals.kills,
		       (unsigned long long)shared->totals.sealings,
		       seconds_now() - begun);
	}
	if (json != NULL)
		write_json(json, seconds_now() - begun);
	printf("%llu cuts, %llu failed\n",
	       (unsigned long long)shared->totals.cuts,
	       (unsigned long long)shared->totals.failed);
	return shared->totals.failed == 0 && shared->totals.cuts != 0 ? 0 : 1;
}
