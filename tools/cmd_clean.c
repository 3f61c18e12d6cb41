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

static const struct command_spec spec = {
	.usage = "clean [--json] [--data DIR] STORE",
	.about =
		"Copies live data out of segments that are partly dead, so that\n"
		"they become room. The server that has the store open does it, and\n"
		"goes on serving; where nobody has, the store is opened. A store\n"
		"cleans by itself when it must: this is to do it beforehand.",
	.options = ask_options,
};

struct outcome {
	uint64_t segments, blocks;
	int stopped, served;
};

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

/* Waits for the server's job, telling how far it is. -1: nobody serves. */
static int
by_server(struct ask *ask, struct progress *progress, struct outcome *out)
{
	json_t *answer = call(ask->report.store, "clean"), *clean;
	const char *state = "", *command;
	int rc = -1;

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
		if (!state || strcmp(state, "running") != 0) {
			out->stopped = state && strcmp(state, "stopped") == 0;
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
			rc = report_error(&ask->report, "io",
					  "the server has gone away: what was "
					  "cleaned stays so");
	}
	json_decref(answer);
	out->served = rc != -1;
	return rc;
}

/* ---- by ourselves -------------------------------------------------------- */

static int
by_hand(struct ask *ask, struct progress *progress, struct outcome *out)
{
	struct lbs_open_options options = {
		.struct_size = sizeof(options),
		.data_dir = ask->data_dir,
		.owner = "lbs clean",
		.log = report_log,
		.log_ctx = &ask->report,
	};
	uint64_t stat[LBS_STAT_COUNT];
	lbs_store *store = NULL;
	int rc, closed;

	rc = lbs_store_open(ask->report.store, &options, &store);
	if (rc == 0) {
		rc = lbs_store_clean(store, 0, progress_step, progress);
		lbs_store_stat(store, stat);
		out->segments = stat[LBS_STAT_CLEANED_SEGMENTS];
		out->blocks = stat[LBS_STAT_CLEANED_BLOCKS];
		out->stopped = rc == LBS_ECANCELLED;
		closed = lbs_store_close(store);
		rc = rc == 0 || out->stopped ? closed : rc;
	}
	return rc < 0 ? report_failure(&ask->report, rc) : EXIT_DONE;
}

/* ---- the command --------------------------------------------------------- */

static int
tell(struct report *report, const struct outcome *out)
{
	char size[SIZE_TEXT_BYTES];

	if (report->json)
		return report_json(
			report,
			json_pack("{s:s, s:b, s:b, s:I, s:I}", "store",
				  report->store, "served", out->served,
				  "stopped", out->stopped, "segments",
				  (json_int_t)out->segments, "bytes_moved",
				  (json_int_t)(out->blocks * BLOCK_BYTES)));
	if (out->segments)
		printf("%s: %s%llu segment%s emptied, %s moved\n", report->store,
		       out->stopped ? "stopped; " : "",
		       (unsigned long long)out->segments,
		       out->segments == 1 ? "" : "s",
		       size_format(out->blocks * BLOCK_BYTES, size));
	else
		printf("%s: %s\n", report->store,
		       out->stopped ? "stopped" : "nothing to gain");
	return report_done(report);
}

int
command_clean(int argc, char **argv)
{
	struct ask ask = { .report = { .program = "lbs clean" } };
	struct outcome out = { 0 };
	struct progress progress;
	int first, rc;

	rc = options_parse(&ask.report, &spec, argc, argv, ask_set, &ask,
			   &first);
	if (rc == OPTIONS_GO)
		rc = options_store(&ask.report, argc, argv, first);
	if (rc != OPTIONS_GO)
		return rc;
	progress_begin(&progress, "cleaning segments", ask.report.quiet, 1);
	rc = by_server(&ask, &progress, &out);
	if (rc == -1)
		rc = by_hand(&ask, &progress, &out);
	progress_end(&progress);
	return rc == EXIT_DONE ? tell(&ask.report, &out) : rc;
}
