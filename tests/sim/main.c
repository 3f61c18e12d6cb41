/*
 * main.c - the simulator's command: many seeds in some processes, and what they
 * came through together; or one seed or script, step by step.
 * Must never call a run good in which a kind of fault was missing.
 *
 *   sim [--seeds N] [--first SEED] [--steps N] [--jobs N] [--min-hits N]
 *       [--json FILE] [--out DIR] [--shrink N] [--stop]
 *   sim --seed SEED [--steps N] [--quiet]      one seed, told step by step
 *   sim --script FILE [--quiet]                a script, likewise
 *
 * Every kind of fault must strike, and what is rare must come, --min-hits times, a
 * twentieth of the seeds unless told otherwise. Seeds are 1, 2, 3, ... from --first. A failing seed is shrunk to a script in
 * DIR (build/sim), which --script plays again, the first three or --shrink N.
 * --stop ends at the first failure.
 * Every 64th seed is played twice and must come out the same.
 */
#include "tests/sim/shrink.h"

#include <getopt.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAILURES_MAX 64
#define SHRINK_SECONDS 60
#define TWICE_EVERY 64

struct options {
	uint64_t first, seeds, seed, min_hits, shrink;
	unsigned steps, jobs;
	int quiet, stop;
	const char *script, *json, *out;
};

/* Of all processes together. */
struct totals {
	atomic_uint_fast64_t next, done, failures;
	atomic_uint_fast64_t counts[SIM_COUNTS];
	uint64_t failed[FAILURES_MAX];
};

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void note_failure(struct totals *t, uint64_t seed)
{
	uint64_t n = atomic_fetch_add(&t->failures, 1);

	if (n < FAILURES_MAX)
		t->failed[n] = seed;
}

/* 0, or how it is broken. */
static int play_seed(const struct options *o, uint64_t seed, uint64_t *counts,
		     struct sim_result *result)
{
	struct sim_script *s = script_draw(seed, o->steps);
	uint64_t unused[SIM_COUNTS];
	struct sim_result again;

	sim_run(s, counts, result, NULL);
	if (!result->broken && seed % TWICE_EVERY == 0) {
		memset(unused, 0, sizeof(unused));
		sim_run(s, unused, &again, NULL);
		if (again.digest != result->digest) {
			result->broken = 1;
			strcpy(result->label, "chance");
			strcpy(result->why, "two runs of the seed differ");
		}
	}
	script_free(s);
	return result->broken;
}

static void tell_failure(uint64_t seed, const struct sim_result *r)
{
	printf("FAILED seed %llu at step %zu: %s: %s\n",
	       (unsigned long long)seed, r->step, r->label, r->why);
	fflush(stdout);
}

/* current: the seed that this process is at, for who buries it. */
static void work(const struct options *o, struct totals *t, uint64_t *current)
{
	uint64_t counts[SIM_COUNTS];
	struct sim_result result;
	int i;

	for (;;) {
		*current = atomic_fetch_add(&t->next, 1);
		if (*current >= o->first + o->seeds ||
		    (o->stop && t->failures != 0))
			exit(0);
		memset(counts, 0, sizeof(counts));
		alarm(300);
		if (play_seed(o, *current, counts, &result)) {
			tell_failure(*current, &result);
			note_failure(t, *current);
		}
		for (i = 0; i < SIM_COUNTS; i++)
			atomic_fetch_add(&t->counts[i], counts[i]);
		atomic_fetch_add(&t->done, 1);
	}
}

static void *share(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static pid_t start_worker(const struct options *o, struct totals *t,
			  uint64_t *current)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0)
		work(o, t, current);
	return pid;
}

