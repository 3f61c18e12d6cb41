/* options.c - see options.h. */
#include "tools/common/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "lbs.h"

/* A bound, not a wish: the largest table has fewer than half of it. */
#define OPTIONS_MAX 48

static const struct option_spec common[] = {
	{ "json", 0, NULL, "report as JSON on standard output, errors too" },
	{ "quiet", 'q', NULL, "no progress bar, no informational lines" },
	{ "help", 'h', NULL, "show this and stop" },
	{ "version", 'V', NULL, "show the version and stop" },
	{ NULL, 0, NULL, NULL },
};
enum { COMMON_JSON, COMMON_QUIET, COMMON_HELP, COMMON_VERSION };

/* getopt's values: the table's entry plus this, so that no letter collides. */
#define OWN_BASE    1000
#define COMMON_BASE 2000

static int
find_letter(const struct option_spec *table, int letter)
{
	for (int i = 0; table && table[i].name; i++)
		if (table[i].letter && table[i].letter == letter)
			return i;
	return -1;
}

static void
add_table(const struct option_spec *table, int base, struct option *longs,
	  int *count, char *shorts)
{
	for (int i = 0; table && table[i].name && *count < OPTIONS_MAX; i++) {
		longs[(*count)++] = (struct option){
			.name = table[i].name,
			.has_arg =
				table[i].arg ? required_argument : no_argument,
			.val = base + i,
		};
		if (table[i].letter) {
			size_t len = strlen(shorts);

			shorts[len] = table[i].letter;
			shorts[len + 1] = table[i].arg ? ':' : '\0';
			shorts[len + 2] = '\0';
		}
	}
}

static int
set_common(struct report *report, const struct command_spec *command,
	   int option)
{
	switch (option) {
	case COMMON_JSON:
		report->json = 1;
		return OPTIONS_GO;
	case COMMON_QUIET:
		report->quiet = 1;
		return OPTIONS_GO;
	case COMMON_HELP:
		options_help(report, command);
		return report_done(report);
	default:
		printf("lbs %s\n", lbs_version());
		return report_done(report);
	}
}

/* Nothing has an empty name: more likely a shell's variable was. */
static int
refuse_empty(struct report *report, const struct option_spec *option,
	     const char *value)
{
	static const char *const names[] = { "DIR", "FILE", "PATH", "IMAGE",
					     "ADDR" };

	for (size_t i = 0; value && !*value && i < sizeof names / sizeof *names;
	     i++)
		if (option->arg && strcmp(option->arg, names[i]) == 0)
			return report_usage(report, "--%s is empty: give its %s",
					    option->name, names[i]);
	return OPTIONS_GO;
}

int
options_parse(struct report *report, const struct command_spec *command,
	      int argc, char **argv,
	      int (*set)(void *ctx, int option, const char *value), void *ctx,
	      int *first)
{
	struct option longs[OPTIONS_MAX + 1] = { 0 };
	char shorts[3 * OPTIONS_MAX] = ":";
	int count = 0, rc, value;

	add_table(command->options, OWN_BASE, longs, &count, shorts);
	add_table(common, COMMON_BASE, longs, &count, shorts);
	/* Seen first, so that an error about a later option is JSON too. */
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			report->json = 1;

	opterr = 0;
	optind = 0; /* a fresh start, also for a second call */
	while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (value == ':')
			return report_usage(report, "%s needs a value",
					    argv[optind - 1]);
		if (value == '?' && optopt >= OWN_BASE)
			return report_usage(report,
					    "%s: that option takes no value",
					    argv[optind - 1]);
		if (value == '?' && optopt)
			return report_usage(report, "-%c: no such option",
					    optopt);
		if (value == '?')
			return report_usage(report, "%s: no such option",
					    argv[optind - 1]);
		if (value < OWN_BASE) {
			int own = find_letter(command->options, value);

			value = own >= 0 ? OWN_BASE + own
					 : COMMON_BASE +
						   find_letter(common, value);
		}
		rc = value >= COMMON_BASE
			     ? OPTIONS_GO
			     : refuse_empty(report,
					    &command->options[value - OWN_BASE],
					    optarg);
		if (rc != OPTIONS_GO)
			return rc;
		rc = value >= COMMON_BASE
			     ? set_common(report, command, value - COMMON_BASE)
			     : set(ctx, value - OWN_BASE, optarg);
		if (rc != OPTIONS_GO)
			return rc;
	}
	*first = optind;
	return OPTIONS_GO;
}

static void
help_table(const struct option_spec *table)
{
	for (int i = 0; table && table[i].name; i++) {
		const struct option_spec *o = &table[i];
		char left[64];

		if (!o->help)
			continue;
		snprintf(left, sizeof(left), "%c%c%s--%s%s%s",
			 o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
			 o->letter ? ", " : "  ", o->name, o->arg ? " " : "",
			 o->arg ? o->arg : "");
		printf("  %-30s %s\n", left, o->help);
	}
}

void
options_help(const struct report *report, const struct command_spec *command)
{
	const char *program = report->program;

	/* The usage line names the subcommand itself. */
	printf("Usage: %.*s %s\n\n%s\n\n", (int)strcspn(program, " "), program,
	       command->usage, command->about);
	help_table(command->options);
	help_table(common);
	if (command->epilogue)
		printf("\n%s\n", command->epilogue);
}

int
options_store(struct report *report, int argc, char **argv, int first)
{
	if (first >= argc || !*argv[first])
		return report_usage(report, "which store? name its metadata "
					    "file, as corp.lbs");
	if (argc - first > 1)
		return report_usage(report, "'%s' is one operand too many",
				    argv[first + 1]);
	report->store = argv[first];
	return OPTIONS_GO;
}
