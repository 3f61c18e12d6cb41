/*
 * copy.h - a vdisk and an image file, one copied onto the other by qemu-img,
 * through the server of the store or through one of our own. What import,
 * export and create --from share. Must never call a copy done that was neither
 * flushed nor, unless told so, compared.
 */
#ifndef LBS_TOOLS_COPY_H
#define LBS_TOOLS_COPY_H

#include <limits.h>

#include "tools/common/options.h"
#include "tools/common/progress.h"
#include "tools/image.h"
#include "tools/nbd_private.h"

struct copy {
	struct report *report;
	const char *data_dir; /* or NULL */
	const char *vdisk;    /* its name */
	struct image image;
	int no_verify;
	int fresh;	      /* the vdisk was never written */
	int into;	      /* copy_in's: the vdisk is the target */
	/* The rest is copy_attach's. */
	struct progress progress;
	struct nbd_private server; /* pid 0: the store is served by others */
	const char *store; /* its name with links resolved */
	char socket[PATH_MAX + 8];
	uint64_t vdisk_bytes;
	int written;	  /* the store has been written to, ever */
	uint64_t live_bytes; /* of it, as of the last checkpoint */
	struct timespec begun, ended;
};

/* Takes an option that these commands share: a set() of options_parse. Others are
 * those of keys, refused when they are not known. */
int copy_set(struct copy *copy, const struct option_spec *option,
	     const char *value);

/* Finds the store's server, or starts one, and the size of the vdisk. SIGINT,
 * SIGTERM and SIGHUP stop the work politely from here on. EXIT_DONE or
 * EXIT_FAILED; then, too, copy_detach must be called. */
int copy_attach(struct copy *copy, int read_only);

/* image to vdisk: what lies behind the image's end reads as zeroes afterwards.
 * Flushed, and compared. */
int copy_in(struct copy *copy);
/* vdisk to image, whose file is there already and is written over. The same. */
int copy_out(struct copy *copy);

/* Ends a server of our own; rc is what has happened so far, and is returned
 * unless the end fails. */
int copy_detach(struct copy *copy, int rc);

/* The report of what was done, as JSON, in words, or as the user asked for it
 * (EXIT_...). verb: "imported". */
json_t *copy_json(const struct copy *copy);
void copy_print(const struct copy *copy, const char *verb);
int copy_tell(const struct copy *copy, const char *verb);

#endif
