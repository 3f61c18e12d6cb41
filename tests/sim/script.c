/*
 * script.c - see script.h: the table of steps, and their text.
 */
#include "tests/sim/script.h"
#include "tests/lab/simdisk.h"
#include "tests/lab/simimage.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name, *args[SIM_ARGS];
} kinds[SIM_KINDS] = {
	[SIM_STORE] = { "store", { "capacity", "freshness", "ahead", "compress",
				   "size", "base", "segment" } },
	[SIM_DO_WRITE] = { "write", { "client", "at", "len", "fua" } },
	[SIM_DO_ZERO] = { "zero", { "client", "at", "len", "fua" } },
	[SIM_DO_DISCARD] = { "discard", { "client", "at", "len", "fua" } },
	[SIM_DO_READ] = { "read", { "client", "at", "len" } },
	[SIM_DO_EXTENTS] = { "extents", { "client", "at", "len" } },
	[SIM_DO_FLUSH] = { "flush", { "client" } },
	[SIM_DO_CHECKPOINT] = { "checkpoint", { NULL } },
	[SIM_DO_CLEAN] = { "clean", { "shrink" } },
	[SIM_DO_CHECK] = { "check", { NULL } },
	[SIM_DO_REOPEN] = { "reopen", { NULL } },
	[SIM_IDLE] = { "idle", { "ms" } },
	[SIM_CUT] = { "cut", { "ticks", "variant", "seed" } },
	[SIM_KILL] = { "kill", { "ticks" } },
	[SIM_FAIL] = { "fail", { "side", "op", "after", "how" } },
	[SIM_STRAY] = { "stray", { "after" } },
	[SIM_EVICT] = { "evict", { NULL } },
	[SIM_FULL] = { "full", { "side", "left", "for" } },
	[SIM_PULL] = { "pull", { "variant", "seed", "for" } },
	[SIM_ROT] = { "rot", { "bits", "seed" } },
	[SIM_LIE] = { "lie", { "for" } },
	[SIM_CACHE] = { "cache", { "ms", "for" } },
	[SIM_COPY] = { "copy", { "side" } },
	[SIM_RESTORE] = { "restore", { "side" } },
	[SIM_OPENING_CUT] = { "opening-cut", { "ticks", "variant", "seed" } },
	[SIM_OPENING_FAIL] = { "opening-fail", { "side", "op", "after", "how" } },
};

/* Arguments that are words. */
static const char *const sides[] = { "card", "flash", NULL };
static const char *const ops[] = { "read", "create", "write", "truncate", "sync",
				   "sync-dir", "unlink", NULL };
static const char *const hows[] = { "plain", "half", "drop", NULL };
static const char *const variants[] = { "drop", "prefix", "subset", "tear",
					"kill", NULL };

static const char *const *words_of(const char *arg)
{
	if (strcmp(arg, "side") == 0)
		return sides;
	if (strcmp(arg, "op") == 0)
		return ops;
	if (strcmp(arg, "how") == 0)
		return hows;
	return strcmp(arg, "variant") == 0 ? variants : NULL;
}

int script_is_operation(enum sim_kind kind)
{
	return kind >= SIM_DO_WRITE && kind <= SIM_DO_REOPEN;
}

void script_print_step(const struct sim_step *step, char *text, size_t len)
{
	const char *const *words;
	size_t n;
	int i;

	n = (size_t)snprintf(text, len, "%s", kinds[step->kind].name);
	for (i = 0; i < SIM_ARGS && kinds[step->kind].args[i]; i++) {
		const char *arg = kinds[step->kind].args[i];

		words = words_of(arg);
		if (words != NULL)
			n += (size_t)snprintf(text + n, len - n, " %s=%s", arg,
					      words[step->arg[i]]);
		else
			n += (size_t)snprintf(text + n, len - n, " %s=%llu", arg,
					      (unsigned long long)step->arg[i]);
	}
}

void script_write(const struct sim_script *s, FILE *out)
{
	char text[200];
	size_t i;

	for (i = 0; i < s->count; i++) {
		script_print_step(&s->steps[i], text, sizeof(text));
		fprintf(out, "%s\n", text);
	}
}

static void add(struct sim_script *s, const struct sim_step *step)
{
	if (s->count == s->room) {
		s->room = s->room * 2 + 64;
		s->steps = sim_realloc(s->steps, s->room * sizeof(*step));
	}
	s->steps[s->count++] = *step;
}

/* The number that a value stands for; -1 if it is none. */
static int parse_value(const char *arg, const char *value, uint64_t *out)
{
	const char *const *words = words_of(arg);
	char *end;
	uint64_t i;

	if (words == NULL) {
		*out = strtoull(value, &end, 10);
		return *value != '\0' && *end == '\0' ? 0 : -1;
	}
	for (i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], value) == 0) {
			*out = i;
			return 0;
		}
	return -1;
}

/* A line cut at its spaces and equal signs. */
static int parse_step(char *line, struct sim_step *step)
{
	char *save, *word = strtok_r(line, " =", &save);
	int i;

	memset(step, 0, sizeof(*step));
	while (step->kind < SIM_KINDS &&
	       strcmp(kinds[step->kind].name, word) != 0)
		step->kind++;
	if (step->kind == SIM_KINDS)
		return -1;
	for (i = 0; i < SIM_ARGS && kinds[step->kind].args[i]; i++) {
		word = strtok_r(NULL, " =", &save);
		if (word == NULL || strcmp(word, kinds[step->kind].args[i]) != 0)
			return -1;
		word = strtok_r(NULL, " =", &save);
		if (word == NULL || parse_value(kinds[step->kind].args[i], word,
						&step->arg[i]) < 0)
			return -1;
	}
	return strtok_r(NULL, " =", &save) == NULL ? 0 : -1;
}

struct sim_script *script_read(FILE *in)
{
	struct sim_script *s = sim_alloc(sizeof(*s));
	struct sim_step step;
	char line[1000]; /* the first is what was broken, in words */
	unsigned number = 0;

	while (fgets(line, sizeof(line), in) != NULL) {
		number++;
		line[strcspn(line, "\n")] = '\0';
		if (line[strspn(line, " ")] == '\0' || line[0] == '#')
			continue;
		if (parse_step(line, &step) < 0 ||
		    (s->count == 0) != (step.kind == SIM_STORE)) {
			fprintf(stderr, "sim: line %u is no step that can stand "
				"there\n", number);
			script_free(s);
			return NULL;
		}
		add(s, &step);
	}
	if (s->count == 0) {
		fprintf(stderr, "sim: the script is empty\n");
		script_free(s);
		s = NULL;
	}
	return s;
}

struct sim_script *script_without(const struct sim_script *s, size_t from,
				  size_t to)
{
	struct sim_script *out = sim_alloc(sizeof(*out));
	size_t i;

	out->seed = s->seed;
	for (i = 0; i < s->count; i++)
		if (i < from || i >= to)
			add(out, &s->steps[i]);
	return out;
}

void script_free(struct sim_script *s)
{
	if (s == NULL)
		return;
	free(s->steps);
	free(s);
}
