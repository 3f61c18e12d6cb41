/*
 * nbd_listen.h - the listening socket of lbs-nbd, which outlives each nbdkit.
 * Must never take the place of a socket that somebody answers on, and never
 * remove one that is not its own.
 */
#ifndef LBS_TOOLS_NBD_LISTEN_H
#define LBS_TOOLS_NBD_LISTEN_H

#include <stdint.h>
#include <sys/types.h>

#include "tools/common/report.h"

#define LISTENER_FDS_MAX 4

struct listener {
	int fds[LISTENER_FDS_MAX];
	int count;
	char *path; /* of a Unix socket, absolute; NULL for TCP */
	dev_t dev;  /* what bind made at path */
	ino_t ino;
	int dir_lock;  /* held from the look to listen(), or -1 */
	char *address; /* of a TCP socket, as in a URI: "127.0.0.1", "[::1]" */
	uint16_t port;
};

/* Binds a Unix socket with that mode, and that group if it is not (gid_t)-1.
 * What a killed server left behind is replaced. EXIT_DONE; EXIT_USAGE (the path
 * is too long) or EXIT_FAILED with the failure reported. */
int listener_open_unix(struct report *report, const char *path, mode_t mode,
		       gid_t group, struct listener *out);
/* Binds a TCP port (0: any) on an address or host name. */
int listener_open_tcp(struct report *report, const char *address, uint16_t port,
		      struct listener *out);
/* Takes the sockets that a service manager has passed (LISTEN_FDS); count is 0 if
 * there are none. */
int listener_inherit(struct report *report, struct listener *out);
/* Notes the numeric address and port of the first socket, for the URI. */
int listener_note_address(struct listener *listener);
/* Begins to listen. To be called by the process that stays: it is the one that
 * a refused second server names. */
int listener_listen(struct report *report, struct listener *listener);

/* Connects as a client, waits for an NBD server's greeting and takes leave.
 * Returns 0, or -1 when none came within timeout_ms or the peer of the socket
 * watch was closed. */
int listener_greeted(const struct listener *listener, int watch,
		     int timeout_ms);

/* The URI of the default export, to be freed; NULL for want of memory. */
char *listener_uri(const struct listener *listener, int tls);

/* Closes it; with remove, unlinks the Unix socket if it is still this one. */
void listener_close(struct listener *listener, int remove);

#endif
