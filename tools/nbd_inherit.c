/*
 * nbd_inherit.c - sockets that a service manager has opened for us: LISTEN_FDS, as
 * sd_listen_fds(3) describes it. They are its own: never removed by us.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/nbd_listen.h"

#define FIRST_FD 3

/* How many there are for this process: 0 to LISTENER_FDS_MAX, or -1. */
static int
given(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	int count = 0;

	if (pid && fds && strtol(pid, NULL, 10) == (long)getpid())
		count = atoi(fds);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return count < 0 || count > LISTENER_FDS_MAX ? -1 : count;
}

/* A listening stream socket of a family that clients can be told of. */
static int
adopt(struct listener *listener, int fd)
{
	struct sockaddr_un address;
	socklen_t len = sizeof(address), size = sizeof(int);
	int listens = 0;

	memset(&address, 0, sizeof(address));
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 ||
	    !listens || getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return -1;
	listener->fds[listener->count++] = fd;
	if (address.sun_family == AF_UNIX && address.sun_path[0] == '/' &&
	    !listener->path)
		listener->path = strndup(address.sun_path,
					 sizeof(address.sun_path));
	return 0;
}

int
listener_inherit(struct report *report, struct listener *out)
{
	int count = given();

	*out = (struct listener){ .dir_lock = -1 };
	for (int i = 0; i < count; i++)
		if (adopt(out, FIRST_FD + i) < 0)
			count = -1;
	if (count == 0)
		return EXIT_DONE;
	if (count > 0 && (out->path || listener_note_address(out) == 0))
		return EXIT_DONE;
	listener_close(out, 0);
	return report_error(report, "invalid",
			    "the sockets that were passed in LISTEN_FDS cannot "
			    "be used: pass up to %d that listen",
			    LISTENER_FDS_MAX);
}
