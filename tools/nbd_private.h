/*
 * nbd_private.h - a store served for this program alone: on a socket in a
 * directory that only its user can enter, in a child that closes the store
 * cleanly also when its parent is killed.
 */
#ifndef LBS_TOOLS_NBD_PRIVATE_H
#define LBS_TOOLS_NBD_PRIVATE_H

#include <limits.h>
#include <sys/types.h>

#include "tools/nbd_serve.h"

struct nbd_private {
	pid_t pid; /* of the server, 0 when it has ended */
	char dir[64];
	char socket[80];
	int status; /* of waitpid, once it has ended */
};

/* Starts it and waits until clients can connect, or tick(ctx) is nonzero.
 * config needs the store and what goes with it, no more. EXIT_DONE, or
 * EXIT_FAILED with the failure reported (by the child, if it is the store's). */
int nbd_private_start(struct report *report, const struct nbd_config *config,
		      int (*tick)(void *ctx), void *ctx,
		      struct nbd_private *out);

/* Whether it still serves; it has reported why, if not. */
int nbd_private_serves(struct nbd_private *server);

/* Asks it to finish: no more clients, a checkpoint, the end. */
void nbd_private_finish(struct nbd_private *server);

/* The same, and waits for the end. EXIT_DONE when the store was closed as it
 * should be, else EXIT_FAILED, with the failure reported by the child. */
int nbd_private_stop(struct nbd_private *server);

#endif
