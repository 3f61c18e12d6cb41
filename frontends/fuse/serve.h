/*
 * serve.h - serves a store as a directory of files, one a vdisk.
 * Must never open the store before the caller has forked for the last time.
 */
#ifndef LBS_FRONTENDS_FUSE_SERVE_H
#define LBS_FRONTENDS_FUSE_SERVE_H

#include <sys/types.h>

#include "lbs.h"

struct fuse_config {
	const char *store;	/* metadata file, absolute, links resolved */
	const char *data_dir;	/* or NULL */
	const char *owner;	/* program name that a second opener is told */
	const char *mountpoint; /* an absolute path */
	const char
		*mount_options; /* for the kernel: "allow_other,noexec" or "" */
	int read_only;
	uid_t uid; /* of the files, as the next two */
	gid_t gid;
	mode_t mode;	       /* 0600; without the write bits if read_only */
	unsigned threads;      /* requests at a time */
	lbs_log_fn *log;       /* from any thread */
	void (*ready)(void *); /* mounted: requests are answered from now on */
	void *ctx;	       /* of log and ready */
};

/* Not a code of the library's: the store could be opened, not mounted. */
enum { FUSE_NOT_MOUNTED = 1 };

/* Opens the store, mounts it, answers requests until it is unmounted or
 * SIGTERM, SIGINT or SIGHUP comes; then writes a checkpoint and closes. Call it
 * from the main thread, alone in the process. 0, FUSE_NOT_MOUNTED or LBS_E...;
 * the sentence went to log. */
int fuse_serve(const struct fuse_config *config);

#endif
