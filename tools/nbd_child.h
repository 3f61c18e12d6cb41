/*
 * nbd_child.h - starts what lbs-nbd runs. Every child dies with its parent,
 * also when that is killed.
 */
#ifndef LBS_TOOLS_NBD_CHILD_H
#define LBS_TOOLS_NBD_CHILD_H

#include <sys/types.h>

#include "tools/nbd_serve.h"

/* Exit code of a child that could not be executed. */
#define NBD_CHILD_NOT_FOUND 127

struct nbd_child {
	pid_t pid;
	int link;   /* our end of the line to the plugin */
	int output; /* nbdkit's own messages */
};

/* Starts nbdkit with the plugin on the listening socket. 0 or -1 with errno. */
int nbd_child_start(const struct nbd_config *config,
		    const struct listener *listener, struct nbd_child *out);

/* Starts the command of --run in a shell that has $uri, $socket and
 * $unixsocket. Its pid, or -1 with errno. */
pid_t nbd_child_command(const struct nbd_config *config,
			const struct listener *listener);

#endif