static void run_workers(const struct options *o, struct totals *t)
{
	uint64_t *current = share(o->jobs * sizeof(*current));
	pid_t *pids = calloc(o->jobs, sizeof(*pids)), pid;
	unsigned i;
	int status;

	for (i = 0; i < o->jobs; i++)
		pids[i] = start_worker(o, t, &current[i]);
	while ((pid = wait(&status)) > 0) {
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			continue;
		for (i = 0; i < o->jobs && pids[i] != pid; i++)
			;
		printf("FAILED seed %llu: the process died (status %d)\n",
		       (unsigned long long)current[i], status);
		note_failure(t, current[i]);
		atomic_fetch_add(&t->done, 1);
		pids[i] = start_worker(o, t, &current[i]);
	}
	free(pids);
}

static void shrink_seed(const struct options *o, uint64_t seed)
{
	struct sim_script *s = script_draw(seed, o->steps), *small;
	struct sim_result result;
	char path[500];
	FILE *out;

	/* A script has no seed: randomness is that of seed 0, as when replayed. */
	s->seed = 0;
	sim_run_apart(s, NULL, &result);
	if (!result.broken) {
		printf("seed %llu does not fail by itself\n",
		       (unsigned long long)seed);
		script_free(s);
		return;
	}
	small = sim_shrink(s, &result, SHRINK_SECONDS);
	snprintf(path, sizeof(path), "%s/seed-%llu.sim", o->out,
		 (unsigned long long)seed);
	printf("\nseed %llu, shrunk from %zu steps to %zu, in %s:\n# %s: %s\n",
	       (unsigned long long)seed, s->count, small->count, path,
	       result.label, result.why);
	script_write(small, stdout);
	out = fopen(path, "w");
	if (out != NULL) {
		fprintf(out, "# %s: %s\n", result.label, result.why);
		script_write(small, out);
		fclose(out);
	}
	script_free(small);
	script_free(s);
}

/* ---- the summary ---------------------------------------------------------- */

static uint64_t sum(const struct totals *t, int from, int to)
{
	uint64_t n = 0;

	for (; from < to; from++)
		n += t->counts[from];
	return n;
}

static void print_counts(const struct totals *t, const char *title, int from,
			 int to)
{
	int i;

	printf("%s\n", title);
	for (i = from; i < to; i++)
		printf("  %-26s %12llu\n", sim_count_name(i),
		       (unsigned long long)t->counts[i]);
}

static void write_json(const struct options *o, const struct totals *t,
		       double took, int missing)
{
	FILE *out = fopen(o->json, "w");
	int i;

	if (out == NULL) {
		perror(o->json);
		return;
	}
	fprintf(out, "{\"seeds\": %llu, \"steps\": %u, \"failed\": %llu, "
		"\"kinds_missing\": %d, \"seconds\": %.1f, \"jobs\": %u",
		(unsigned long long)t->done, o->steps,
		(unsigned long long)t->failures, missing, took, o->jobs);
	for (i = 0; i < SIM_COUNTS; i++)
		fprintf(out, ", \"%s\": %llu", sim_count_name(i),
			(unsigned long long)t->counts[i]);
	fprintf(out, "}\n");
	fclose(out);
}

static int summarise(const struct options *o, const struct totals *t, double took)
{
	int i, missing = 0;

	print_counts(t, "operations", 0, COUNT_FIRST_FAULT);
	print_counts(t, "faults that struck", COUNT_FIRST_FAULT,
		     COUNT_FIRST_RARE);
	print_counts(t, "what is rare", COUNT_FIRST_RARE, COUNT_FIRST_RESULT);
	print_counts(t, "what came of it", COUNT_FIRST_RESULT, SIM_COUNTS);
	for (i = COUNT_FIRST_FAULT; i < COUNT_FIRST_RESULT; i++) {
		if (t->counts[i] >= o->min_hits)
			continue;
		printf("FAILED %s came %llu times, not %llu\n",
		       sim_count_name(i), (unsigned long long)t->counts[i],
		       (unsigned long long)o->min_hits);
		missing++;
	}
	if (o->json != NULL)
		write_json(o, t, took, missing);
	printf("%llu seeds, %llu operations, %llu faults, %llu openings in %.0f "
	       "s; %llu seeds failed\n", (unsigned long long)t->done,
	       (unsigned long long)sum(t, 0, COUNT_FIRST_FAULT),
	       (unsigned long long)sum(t, COUNT_FIRST_FAULT, COUNT_FIRST_RARE),
	       (unsigned long long)t->counts[COUNT_OPENINGS], took,
	       (unsigned long long)t->failures);
	return t->failures == 0 && missing == 0 ? 0 : 1;
}

