/*
 * cmd_later.c - the subcommands that this build does not have. Each is known by
 * name, says what to do instead where there is something, and touches nothing.
 */
#include <stdio.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/common/report.h"

static const struct {
	const char *name;
	const char *summary;
	const char *instead;
} later[] = {
	{ "vdisk", "create, delete and resize vdisks",
	  "a store has its one vdisk, 'disk'" },
	{ "snapshot", "create, delete, list and roll back snapshots",
	  "'lbs export' copies the vdisk into an image" },
	{ "clone", "make a vdisk from a snapshot",
	  "'lbs export' copies the vdisk, 'lbs create --from' makes a store of "
	  "the copy" },
	{ "resize", "change the capacity of a store",
	  "'lbs export' the vdisk, and 'lbs create --from' it with another "
	  "--capacity" },
	{ "backup", "copy the metadata while it is served",
	  "stop the server and copy the metadata file" },
	{ "key", "list, add, remove, rotate and export keys",
	  "the key lies in the metadata file: keep that on protected storage" },
	{ "rebuild", "make the metadata anew from the card and a recovery key",
	  "there is no recovery key yet: keep a copy of the metadata file" },
	{ "destroy", "erase a store by erasing its key",
	  "remove the metadata file and the data directory yourself" },
};
#define LATER (sizeof(later) / sizeof(later[0]))

const char *
later_summary(const char *name)
{
	for (size_t i = 0; i < LATER; i++)
		if (strcmp(name, later[i].name) == 0)
			return later[i].summary;
	return NULL;
}

int
command_later(int argc, char **argv)
{
	char program[32];
	struct report report = { .program = program };
	const char *instead = "use another way";

	snprintf(program, sizeof(program), "lbs %s", argv[0]);
	for (size_t i = 0; i < LATER; i++)
		if (strcmp(argv[0], later[i].name) == 0)
			instead = later[i].instead;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			report.json = 1;
		if (strcmp(argv[i], "--version") == 0 ||
		    strcmp(argv[i], "-V") == 0) {
			printf("lbs %s\n", lbs_version());
			return report_done(&report);
		}
		if (strcmp(argv[i], "--help") == 0 ||
		    strcmp(argv[i], "-h") == 0) {
			printf("Usage: %s ...\n\nThis is to %s. It is not in "
			       "this build.\nUntil then: %s.\n",
			       program, later_summary(argv[0]), instead);
			return report_done(&report);
		}
	}
	return report_error(&report, "unsupported",
			    "this build cannot %s; nothing was "
			    "done: %s",
			    later_summary(argv[0]), instead);
}
