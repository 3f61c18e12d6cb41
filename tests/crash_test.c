/*
 * crash_test.c - power is cut at every single write and sync of a workload, on
 * card and internal flash at once, in every variant of what a cut leaves; also
 * a second time during the recovery that follows. After each: promises 1 to 4
 * and 6 against the model, and no (key, nonce) pair sealed twice (promise 8).
 * Must never count a cut that did not happen.
 *
 *   crash_test [--quick] [--seeds N] [--jobs N] [--replay ID]
 *
 * A failure prints an ID, SEED:TICK:VARIANT:VSEED, with :TICK:VARIANT:VSEED of a
 * second cut behind it; --replay ID runs that one again. SEED is "create" for
 * cuts while a store is made. The last line is "N cuts, N failed".
 */
#include "tests/lab/nonce_audit.h"
#include "tests/lab/simimage.h"
#include "tests/lab/workload.h"

#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WHY 600
#define SHOWN_MAX 20	/* failures told in full */

/* Of all processes together. */
struct totals {
	atomic_uint_fast64_t cuts, second_cuts, failed, sealings;
};

struct plan {
	int quick, jobs, job;
	uint64_t seeds;
	struct totals *totals;
};

/* One cut: when, and what it leaves. */
struct cut {
	uint64_t tick, vseed;
	enum sim_variant variant;
};

/* How many draws of each variant a tick gets in a full run. */
static const unsigned draws[SIM_VARIANTS] = {
	[SIM_DROP_ALL] = 3, [SIM_PREFIX] = 3, [SIM_SUBSET] = 5,
	[SIM_TEAR_LAST] = 2, [SIM_KEEP_ALL] = 1,
};

static void print_id(uint64_t seed, const struct cut *c, const struct cut *c2)
{
	if (seed == 0)
		printf("create");
	else
		printf("%llu", (unsigned long long)seed);
	for (; c != NULL; c = c2, c2 = NULL)
		printf(":%llu:%s:%llu", (unsigned long long)c->tick,
		       sim_variant_name(c->variant),
		       (unsigned long long)c->vseed);
}

static void report(struct plan *p, uint64_t seed, const struct cut *c,
		   const struct cut *c2, const char *why)
{
	if (atomic_fetch_add(&p->totals->failed, 1) >= SHOWN_MAX)
		return;
	printf("FAILED ");
	print_id(seed, c, c2);
	printf("\n       %s\n", why);
	fflush(stdout);
}

/* A store just made and closed, all of it durable, after the cut-free making. */
static struct world *fresh_store(uint64_t seed)
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
	w = world_new(&shape);
	rc = world_create(w);
	if (rc != 0) {
		printf("FAILED the store could not be made: %s [%s]\n",
		       lbs_error_word(rc), w->log_text);
		exit(1);
	}
	return w;
}

/* Recovers from a cut, cut again at c2 if given. 0, or -1 and why. */
static int survive(struct world *w, const struct cut *c2, uint64_t *ticks,
		   char *why)
{
	uint64_t begun = simdisk_ticks(w->disk), repeats;
	int rc;

	repeats = nonce_audit_repeats();
	if (c2 != NULL) {
		simdisk_arm(w->disk, begun + c2->tick);
		rc = workload_recover(w, why, WHY);
		if (rc == WORKLOAD_FAILED)
			return -1;
		/* The cut may fall behind the last word of a clean close. */
		if (simdisk_is_off(w->disk))
			world_cut(w, c2->variant, c2->vseed);
		simdisk_arm(w->disk, 0);
	}
	rc = workload_recover(w, why, WHY);
	if (rc == WORKLOAD_CUT)
		snprintf(why, WHY, "power went off by itself");
	if (rc != WORKLOAD_DONE)
		return -1;
	*ticks = simdisk_ticks(w->disk) - begun;
	if (nonce_audit_repeats() != repeats)
		snprintf(why, WHY, "a (key, nonce) pair was sealed twice");
	else if (simdisk_torn_pages(w->disk) != 0)
		snprintf(why, WHY, "a page of the card with synced bytes was "
			 "written again");
	else
		return 0;
	return -1;
}

