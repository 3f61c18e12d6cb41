/*
 * nbd_serve.h - lbs-nbd's main loop: runs nbdkit on the listening socket,
 * watches it, starts it again when it was killed, ends it cleanly.
 */
#ifndef LBS_TOOLS_NBD_SERVE_H
#define LBS_TOOLS_NBD_SERVE_H

#include "tools/common/report.h"
#include "tools/nbd_listen.h"

#define NBD_EXTRA_MAX 8

/* What the command line said. Paths are absolute. */
struct nbd_config {
	const char *store;
	const char *data_dir; /* or NULL */
	const char *vdisk;    /* or NULL */
	const char *pidfile;  /* or NULL */
	const char *run;      /* command to run while serving, or NULL */
	const char *threads;  /* requests of a client at a time, or NULL */
	const char *extra[NBD_EXTRA_MAX]; /* options handed to nbdkit */
	int extra_count;
	int tls; /* clients must use it */
	int read_only;
	int verbose;
	int own_client; /* the one client is ours: we know when it hangs up */
	int background; /* messages to syslog once it serves */
	int ready_fd;	/* gets a zero byte once clients can connect, or -1 */
};

/* Serves until a signal, the end of the --run command, or a failure, which it
 * reports. Closes the listener. Returns the exit code. */
int nbd_serve(struct report *report, const struct nbd_config *config,
	      struct listener *listener);

#endif
