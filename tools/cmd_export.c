/*
 * cmd_export.c - lbs export: a vdisk into a disk image. Must never write over a
 * file that was there, nor leave half an image behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/commands.h"
#include "tools/common/keyopt.h"
#include "tools/copy.h"

static const struct option_spec options[] = {
	{ "vdisk", 0, "NAME", "read this one (disk)" },
	{ "format", 'f', "NAME", "raw, qcow2, vmdk, vhdx, vpc, vdi, ... (by the file's name, or raw)" },
	{ "no-verify", 0, NULL, "do not compare afterwards" },
	{ "data", 'd', "DIR", "where the card is, if not where it was" },
	KEYOPT_SPECS,
	{ NULL, 0, NULL, NULL },
};

static const struct command_spec spec = {
	.usage = "export [--vdisk NAME] [--format NAME] STORE IMAGE",
	.about =
		"Copies a vdisk into a new disk image, sparse where the vdisk is, and compares\n"
		"the two. A store that is being served is read through its server: the copy is\n"
		"of one moment only if nobody writes meanwhile. The image is not encrypted; its\n"
		"mode is 0600.",
	.options = options,
	.epilogue =
		"What fails or is interrupted leaves no image behind, and an existing file is\n"
		"not written over.",
};

static int
set(void *ctx, int option, const char *value)
{
	return copy_set(ctx, &options[option], value);
}

/* Claims the name with an empty file of our own; path and format are set. */
static int
claim(struct report *report, struct image *image)
{
	const char *format = image_format_of_name(image->name);
	char *dir = strdup(image->name), *base = strdup(image->name);
	char *where = dir ? realpath(dirname(dir), NULL) : NULL;
	int fd = -1, n = -1, why = errno;

	if (!image->format[0])
		strcpy(image->format, format ? format : "raw");
	if (where && base)
		n = snprintf(image->path, sizeof(image->path), "%s/%s",
			     strcmp(where, "/") == 0 ? "" : where,
			     basename(base));
	if (n > 0 && (size_t)n < sizeof(image->path)) {
		fd = open(image->path,
			  O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		why = errno;
	}
	free(where);
	free(base);
	free(dir);
	if (fd >= 0) {
		close(fd);
		return EXIT_DONE;
	}
	image->path[0] = '\0';
	if (why == EEXIST)
		return report_error(report, "exists",
				    "%s exists already: choose another name, "
				    "or remove it",
				    image->name);
	return report_error(report, why == ENOSPC ? "no-space" : "io",
			    "the image %s cannot be made: %s", image->name,
			    strerror(why));
}

static int
sync_path(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC), rc;

	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

/* The image and its name are on the medium. */
static int
make_durable(struct report *report, const struct image *image)
{
	char *dir = strdup(image->path);

	if (dir && sync_path(image->path, O_WRONLY) == 0 &&
	    sync_path(dirname(dir), O_RDONLY | O_DIRECTORY) == 0) {
		free(dir);
		return EXIT_DONE;
	}
	free(dir);
	return report_error(report, errno == ENOSPC ? "no-space" : "io",
			    "the image %s cannot be made durable: %s",
			    image->name, strerror(errno));
}

static void
drop_half(struct image *image, int rc)
{
	if (rc == EXIT_DONE || !image->path[0])
		return;
	unlink(image->path);
	image->path[0] = '\0';
}

int
command_export(int argc, char **argv)
{
	struct report report = { .program = "lbs export" };
	struct copy copy = { .report = &report, .vdisk = "disk" };
	int first, rc;

	rc = options_parse(&report, &spec, argc, argv, set, &copy, &first);
	if (rc == OPTIONS_GO && (argc - first < 2 || !*argv[first + 1]))
		rc = report_usage(&report, "two operands are needed: the store "
					   "and the image");
	if (rc == OPTIONS_GO && argc - first > 2)
		rc = report_usage(&report, "'%s' is one operand too many",
				  argv[first + 2]);
	if (rc == OPTIONS_GO) {
		copy.image.name = argv[first + 1];
		rc = options_store(&report, argc - 1, argv, first);
	}
	if (rc != OPTIONS_GO)
		return rc;
	rc = copy_attach(&copy, 1);
	copy.image.size_bytes = copy.vdisk_bytes;
	if (rc == EXIT_DONE)
		rc = claim(&report, &copy.image);
	if (rc == EXIT_DONE)
		rc = copy_out(&copy);
	if (rc == EXIT_DONE)
		rc = make_durable(&report, &copy.image);
	/* While signals do not end us; then what the server's end may spoil. */
	drop_half(&copy.image, rc);
	rc = copy_detach(&copy, rc);
	drop_half(&copy.image, rc);
	return rc == EXIT_DONE ? copy_tell(&copy, "exported to") : rc;
}
