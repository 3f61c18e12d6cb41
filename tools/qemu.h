/*
 * qemu.h - runs qemu-img, which knows the image formats, as a child that dies
 * with its parent, has bounds, and may be shut in with the one image it is to
 * read. Must never be given a shell.
 */
#ifndef LBS_TOOLS_QEMU_H
#define LBS_TOOLS_QEMU_H

#include "tools/common/report.h"

#define QEMU_ARGS_MAX 32

struct qemu_run {
	const char *args[QEMU_ARGS_MAX]; /* after "qemu-img"; ends with NULL */
	/* Of files beside the system's own, only this one can be opened, for
	 * reading, and no network be reached, where the kernel knows Landlock.
	 * NULL: no such wall. */
	const char *only_image;
	int brief; /* looks at an image: half a minute of processor time */
	/* Called some times a second with the part done (0 to 1); nonzero stops
	 * the child. */
	int (*tick)(void *ctx, double part);
	void *ctx;
	/* Results: */
	int stopped;	    /* tick stopped it */
	int exit_code;	    /* else: 128 and more is a signal */
	char said[600];	    /* the first line of its standard error */
	char *output;	    /* its standard output, to be freed */
	size_t output_len;
};

/* Runs it to its end. EXIT_DONE when it could be run, whatever it answered;
 * else EXIT_FAILED, with the failure reported. */
int qemu_img(struct report *report, struct qemu_run *run);

#endif
