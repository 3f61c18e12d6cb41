/*
 * cmd_clean.c - lbs clean: makes the server of a store clean, or opens the store
 * and does it. Must leave the store as it was when interrupted, a few segments
 * cleaner.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/ask.h"
#include "tools/commands.h"
#include "tools/common/progress.h"
#include "tools/common/size.h"
#include "tools/ctl_client.h"

#define BLOCK_BYTES 4096
#define POLL_US	    100000

enum { OPT_SHRINK, OPT_ASK };

static const struct option_spec options[] = {
	{ "shrink", 0, NULL, "also give chunk files back to the card" },
	{ "data", 'd', "DIR", "where the card is, if not where it was" },
	KEYOPT_SPECS,
	{ NULL, 0, NULL, NULL },
};

static const struct command_spec spec = {
	.usage = "clean [--shrink] [--json] [--data DIR] STORE",
	.about =
		"Copies live data out of segments that are partly dead, so that\n"
		"they become room. The server that has the store open does it, and\n"
		"goes on serving; where nobody has, the store is opened. A store\n"
		"cleans by itself when it must, and some while nobody writes: this\n"
		"is to do all of it beforehand.",
	.options = options,
	.epilogue =
		"With --shrink the last chunk files are emptied and removed, so that\n"
		"other files find room on the card. What is stored, and room to go\n"
		"on working with it, stays. The files come again as they are needed;\n"
		"if the card is full by then, new data is refused (\"no space\").",
};

struct clean_command {
	struct ask ask; /* first: ask_set takes it */
	int shrink;
};

struct outcome {
	uint64_t segments, blocks, given_back;
	int stopped, served;
};

static int
set(void *ctx, int option, const char *value)
{
	struct clean_command *clean = ctx;

	if (option != OPT_SHRINK)
		return ask_set(&clean->ask, option - OPT_ASK, value);
	clean->shrink = 1;
	return OPTIONS_GO;
}

/* ---- by the server ------------------------------------------------------- */

static json_t *
call(const char *store, const char *command)
{
	char *text = NULL;
	json_t *answer = NULL;

	if (ctl_call(store, command, &text) == 0)
		answer = json_loads(text, 0, NULL);
	free(text);
	return answer;
}

/* What the server said went wrong: reported; EXIT_FAILED. */
static int
refused(struct report *report, const json_t *answer)
{
	const json_t *error = json_object_get(answer, "error");
	const char *word = json_string_value(json_object_get(error, "code"));
	const char *text = json_string_value(json_object_get(error, "message"));

	return report_error(report, word ? word : "internal",
			    "the server cannot clean: %s",
			    text ? text : "its answer makes no sense");
}

static int
gone(struct report *report)
{
	return report_error(report, "io",
			    "the server has gone away: what was cleaned stays "
			    "so");
}

/* Waits for the server's job, telling how far it is. -1: nobody serves. */
static int
by_server(struct ask *ask, int shrink, struct progress *progress,
	  struct outcome *out)
{
	json_t *answer, *clean;
	const char *state = "", *command = shrink ? "shrink" : "clean";
	int rc = -1;

	answer = call(ask->report.store, command);

	while (answer) {
		clean = json_object_get(answer, "clean");
		rc = EXIT_FAILED;
		if (!clean) {
			refused(&ask->report, answer);
			break;
		}
		state = json_string_value(json_object_get(clean, "state"));
		out->segments = (uint64_t)json_integer_value(
			json_object_get(clean, "segments"));
		out->blocks = (uint64_t)json_integer_value(
			json_object_get(clean, "blocks"));
		out->given_back = (uint64_t)json_integer_value(
			json_object_get(clean, "given_back"));
		/* One that was started again knows nothing of it. */
		if (!state || strcmp(state, "idle") == 0) {
			rc = gone(&ask->report);
			break;
		}
		if (strcmp(state, "running") != 0) {
			out->stopped = strcmp(state, "stopped") == 0;
			rc = EXIT_DONE;
			break;
		}
		command = progress_step(
				  progress,
				  (uint64_t)json_integer_value(
					  json_object_get(clean, "done")),
				  (uint64_t)json_integer_value(
					  json_object_get(clean, "total")))
				  ? "clean-stop"
				  : "clean-state";
		json_decref(answer);
		usleep(POLL_US);
		answer = call(ask->report.store, command);
		if (!answer)
			rc = gone(&ask->report);
	}
	json_decref(answer);
	out->served = rc != -1;
	return rc;
}

