/*
 * image.h - what a disk image file is: its format and its size, told by
 * qemu-img, which reads nothing but that file. Images are not trusted: one that
 * names other files (a backing file, an external data file, extents elsewhere)
 * is refused unless the user asks to follow it.
 */
#ifndef LBS_TOOLS_IMAGE_H
#define LBS_TOOLS_IMAGE_H

#include <limits.h>
#include <stdint.h>

#include "tools/common/report.h"

#define IMAGE_FORMAT_BYTES 16

struct image {
	const char *name;	 /* as the user gave it */
	char path[PATH_MAX];	 /* absolute, so that it is never a URL */
	char format[IMAGE_FORMAT_BYTES]; /* of qemu-img */
	int follow;		 /* other files that it names are read, too */
	uint64_t size_bytes;	 /* of the disk in it */
};

/* Takes a format from the command line ("" if none was given). OPTIONS_GO or
 * EXIT_USAGE. */
int image_set_format(struct report *report, const char *text,
		     char format[IMAGE_FORMAT_BYTES]);

/* The format that a file's name stands for, as "qcow2" for "a.qcow2", or NULL. */
const char *image_format_of_name(const char *name);

/* Looks at an existing image. The caller has set name and follow, and format
 * where it was stated; else it is found out. EXIT_DONE, or EXIT_FAILED with the
 * failure reported. */
int image_look(struct report *report, struct image *image);

#endif
