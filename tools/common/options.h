/*
 * options.h - options from a table: parsing, --help and usage errors from the
 * one list, so that they cannot disagree.
 */
#ifndef LBS_TOOLS_COMMON_OPTIONS_H
#define LBS_TOOLS_COMMON_OPTIONS_H

#include "tools/common/report.h"

struct option_spec {
	const char *name;	/* "segment-size"; NULL ends the table */
	char letter;		/* a short form, or 0 */
	const char *arg;	/* what the value is called, or NULL for none */
	const char *help;	/* one line; NULL = not shown */
};

struct command_spec {
	const char *usage;	/* "create --size SIZE --data DIR [...] STORE" */
	const char *about;	/* paragraph above the options */
	const struct option_spec *options;
	const char *epilogue;	/* paragraph below them, or NULL */
};

enum { OPTIONS_GO = -1 };	/* go on with the work */

/* Parses argv[1..]. For each option of the table calls set(ctx, index in the
 * table, value), which returns OPTIONS_GO or an exit code to stop with. --json,
 * --quiet, --help and --version are known to every command. Operands remain at
 * argv[*first]..argv[argc-1]. Returns OPTIONS_GO or an exit code. */
int options_parse(struct report *report, const struct command_spec *command,
		  int argc, char **argv,
		  int (*set)(void *ctx, int option, const char *value),
		  void *ctx, int *first);

/* Prints the help text on stdout. */
void options_help(const struct report *report,
		  const struct command_spec *command);

/* Takes exactly one operand, the store; sets report->store. Returns OPTIONS_GO
 * or EXIT_USAGE. */
int options_store(struct report *report, int argc, char **argv, int first);

#endif
