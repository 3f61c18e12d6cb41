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
#include "tests/crash/crash.h"
#include "tests/lab/nonce_audit.h"
#include "tests/lab/simimage.h"

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

struct shared *shared;
const struct effort *effort;
const char *only_workload;
static int stop, job;

void fatal(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("FAILED ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	exit(1);
}

void sweep_of(struct sweep *s, const char *name, int levels)
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
		/* A run that is ended must not go on in its workers. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
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
		cut_script(&s, which, name + len + 1);
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
	crash_make_stores();
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
