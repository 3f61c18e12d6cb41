/*
 * fuse_options.h - what stands behind -o, on the command line or in fstab:
 * options for the kernel, for mount(8), and for us. Must never ignore an option
 * that means something.
 */
#ifndef LBS_TOOLS_FUSE_OPTIONS_H
#define LBS_TOOLS_FUSE_OPTIONS_H

#include <sys/types.h>

#include "tools/common/report.h"

struct fuse_options {
	char kernel[1024];    /* "allow_other,noexec", for the session */
	const char *data_dir; /* data=DIR, or NULL; never freed */
	int read_only;
	int sloppy; /* unknown options are ignored, as 'mount -s' wants */
	uid_t uid;
	gid_t gid;
	int mode; /* or -1 */
	unsigned threads;
};

/* Takes one comma-separated list; later options win. Returns OPTIONS_GO or an
 * exit code. */
int fuse_options_take(struct report *report, struct fuse_options *options,
		      const char *list);

#endif
