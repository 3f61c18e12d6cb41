/*
 * shrink.c - see shrink.h: delta debugging over the steps of a script.
 */
#include "tests/sim/shrink.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A run takes a second at most; under valgrind or a sanitizer a minute. */
#define RUN_SECONDS 120

struct shared {
	struct sim_result result;
	uint64_t counts[SIM_COUNTS];
};

static struct shared *shared(void)
{
	static struct shared *s;

	if (s != NULL)
		return s;
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		abort();
	return s;
}

void sim_run_apart(const struct sim_script *script, uint64_t *counts,
		   struct sim_result *result)
{
	struct shared *s = shared();
	int status, i;
	pid_t child;

	memset(s, 0, sizeof(*s));
	fflush(NULL);
	child = fork();
	if (child < 0)
		abort();
	if (child == 0) {
		alarm(RUN_SECONDS);
		/* What an assertion says would be said hundreds of times. */
		if (counts == NULL && freopen("/dev/null", "w", stderr) == NULL)
			_exit(2);
		sim_run(script, s->counts, &s->result, NULL);
		_exit(0);
	}
	waitpid(child, &status, 0);
	*result = s->result;
	for (i = 0; counts != NULL && i < SIM_COUNTS; i++)
		counts[i] += s->counts[i];
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	result->broken = 1;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
		strcpy(result->label, "hang");
		snprintf(result->why, sizeof(result->why),
			 "the run did not end in %d seconds", RUN_SECONDS);
	} else {
		strcpy(result->label, "crash");
		snprintf(result->why, sizeof(result->why),
			 "the process died: %s", WIFSIGNALED(status)
				 ? strsignal(WTERMSIG(status)) : "it exited");
	}
}

static time_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

struct sim_script *sim_shrink(const struct sim_script *script,
			      struct sim_result *result, unsigned seconds)
{
	time_t end = now() + (time_t)seconds;
	struct sim_script *best, *tried;
	struct sim_result got;
	size_t piece, from, to;
	int shorter;

	/* Nothing behind the step that failed matters, unless it ended well. */
	best = script_without(script, result->step + 1, script->count);
	sim_run_apart(best, NULL, &got);
	if (!got.broken || strcmp(got.label, result->label) != 0) {
		script_free(best);
		best = script_without(script, 0, 0);
	}
	for (piece = best->count / 2; piece > 0;) {
		shorter = 0;
		/* From the end: what came last was needed for least. */
		for (to = best->count; to > 1 && now() < end; to = from) {
			from = to > piece + 1 ? to - piece : 1;
			tried = script_without(best, from, to);
			sim_run_apart(tried, NULL, &got);
			if (got.broken && strcmp(got.label, result->label) == 0) {
				script_free(best);
				best = tried;
				*result = got;
				shorter = 1;
			} else {
				script_free(tried);
			}
		}
		/* Single steps again until none can go. */
		if (piece > 1)
			piece /= 2;
		else if (!shorter || now() >= end)
			break;
	}
	return best;
}