static int run_many(const struct options *o)
{
	struct totals *t = share(sizeof(*t));
	double begun = seconds(), took;
	uint64_t i;

	t->next = o->first;
	run_workers(o, t);
	took = seconds() - begun;
	for (i = 0; i < t->failures && i < FAILURES_MAX && i < o->shrink; i++)
		shrink_seed(o, t->failed[i]);
	return summarise(o, t, took);
}

/* One script, told; shrunk by hand with an editor. */
static int run_one(const struct options *o)
{
	uint64_t counts[SIM_COUNTS] = { 0 };
	struct sim_script *s = NULL;
	struct sim_result result;
	FILE *in;
	int i;

	if (o->script != NULL) {
		in = fopen(o->script, "r");
		if (in == NULL) {
			perror(o->script);
			return 2;
		}
		s = script_read(in);
		fclose(in);
	} else {
		s = script_draw(o->seed, o->steps);
	}
	if (s == NULL)
		return 2;
	sim_run(s, counts, &result, o->quiet ? NULL : stdout);
	for (i = 0; !o->quiet && i < SIM_COUNTS; i++)
		if (counts[i] != 0)
			printf("  %-26s %12llu\n", sim_count_name(i),
			       (unsigned long long)counts[i]);
	if (result.broken)
		tell_failure(o->seed, &result);
	else
		printf("all rules held over %zu steps\n", s->count);
	script_free(s);
	if (result.broken && o->script == NULL && o->shrink > 0)
		shrink_seed(o, o->seed);
	return result.broken;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seeds", required_argument, NULL, 'n' },
		{ "first", required_argument, NULL, 'f' },
		{ "seed", required_argument, NULL, 's' },
		{ "steps", required_argument, NULL, 't' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "min-hits", required_argument, NULL, 'm' },
		{ "json", required_argument, NULL, 'J' },
		{ "out", required_argument, NULL, 'o' },
		{ "script", required_argument, NULL, 'S' },
		{ "shrink", required_argument, NULL, 'k' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "stop", no_argument, NULL, 'x' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { .first = 1, .seeds = 2000, .steps = 1000,
			     .jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN),
			     .min_hits = UINT64_MAX, .shrink = 3, .out = "build/sim" };
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'n': o.seeds = strtoull(optarg, NULL, 10); break;
		case 'f': o.first = strtoull(optarg, NULL, 10); break;
		case 's': o.seed = strtoull(optarg, NULL, 10); break;
		case 't': o.steps = (unsigned)atoi(optarg); break;
		case 'j': o.jobs = (unsigned)atoi(optarg); break;
		case 'm': o.min_hits = strtoull(optarg, NULL, 10); break;
		case 'J': o.json = optarg; break;
		case 'o': o.out = optarg; break;
		case 'S': o.script = optarg; break;
		case 'k': o.shrink = strtoull(optarg, NULL, 10); break;
		case 'q': o.quiet = 1; break;
		case 'x': o.stop = 1; break;
		default: return 2;
		}
	}
	if (o.min_hits == UINT64_MAX)
		o.min_hits = o.seeds / 20;
	if (o.first == 0 || o.jobs == 0 || o.steps == 0) {
		fprintf(stderr, "sim: seeds, steps and jobs begin at 1\n");
		return 2;
	}
	mkdir(o.out, 0777);
	return o.script != NULL || o.seed != 0 ? run_one(&o) : run_many(&o);
}