/* One cut of a stopped machine, on a copy of it. */
static int try_cut(struct plan *p, const struct world *stopped, uint64_t seed,
		   const struct cut *c, const struct cut *c2, uint64_t *ticks)
{
	struct world *w = world_clone(stopped);
	char why[WHY];
	int rc;

	world_cut(w, c->variant, c->vseed);
	rc = survive(w, c2, ticks, why);
	atomic_fetch_add(&p->totals->cuts, 1);
	if (c2 != NULL)
		atomic_fetch_add(&p->totals->second_cuts, 1);
	if (rc < 0)
		report(p, seed, c, c2, why);
	world_free(w);
	return rc;
}

/* The machine stopped at a tick of the workload, its process gone; NULL and a
 * report when the workload failed by itself. *done: it ended before the tick. */
static struct world *stop_at(struct plan *p, const struct world *fresh,
			     uint64_t seed, uint64_t tick, int *done)
{
	struct world *w = world_clone(fresh), *stopped;
	struct cut c = { .tick = tick };
	uint64_t repeats = nonce_audit_repeats();
	char why[WHY];
	int rc;

	simdisk_arm(w->disk, simdisk_ticks(w->disk) + tick);
	rc = workload_run(w, seed, NULL, why, sizeof(why));
	*done = rc == WORKLOAD_DONE;
	if (rc != WORKLOAD_FAILED && nonce_audit_repeats() != repeats) {
		snprintf(why, sizeof(why), "a (key, nonce) pair was sealed "
			 "twice before the cut");
		rc = WORKLOAD_FAILED;
	}
	if (rc == WORKLOAD_FAILED) {
		atomic_fetch_add(&p->totals->cuts, 1);
		report(p, seed, &c, NULL, why);
		world_free(w);
		return NULL;
	}
	simdisk_power_off(w->disk);
	stopped = world_clone(w);
	world_free(w);
	return stopped;
}

/* All variants at one tick, and second cuts during some recoveries. */
static void cut_at(struct plan *p, const struct world *fresh, uint64_t seed,
		   uint64_t tick)
{
	struct world *stopped;
	struct cut c = { .tick = tick }, c2;
	uint64_t rng = sim_mix(seed, tick), ticks;
	unsigned i, n = 0;
	int done;

	nonce_audit_reset();
	stopped = stop_at(p, fresh, seed, tick, &done);
	if (stopped == NULL)
		return;
	for (c.variant = 0; c.variant < SIM_VARIANTS; c.variant++) {
		for (i = 0; i < draws[c.variant]; i++, n++) {
			/* Quick: two of the fourteen, in turn. */
			if (p->quick && n % 7 != tick % 7)
				continue;
			c.vseed = c.variant == SIM_DROP_ALL
					  ? i : sim_random(&rng) % 100000;
			ticks = 0;
			if (try_cut(p, stopped, seed, &c, NULL, &ticks) < 0)
				continue;
			/* The second cut: at one tick of this recovery. */
			if (ticks == 0 || sim_random(&rng) % 3 != 0)
				continue;
			c2.tick = 1 + sim_random(&rng) % ticks;
			c2.variant = sim_random(&rng) % SIM_VARIANTS;
			c2.vseed = c2.variant == SIM_DROP_ALL
					   ? sim_random(&rng) % 3
					   : sim_random(&rng) % 100000;
			try_cut(p, stopped, seed, &c, &c2, &ticks);
		}
	}
	world_free(stopped);
}

/* ---- cuts while a store is made ------------------------------------------ */

/* Either nothing usable is there, or a whole, empty store. */
static int judge_created(struct world *w, char *why)
{
	int rc;

	if (!simdisk_exists(w->disk, SIM_FLASH, WORLD_META))
		return 0;
	rc = world_open(w, 0);
	switch (rc) {
	case 0:
		world_cut(w, SIM_KEEP_ALL, 0);
		rc = workload_recover(w, why, WHY);
		return rc == WORKLOAD_DONE ? 0 : -1;
	case LBS_ENOENT:
	case LBS_ENOTSTORE:
	case LBS_ECARDMISSING:
	case LBS_EOTHERCARD:
		return 0;
	default:
		snprintf(why, WHY, "opening what was left gave %s [%s]",
			 lbs_error_word(rc), w->log_text);
		return -1;
	}
}

