/*
 * report.h - how every program speaks: errors as
 * "PROGRAM: corp.lbs: what is wrong: what to do [word]" on stderr, and under
 * --json also as {"schema":1,"error":{"code":"word","message":...}} on stdout.
 * Must never print a secret, nor the same failure twice.
 */
#ifndef LBS_TOOLS_COMMON_REPORT_H
#define LBS_TOOLS_COMMON_REPORT_H

#include <jansson.h>

/* Exit codes of every program but lbsck. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Of the JSON that the programs write. */
#define REPORT_SCHEMA 1

struct report {
	const char *program;	/* "lbs create" */
	const char *store;	/* path as the user gave it, or NULL */
	int json;		/* --json was given */
	int quiet;		/* -q: no informational lines */
	char sentence[1024];	/* the last error sentence of the library */
};

/* A lbs_log_fn with a struct report as its context: keeps the sentence of an
 * error for report_failure, prints warnings and informational lines at once on
 * stderr. */
void report_log(void *ctx, int level, int code, const char *sentence);

/* Reports that the library failed with err (a negative LBS_E...): the sentence
 * that report_log kept, or the code's own, then what to do. Returns
 * EXIT_FAILED. */
int report_failure(struct report *report, int err);

/* Reports a failure in the program's own words. word is one of the stable
 * ones. Returns EXIT_FAILED. */
int report_error(struct report *report, const char *word, const char *format,
		 ...) __attribute__((format(printf, 3, 4)));

/* Reports wrong usage, and where help is. Returns EXIT_USAGE. */
int report_usage(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Text for JSON, which is UTF-8: names of files need not be, and messages are cut
 * anywhere. In what is not, each byte beyond ASCII becomes a question mark. */
json_t *report_text(const char *text);

/* Prints a JSON object on stdout with "schema" set, and releases it. Returns
 * EXIT_DONE, or EXIT_FAILED when stdout does not take it. */
int report_json(struct report *report, json_t *object);

/* Flushes stdout: EXIT_DONE, or EXIT_FAILED with a message (a full disk under
 * a redirection must not look like success). */
int report_done(struct report *report);

#endif
