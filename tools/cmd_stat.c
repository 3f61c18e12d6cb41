/*
 * cmd_stat.c - lbs stat: every counter and gauge, of the running store if one
 * serves it. Must leave none out: the library's list is the only one.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/ask.h"
#include "tools/commands.h"
#include "tools/common/size.h"

enum { OPT_ENDURANCE, OPT_ASK };

static const struct option_spec options[] = {
	{ "endurance", 0, "SIZE", "that the card's maker states, to tell how long it lasts" },
	{ "data", 'd', "DIR", "where the card is, if not where it was" },
	KEYOPT_SPECS,
	{ NULL, 0, NULL, NULL },
};

static const struct command_spec spec = {
	.usage = "stat [--json] [--endurance SIZE] [--data DIR] STORE",
	.about = "Shows the counters of the server that has the store open, or, where\n"
		 "nobody has, what opening it read-only tells. Changes nothing.",
	.options = options,
	.epilogue = "The card writes more inside than it is given: what its maker states\n"
		    "as endurance (TBW) counts that in, what it is given does not.",
};

#define FIRST_GAUGE LBS_STAT_SEGMENTS_TOTAL
#define FIRST_TOTAL LBS_STAT_TOTAL_WRITE_BYTES
#define DAY_SECONDS 86400.0

struct stat_command {
	struct ask ask; /* first: ask_set takes it */
	uint64_t endurance;
};

static int
set(void *ctx, int option, const char *value)
{
	struct stat_command *stat = ctx;
	const char *why;

	if (option != OPT_ENDURANCE)
		return ask_set(&stat->ask, option - OPT_ASK, value);
	if (size_parse(value, &stat->endurance, &why) < 0)
		return report_usage(&stat->ask.report, "--endurance %s %s", value,
				    why);
	return OPTIONS_GO;
}

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
			    report_text(lbs_store_failure(store)));
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

/* ---- what follows from the counters ---------------------------------------- */

static double
counter(const json_t *counters, int stat)
{
	return (double)json_integer_value(
		json_object_get(counters, lbs_stat_name(stat)));
}

/* Bytes to the card by bytes of guests; 0 when there were none. */
static double
amplification(const json_t *counters, int guest, int log, int clean)
{
	double wrote = counter(counters, guest);

	return wrote > 0 ? (counter(counters, log) + counter(counters, clean)) /
				   wrote
			 : 0;
}

/* Utilisation, write amplification since the store was made and since it was
 * opened, and how long the card lasts at the rate since it was made. */
static json_t *
derive(const struct stat_command *stat, const json_t *counters)
{
	struct lbs_store_info info = { .struct_size = sizeof(info) };
	double capacity = counter(counters, LBS_STAT_CAPACITY_BYTES);
	double written = counter(counters, LBS_STAT_TOTAL_CARD_LOG_BYTES) +
			 counter(counters, LBS_STAT_TOTAL_CARD_CLEAN_BYTES) +
			 counter(counters, LBS_STAT_TOTAL_CARD_FILL_BYTES);
	double age, left = (double)stat->endurance - written;
	json_t *derived = json_object();

	if (capacity > 0)
		json_object_set_new(
			derived, "utilisation",
			json_real(counter(counters, LBS_STAT_LIVE_BYTES) /
				  capacity));
	json_object_set_new(derived, "write_amplification",
			    json_real(amplification(
				    counters, LBS_STAT_TOTAL_WRITE_BYTES,
				    LBS_STAT_TOTAL_CARD_LOG_BYTES,
				    LBS_STAT_TOTAL_CARD_CLEAN_BYTES)));
	json_object_set_new(derived, "write_amplification_lately",
			    json_real(amplification(counters,
						    LBS_STAT_WRITE_BYTES,
						    LBS_STAT_CARD_LOG_BYTES,
						    LBS_STAT_CARD_CLEAN_BYTES)));
	if (counter(counters, LBS_STAT_COMPRESS_IN_BYTES) > 0)
		json_object_set_new(
			derived, "compressed_to",
			json_real(counter(counters, LBS_STAT_COMPRESS_OUT_BYTES) /
				  counter(counters, LBS_STAT_COMPRESS_IN_BYTES)));
	if (!stat->endurance ||
	    lbs_store_peek(stat->ask.report.store, NULL, NULL, &info) < 0)
		return derived;
	age = difftime(time(NULL), (time_t)info.created_unix) / DAY_SECONDS;
	json_object_set_new(derived, "endurance_used",
			    json_real(written / (double)stat->endurance));
	/* A rate over less than an hour tells nothing. */
	if (age * 24 >= 1 && written > 0)
		json_object_set_new(derived, "days_left",
				    json_real(left > 0 ? left / (written / age)
						       : 0));
	return derived;
}

static void
print_derived(const json_t *derived)
{
	static const struct {
		const char *key, *label, *format;
		double scale;
	} lines[] = {
		{ "utilisation", "utilisation", "%20.1f %%\n", 100 },
		{ "write_amplification", "write amplification", "%20.2f\n", 1 },
		{ "write_amplification_lately", "the same since it was opened",
		  "%20.2f\n", 1 },
		{ "compressed_to", "compressed to", "%20.1f %%\n", 100 },
		{ "endurance_used", "endurance used", "%20.3f %%\n", 100 },
		{ "days_left", "days left at this rate", "%20.0f\n", 1 },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const json_t *value = json_object_get(derived, lines[i].key);

		if (!value || json_real_value(value) <= 0)
			continue;
		printf("  %-28s ", lines[i].label);
		printf(lines[i].format,
		       json_real_value(value) * lines[i].scale);
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
	print_range(counters, FIRST_GAUGE, FIRST_TOTAL, 1);
	print_derived(json_object_get(answer, "derived"));
	printf("Since it was made\n");
	print_range(counters, FIRST_TOTAL, LBS_STAT_COUNT, 1);
}

int
command_stat(int argc, char **argv)
{
	struct stat_command stat = {
		.ask = { .report = { .program = "lbs stat" } },
	};
	struct report *report = &stat.ask.report;
	json_t *answer = NULL;
	int first, rc;

	rc = options_parse(report, &spec, argc, argv, set, &stat, &first);
	if (rc == OPTIONS_GO)
		rc = options_store(report, argc, argv, first);
	if (rc != OPTIONS_GO)
		return rc;
	rc = ask_store(&stat.ask, "stat", look, &answer);
	if (rc != EXIT_DONE)
		return rc;
	json_object_set_new(answer, "derived",
			    derive(&stat, json_object_get(answer, "counters")));
	if (report->json)
		return report_json(report, answer);
	print(report->store, answer);
	json_decref(answer);
	return report_done(report);
}