/* The machine stopped at a tick of the making. *done: it ended before. */
static struct world *stop_creation(uint64_t tick, int *done)
{
	struct world *w = world_new(&workload_shape), *stopped;

	nonce_audit_reset();
	simdisk_arm(w->disk, tick);
	*done = world_create(w) == 0;
	simdisk_power_off(w->disk);
	stopped = world_clone(w);
	world_free(w);
	return stopped;
}

static void try_creation(struct plan *p, const struct world *stopped,
			 const struct cut *c)
{
	struct world *w = world_clone(stopped);
	char why[WHY];

	world_cut(w, c->variant, c->vseed);
	if (judge_created(w, why) < 0)
		report(p, 0, c, NULL, why);
	atomic_fetch_add(&p->totals->cuts, 1);
	world_free(w);
}

static void cut_creations(struct plan *p)
{
	struct cut c = { .tick = 1 };
	struct world *stopped;
	unsigned draw;
	int done = 0;

	for (; !done; c.tick += p->quick ? 7 : 1) {
		stopped = stop_creation(c.tick, &done);
		for (c.variant = 0; c.variant < SIM_VARIANTS; c.variant++)
			for (draw = 0; draw < draws[c.variant]; draw++) {
				c.vseed = draw;
				if (!p->quick || draw == 0)
					try_creation(p, stopped, &c);
			}
		world_free(stopped);
	}
}

/* ---- the whole ------------------------------------------------------------ */

/* The run without a cut: that the workload is what it should be. */
static uint64_t uncut(const struct world *fresh, uint64_t seed)
{
	struct world *w = world_clone(fresh);
	struct workload_seen s;
	char why[WHY];

	memset(&s, 0, sizeof(s));
	nonce_audit_reset();
	if (workload_run(w, seed, &s, why, sizeof(why)) != WORKLOAD_DONE) {
		printf("FAILED the workload of seed %llu, uncut: %s\n",
		       (unsigned long long)seed, why);
		exit(1);
	}
	world_free(w);
	printf("seed %llu: %llu requests, %llu ticks, %llu segments of log, "
	       "%llu checkpoints, %llu segments used again, %llu reopenings "
	       "(%llu after SIGKILL), %llu refused\n",
	       (unsigned long long)seed, (unsigned long long)s.requests,
	       (unsigned long long)s.ticks, (unsigned long long)s.log_segments,
	       (unsigned long long)s.checkpoints, (unsigned long long)s.reuses,
	       (unsigned long long)s.sessions, (unsigned long long)s.deaths,
	       (unsigned long long)s.refusals);
	fflush(stdout);
	if (seed % 3 == 2 && s.refusals == 0) {
		printf("FAILED the small card was never full\n");
		exit(1);
	}
	if (s.log_segments < 3 || s.checkpoints < 2 || s.reuses < 1 ||
	    s.deaths < 1) {
		printf("FAILED the workload must cross three segments and two "
		       "checkpoints and use a segment again\n");
		exit(1);
	}
	return s.ticks;
}

static void run_seed(struct plan *p, const struct world *fresh, uint64_t seed,
		     uint64_t ticks)
{
	uint64_t stride = p->quick ? 1 + ticks / 70 : 1, tick, next = 10;

	for (tick = 1 + (uint64_t)p->job * stride; tick <= ticks + 1;
	     tick += stride * (uint64_t)p->jobs) {
		/* Quick: one tick of each stretch, not always the same place. */
		cut_at(p, fresh, seed, tick + (stride > 1 ? sim_mix(seed, tick)
						% stride : 0));
		if (p->job == 0 && tick * 100 >= ticks * next) {
			printf("seed %llu: %llu %%, %llu cuts\n",
			       (unsigned long long)seed,
			       (unsigned long long)(tick * 100 / ticks),
			       (unsigned long long)p->totals->cuts);
			fflush(stdout);
			next = tick * 100 / ticks + 10;
		}
	}
	atomic_fetch_add(&p->totals->sealings, nonce_audit_sealings());
}