/* ---- by ourselves -------------------------------------------------------- */

static int
by_hand(struct ask *ask, int shrink, struct progress *progress,
	struct outcome *out)
{
	struct lbs_open_options open = {
		.struct_size = sizeof(open),
		.data_dir = ask->data_dir,
		.owner = "lbs clean",
		.log = report_log,
		.log_ctx = &ask->report,
	};
	uint64_t stat[LBS_STAT_COUNT];
	lbs_store *store = NULL;
	int rc, closed;

	rc = lbs_store_open(ask->report.store, &open, &store);
	if (rc == 0) {
		rc = lbs_store_clean(store, shrink ? LBS_CLEAN_SHRINK : 0,
				     progress_step, progress);
		lbs_store_stat(store, stat);
		out->segments = stat[LBS_STAT_CLEANED_SEGMENTS];
		out->blocks = stat[LBS_STAT_CLEANED_BLOCKS];
		out->given_back = stat[LBS_STAT_CARD_GIVEN_BACK_BYTES];
		out->stopped = rc == LBS_ECANCELLED;
		closed = lbs_store_close(store);
		rc = rc == 0 || out->stopped ? closed : rc;
	}
	return rc < 0 ? report_failure(&ask->report, rc) : EXIT_DONE;
}

/* ---- the command --------------------------------------------------------- */

static void
tell_given_back(const struct report *report, const struct outcome *out)
{
	char size[SIZE_TEXT_BYTES];

	if (out->given_back)
		printf("%s: %s given back to the card\n", report->store,
		       size_format(out->given_back, size));
	else if (!out->stopped)
		printf("%s: no chunk file can be given back: what is stored, and "
		       "room to work with it, needs them all\n", report->store);
}

static int
tell(struct report *report, int shrink, const struct outcome *out)
{
	char size[SIZE_TEXT_BYTES];

	if (report->json)
		return report_json(
			report,
			json_pack("{s:o, s:b, s:b, s:I, s:I, s:I}", "store",
				  report_text(report->store), "served", out->served,
				  "stopped", out->stopped, "segments",
				  (json_int_t)out->segments, "bytes_moved",
				  (json_int_t)(out->blocks * BLOCK_BYTES),
				  "bytes_given_back",
				  (json_int_t)out->given_back));
	if (out->segments)
		printf("%s: %s%llu segment%s emptied, %s moved\n", report->store,
		       out->stopped ? "stopped; " : "",
		       (unsigned long long)out->segments,
		       out->segments == 1 ? "" : "s",
		       size_format(out->blocks * BLOCK_BYTES, size));
	else if (out->stopped || !shrink)
		printf("%s: %s\n", report->store,
		       out->stopped ? "stopped" : "nothing to gain");
	if (shrink)
		tell_given_back(report, out);
	return report_done(report);
}

int
command_clean(int argc, char **argv)
{
	struct clean_command clean = {
		.ask = { .report = { .program = "lbs clean" } }
	};
	struct report *report = &clean.ask.report;
	struct outcome out = { 0 };
	struct progress progress;
	int first, rc;

	rc = options_parse(report, &spec, argc, argv, set, &clean, &first);
	if (rc == OPTIONS_GO)
		rc = options_store(report, argc, argv, first);
	if (rc != OPTIONS_GO)
		return rc;
	progress_begin(&progress, clean.shrink ? "cleaning and shrinking"
					       : "cleaning segments",
		       report->quiet, 1);
	rc = by_server(&clean.ask, clean.shrink, &progress, &out);
	if (rc == -1)
		rc = by_hand(&clean.ask, clean.shrink, &progress, &out);
	progress_end(&progress);
	return rc == EXIT_DONE ? tell(report, clean.shrink, &out) : rc;
}
