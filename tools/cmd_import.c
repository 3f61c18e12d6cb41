/*
 * cmd_import.c - lbs import: a disk image into a vdisk. Must refuse before it
 * writes anything, and must not read a file that only the image names.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/commands.h"
#include "tools/common/keyopt.h"
#include "tools/common/size.h"
#include "tools/copy.h"

struct import {
	struct copy copy;
	int dry, yes;
};

static const struct option_spec options[] = {
	{ "vdisk", 0, "NAME", "write to this one (disk)" },
	{ "format", 'f', "NAME", "of the image: raw, qcow2, vmdk, vhdx, vpc, vdi, ..." },
	{ "follow-backing", 0, NULL, "read other files that the image names, too" },
	{ "no-verify", 0, NULL, "do not compare afterwards" },
	{ "dry-run", 'n', NULL, "only tell what would be written over" },
	{ "yes", 'y', NULL, "do not ask before data is written over" },
	{ "data", 'd', "DIR", "where the card is, if not where it was" },
	KEYOPT_SPECS,
	{ NULL, 0, NULL, NULL },
};

static const struct command_spec spec = {
	.usage = "import [--vdisk NAME] [--format NAME] IMAGE STORE",
	.about =
		"Copies a disk image into a vdisk, which must be at least as large; what lies\n"
		"behind the image's end reads as zeroes afterwards. Zeroes take no room. The\n"
		"copy is flushed and compared with the image. A store that is being served is\n"
		"written through its server: then nobody else may write. What the vdisk held is\n"
		"lost: on a terminal it asks first.",
	.options = options,
	.epilogue =
		"Without --format qemu-img finds the format out. A raw image whose contents you\n"
		"do not trust may pass for another format: state --format raw. An image that\n"
		"refers to other files is refused without --follow-backing. When this is\n"
		"interrupted, the vdisk holds a part of the image; the store is whole.",
};

static int
set(void *ctx, int option, const char *value)
{
	struct import *import = ctx;
	const char *name = options[option].name;

	if (strcmp(name, "dry-run") == 0)
		import->dry = 1;
	else if (strcmp(name, "yes") == 0)
		import->yes = 1;
	else
		return copy_set(&import->copy, &options[option], value);
	return OPTIONS_GO;
}

/* Else the key would be on the disk that it encrypts. */
static int
check_other(struct report *report, const struct copy *copy)
{
	struct stat image, store;

	if (stat(copy->image.path, &image) || stat(report->store, &store) ||
	    image.st_dev != store.st_dev || image.st_ino != store.st_ino)
		return EXIT_DONE;
	return report_error(report, "bad-image",
			    "%s is the store itself: name the image first, then "
			    "the store", copy->image.name);
}

static int
check_size(const struct copy *copy)
{
	char image[SIZE_TEXT_BYTES], vdisk[SIZE_TEXT_BYTES];

	if (copy->image.size_bytes <= copy->vdisk_bytes)
		return EXIT_DONE;
	return report_error(copy->report, "too-large",
			    "%s has %s, the vdisk '%s' has %s: nothing was "
			    "written; make a larger store with 'lbs create "
			    "--from'",
			    copy->image.name,
			    size_format(copy->image.size_bytes, image),
			    copy->vdisk, size_format(copy->vdisk_bytes, vdisk));
}

/* Says what the image replaces, and asks where somebody can answer. */
static int
consent(const struct import *import)
{
	const struct copy *copy = &import->copy;
	char answer[16] = "", live[SIZE_TEXT_BYTES];

	if (!copy->written || import->yes || copy->report->json ||
	    !isatty(STDIN_FILENO))
		return EXIT_DONE;
	fprintf(stderr, "%s: the vdisk '%s' has been written to (%s live); the "
			"image replaces all of it: go on? [y/N] ",
		copy->report->store, copy->vdisk,
		size_format(copy->live_bytes, live));
	if (fgets(answer, sizeof answer, stdin) &&
	    (answer[0] == 'y' || answer[0] == 'Y'))
		return EXIT_DONE;
	return report_error(copy->report, "cancelled", "nothing was written");
}

static int
tell_dry(const struct copy *copy)
{
	char live[SIZE_TEXT_BYTES];

	if (copy->report->json)
		return report_json(copy->report,
				   json_pack("{s:o, s:s, s:o, s:s, s:I, s:b, s:b, s:I}",
					     "store", report_text(copy->report->store),
					     "vdisk", copy->vdisk, "image",
					     report_text(copy->image.name),
					     "format", copy->image.format, "bytes",
					     (json_int_t)copy->image.size_bytes,
					     "dry_run", 1, "written", copy->written,
					     "live_bytes",
					     (json_int_t)copy->live_bytes));
	printf("%s: nothing was written; the image would replace what the vdisk '%s' "
	       "holds (%s)\n",
	       copy->report->store, copy->vdisk,
	       copy->written ? size_format(copy->live_bytes, live)
			     : "nothing was ever written to it");
	return report_done(copy->report);
}

int
command_import(int argc, char **argv)
{
	struct report report = { .program = "lbs import" };
	struct import import = { .copy = { .report = &report, .vdisk = "disk" } };
	struct copy *copy = &import.copy;
	int first, rc;

	rc = options_parse(&report, &spec, argc, argv, set, &import, &first);
	if (rc == OPTIONS_GO && (argc - first < 2 || !*argv[first]))
		rc = report_usage(&report, "two operands are needed: the image "
					   "and the store");
	if (rc == OPTIONS_GO) {
		copy->image.name = argv[first];
		rc = options_store(&report, argc, argv, first + 1);
	}
	if (rc != OPTIONS_GO)
		return rc;
	rc = image_look(&report, &copy->image);
	if (rc == EXIT_DONE)
		rc = check_other(&report, copy);
	if (rc != EXIT_DONE)
		return rc;
	rc = copy_attach(copy, import.dry);
	if (rc == EXIT_DONE)
		rc = check_size(copy);
	if (rc == EXIT_DONE && !import.dry)
		rc = consent(&import);
	if (rc == EXIT_DONE && !import.dry)
		rc = copy_in(copy);
	rc = copy_detach(copy, rc);
	if (rc != EXIT_DONE)
		return rc;
	return import.dry ? tell_dry(copy) : copy_tell(copy, "imported");
}