/* Shares the ticks of a seed among processes; the store has one data key, so
 * each starts from the same fresh store. */
static void run_seed_shared(struct plan *p, uint64_t seed)
{
	struct world *fresh = fresh_store(seed);
	uint64_t ticks = uncut(fresh, seed);
	int status, i;

	for (i = 0; i < p->jobs; i++) {
		if (fork() != 0)
			continue;
		p->job = i;
		run_seed(p, fresh, seed, ticks);
		exit(0);
	}
	while (wait(&status) > 0) {
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			continue;
		printf("FAILED a worker on seed %llu died (status %d)\n",
		       (unsigned long long)seed, status);
		atomic_fetch_add(&p->totals->failed, 1);
	}
	world_free(fresh);
}

static int parse_cut(char **at, struct cut *c)
{
	char *end, *name;

	c->tick = strtoull(*at, &end, 10);
	if (*end != ':')
		return -1;
	name = end + 1;
	end = strchr(name, ':');
	if (end == NULL)
		return -1;
	*end = '\0';
	for (c->variant = 0; c->variant < SIM_VARIANTS; c->variant++)
		if (strcmp(name, sim_variant_name(c->variant)) == 0)
			break;
	c->vseed = strtoull(end + 1, at, 10);
	if (**at == ':')
		++*at;
	return c->variant < SIM_VARIANTS ? 0 : -1;
}

static int replay(struct plan *p, const char *text)
{
	char *id = strdup(text), *at = strchr(id, ':');
	uint64_t seed = strtoull(id, NULL, 10), ticks;
	struct world *fresh, *stopped;
	struct cut c, c2;
	int done, rc = at == NULL ? -1 : 0;

	if (rc == 0) {
		at++;
		rc = parse_cut(&at, &c);
	}
	if (rc == 0 && *at != '\0')
		rc = parse_cut(&at, &c2);
	else
		c2.tick = 0;
	if (rc < 0) {
		fprintf(stderr, "crash_test: %s is not an ID\n", text);
	} else if (seed == 0) {
		stopped = stop_creation(c.tick, &done);
		try_creation(p, stopped, &c);
		world_free(stopped);
	} else {
		fresh = fresh_store(seed);
		stopped = stop_at(p, fresh, seed, c.tick, &done);
		if (stopped != NULL)
			try_cut(p, stopped, seed, &c, c2.tick ? &c2 : NULL,
				&ticks);
		world_free(stopped);
		world_free(fresh);
	}
	free(id);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "quick", no_argument, NULL, 'q' },
		{ "seeds", required_argument, NULL, 's' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "replay", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	struct plan p = { .jobs = (int)sysconf(_SC_NPROCESSORS_ONLN) };
	const char *id = NULL;
	uint64_t seed;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'q':
			p.quick = 1;
			break;
		case 's':
			p.seeds = strtoull(optarg, NULL, 10);
			break;
		case 'j':
			p.jobs = atoi(optarg);
			break;
		case 'r':
			id = optarg;
			break;
		default:
			return 2;
		}
	}
	if (p.seeds == 0)
		p.seeds = p.quick ? 1 : 3;
	if (p.jobs < 1)
		p.jobs = 1;
	p.totals = mmap(NULL, sizeof(*p.totals), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p.totals == MAP_FAILED)
		return 1;
	if (id != NULL) {
		if (replay(&p, id) < 0)
			return 2;
	} else {
		cut_creations(&p);
		for (seed = 1; seed <= p.seeds; seed++)
			run_seed_shared(&p, seed);
		printf("%llu of the cuts were second cuts, during recovery; %llu "
		       "sealings, no (key, nonce) pair twice unless said above\n",
		       (unsigned long long)p.totals->second_cuts,
		       (unsigned long long)p.totals->sealings);
	}
	printf("%llu cuts, %llu failed\n", (unsigned long long)p.totals->cuts,
	       (unsigned long long)p.totals->failed);
	return p.totals->failed == 0 ? 0 : 1;
}
