/* image.c - see image.h. */
#include "tools/image.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "tools/common/options.h"
#include "tools/qemu.h"

static const struct {
	const char *suffix, *format;
} names[] = {
	{ "raw", "raw" },     { "img", "raw" },	  { "qcow2", "qcow2" },
	{ "qcow", "qcow" },   { "vmdk", "vmdk" }, { "vhdx", "vhdx" },
	{ "vhd", "vpc" },     { "vpc", "vpc" },	  { "vdi", "vdi" },
};

const char *
image_format_of_name(const char *name)
{
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < sizeof(names) / sizeof(*names); i++)
		if (strcasecmp(dot + 1, names[i].suffix) == 0)
			return names[i].format;
	return NULL;
}

int
image_set_format(struct report *report, const char *text,
		 char format[IMAGE_FORMAT_BYTES])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	size_t len = strlen(text);

	if (len == 0 || len >= IMAGE_FORMAT_BYTES ||
	    strspn(text, letters) != len)
		return report_usage(report,
				    "--format %s: raw, qcow2, vmdk, vhdx, vpc, "
				    "vdi or another of qemu-img's is expected",
				    text);
	memcpy(format, text, len + 1);
	return OPTIONS_GO;
}

/* The first other file that the image names, or NULL. info is qemu-img's. */
static const char *
other_file(const json_t *info, const char *path)
{
	const json_t *data = json_object_get(
		json_object_get(info, "format-specific"), "data");
	const json_t *extents = json_object_get(data, "extents"), *extent;
	const char *name =
		json_string_value(json_object_get(info, "backing-filename"));
	size_t i;

	if (!name)
		name = json_string_value(json_object_get(data, "data-file"));
	if (name)
		return name;
	json_array_foreach(extents, i, extent)
	{
		name = json_string_value(json_object_get(extent, "filename"));
		if (name && strcmp(name, path) != 0)
			return name;
	}
	return NULL;
}

static int
bad_image(struct report *report, const struct image *image, const char *why)
{
	return report_error(report, "bad-image",
			    "%s is no image that qemu-img can read (%s): check "
			    "it with 'qemu-img check', or state its --format",
			    image->name, why[0] ? why : "it says no more");
}

static int
judge(struct report *report, struct image *image, const json_t *info)
{
	const char *format = json_string_value(json_object_get(info, "format"));
	const char *named = image_format_of_name(image->name), *other;
	json_int_t size =
		json_integer_value(json_object_get(info, "virtual-size"));

	if (!format || strlen(format) >= sizeof(image->format) || size < 0)
		return bad_image(report, image, "its answer makes no sense");
	other = image->follow ? NULL : other_file(info, image->path);
	if (other)
		return report_error(report, "backing-file",
				    "%s is not whole, it refers to %s, which "
				    "was not read: --follow-backing reads it, "
				    "if you trust the image",
				    image->name, other);
	/* A damaged header looks like no format at all. */
	if (!image->format[0] && strcmp(format, "raw") == 0 && named &&
	    strcmp(named, "raw") != 0)
		return report_error(report, "bad-image",
				    "%s is not in the format %s that its name "
				    "says: --format raw takes it byte for byte",
				    image->name, named);
	if (size == 0)
		return report_error(report, "bad-image",
				    "%s is empty: there is nothing to import",
				    image->name);
	strcpy(image->format, format);
	image->size_bytes = (uint64_t)size;
	return EXIT_DONE;
}

int
image_look(struct report *report, struct image *image)
{
	struct qemu_run run = {
		.args = { "info", "--output=json" },
		.brief = 1,
	};
	json_t *info = NULL;
	struct stat st;
	int args = 2, rc;

	if (!realpath(image->name, image->path) || stat(image->path, &st) < 0)
		return report_error(report, "not-found",
				    "the image %s cannot be found: %s",
				    image->name, strerror(errno));
	/* qemu-img would wait for a pipe's writer. */
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return report_error(report, "bad-image",
				    "%s is no file and no block device",
				    image->name);
	if (image->format[0]) {
		run.args[args++] = "-f";
		run.args[args++] = image->format;
	}
	run.args[args] = image->path;
	run.only_image = image->follow ? NULL : image->path;
	rc = qemu_img(report, &run);
	if (rc != EXIT_DONE)
		return rc;
	if (run.exit_code == 0)
		info = json_loadb(run.output, run.output_len, 0, NULL);
	rc = json_is_object(info) ? judge(report, image, info)
				  : bad_image(report, image, run.said);
	json_decref(info);
	free(run.output);
	return rc;
}
