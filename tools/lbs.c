/*
 * lbs - makes and describes stores. One table of subcommands; each lies in its
 * own file. Must never do half of what it was asked: what a build lacks, it
 * says and does nothing.
 */
#include <stdio.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/common/report.h"
#include "tools/common/stdio.h"

static const struct {
	const char *name;
	const char *summary; /* NULL = later_summary() */
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "create", "make a store", command_create },
	{ "info", "what a store is", command_info },
	{ "stat", "counters, of the running store if one serves it",
	  command_stat },
	{ "list", "the vdisks of a store", command_list },
	{ "clean", "make room out of what is partly dead", command_clean },
	{ "import", "copy a disk image into a vdisk", command_import },
	{ "export", "copy a vdisk into a disk image", command_export },
	{ "vdisk", NULL, command_later },
	{ "snapshot", NULL, command_later },
	{ "clone", NULL, command_later },
	{ "resize", NULL, command_later },
	{ "backup", NULL, command_later },
	{ "key", NULL, command_later },
	{ "rebuild", NULL, command_later },
	{ "destroy", NULL, command_later },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void
help_list(int built)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		const char *summary = commands[i].summary;

		if (!summary != !built)
			continue;
		if (!summary)
			summary = later_summary(commands[i].name);
		printf("  %-10s %s\n", commands[i].name, summary);
	}
}

static int
help(struct report *report)
{
	puts("Usage: lbs COMMAND [OPTIONS] STORE\n\n"
	     "A store is one metadata file (corp.lbs) on internal flash and one\n"
	     "data directory on a card. It holds the disk of a virtual machine,\n"
	     "encrypted, authenticated and fresh. lbs-nbd serves it, lbsck checks it.\n");
	help_list(1);
	puts("\nNot in this build (each says so and does nothing):");
	help_list(0);
	puts("\n'lbs help COMMAND' has the options. Exit codes: 0 done,\n"
	     "1 failed, 2 wrong usage.");
	return report_done(report);
}

int
main(int argc, char **argv)
{
	struct report report = { .program = "lbs" };
	char *of_command[] = { "lbs", argc > 2 ? argv[2] : NULL, "--help", NULL };

	stdio_begin(EXIT_FAILED);
	if (argc < 2)
		return report_usage(&report, "which command?");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    (strcmp(argv[1], "help") == 0 && argc == 2))
		return help(&report);
	if (strcmp(argv[1], "help") == 0) {
		argv = of_command;
		argc = 3;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("lbs %s\n", lbs_version());
		return report_done(&report);
	}
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], "--json") == 0)
			report.json = 1;
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	return report_usage(&report, "'%s' is no command", argv[1]);
}
