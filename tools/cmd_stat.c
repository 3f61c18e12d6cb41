/*
 * cmd_stat.c - lbs stat: every counter and gauge, of the running store if one
 * serves it. Must leave none out: the library's list is the only one.
 */
#include <stdio.h>
#include <string.h>

#include "tools/ask.h"
#include "tools/commands.h"
#include "tools/common/size.h"

static const struct command_spec spec = {
	.usage = "stat [--json] [--data DIR] STORE",
	.about = "Shows the counters of the server that has the store open, or, where\n"
		 "nobody has, what opening it read-only tells. Changes nothing.",
	.options = ask_options,
};

#define FIRST_GAUGE LBS_STAT_SEGMENTS_TOTAL

static void
look(lbs_store *store, json_t *answer)
{
	uint64_t values[LBS_STAT_COUNT];
	json_t *counters = json_object();

	lbs_store_stat(store, values);
	for (int i = 0; i < LBS_STAT_COUNT; i++)
		json_object_set_new(counters, lbs_stat_name(i),
				    json_integer((json_int_t)values[i]));
	json_object_set_new(answer, "counters", counters);
	/* Nobody serves it: what stopped an earlier server is over. */
	json_object_set_new(answer, "state", json_string("closed"));
	json_object_set_new(answer, "failure",
			    json_string(lbs_store_failure(store)));
}

/* "write_bytes" reads as "write bytes"; sizes also in words. */
static void
print_value(const char *key, json_int_t value)
{
	char label[64], text[SIZE_TEXT_BYTES];

	snprintf(label, sizeof(label) / 2, "%s", key);
	for (char *p = label; *p; p++)
		if (*p == '_')
			*p = ' ';
	if (strcmp(key, lbs_stat_name(LBS_STAT_LIVE_BLOCKS)) == 0)
		strcat(label, " at checkpoint");
	printf("  %-28s %20lld", label, (long long)value);
	if (strstr(key, "bytes") && value >= 1024)
		printf("   %s", size_format((uint64_t)value, text));
	putchar('\n');
}

static void
print_range(const json_t *counters, int from, int to, int zeroes)
{
	for (int i = from; i < to; i++) {
		const char *key = lbs_stat_name(i);
		const json_t *value = json_object_get(counters, key);

		if (json_is_integer(value) &&
		    (zeroes || json_integer_value(value)))
			print_value(key, json_integer_value(value));
	}
}

static void
print(const char *store, const json_t *answer)
{
	int served = json_is_true(json_object_get(answer, "served"));
	const json_t *counters = json_object_get(answer, "counters");
	const char *failure =
		json_string_value(json_object_get(answer, "failure"));

	const char *server =
		json_string_value(json_object_get(answer, "server"));
	json_int_t pid = json_integer_value(json_object_get(answer, "pid"));

	printf("%s: ", store);
	if (served)
		printf("served by %s, pid %lld\n", server ? server : "?",
		       (long long)pid);
	else
		puts("not served; opened read-only to look");
	if (failure && *failure)
		printf("Failed: %s\n  Writes and flushes are refused, reads go "
		       "on. To go on: stop the server and start it again\n",
		       failure);
	printf("Since it was opened\n");
	print_range(counters, 0, FIRST_GAUGE, served);
	printf("Now\n");
	print_range(counters, FIRST_GAUGE, LBS_STAT_COUNT, 1);
}

int
command_stat(int argc, char **argv)
{
	struct ask ask = { .report = { .program = "lbs stat" } };
	json_t *answer = NULL;
	int first, rc;

	rc = options_parse(&ask.report, &spec, argc, argv, ask_set, &ask,
			   &first);
	if (rc == OPTIONS_GO)
		rc = options_store(&ask.report, argc, argv, first);
	if (rc != OPTIONS_GO)
		return rc;
	rc = ask_store(&ask, "stat", look, &answer);
	if (rc != EXIT_DONE)
		return rc;
	if (ask.report.json)
		return report_json(&ask.report, answer);
	print(ask.report.store, answer);
	json_decref(answer);
	return report_done(&ask.report);
}
