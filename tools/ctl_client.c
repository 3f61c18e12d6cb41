/*
 * ctl_client.c - see ctl_client.h.
 * Must never take more from the socket than a bounded answer.
 */
#include "tools/ctl_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX_BYTES (1024 * 1024)

/* Connects to the socket beside the store, whose name has symbolic links
 * resolved. Goes through the directory's descriptor, because a socket's path is
 * held to some hundred bytes. Returns a descriptor or a negative errno. */
static int
connect_beside(const char *store)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char *path = realpath(store, NULL), *name;
	int dir = -1, fd = -1, n, rc;

	if (!path)
		return -errno;
	name = strrchr(path, '/');
	*name++ = '\0';
	dir = open(*path ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (dir < 0 || fd < 0) {
		rc = -errno;
		goto out;
	}
	n = snprintf(address.sun_path, sizeof(address.sun_path),
		     "/proc/self/fd/%d/%s.ctl", dir, name);
	rc = -ENAMETOOLONG;
	if (n < 0 || (size_t)n >= sizeof(address.sun_path))
		goto out;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		rc = -errno;
		goto out;
	}
	rc = fd;
	fd = -1;
out:
	if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
	free(path);
	return rc;
}

static int
send_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Reads up to the end of the stream. */
static int
read_all(int fd, char **text)
{
	struct pollfd polls = { .fd = fd, .events = POLLIN };
	char *have = malloc(ANSWER_MAX_BYTES + 1);
	size_t len = 0;
	int rc = -ENOMEM;

	if (!have)
		return rc;
	for (;;) {
		ssize_t n;
		int ready = poll(&polls, 1, CTL_CLIENT_PATIENCE_MS);

		rc = -ETIMEDOUT;
		if (ready == 0)
			goto out;
		n = ready < 0 ? -1
			      : recv(fd, have + len, ANSWER_MAX_BYTES - len, 0);
		rc = -errno;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			goto out;
		len += (size_t)n;
		rc = -EPROTO;
		if (n > 0 && len == ANSWER_MAX_BYTES)
			goto out;
		if (n == 0)
			break;
	}
	if (len == 0 || have[len - 1] != '\n')
		goto out;
	have[len] = '\0';
	*text = have;
	have = NULL;
	rc = 0;
out:
	free(have);
	return rc;
}

int
ctl_call(const char *path, const char *command, char **text)
{
	char line[64];
	int fd, rc, n = snprintf(line, sizeof(line), "%s\n", command);

	if (n < 0 || (size_t)n >= sizeof(line))
		return -EINVAL;
	fd = connect_beside(path);
	if (fd < 0)
		return fd;
	rc = send_all(fd, line, (size_t)n);
	if (rc == 0)
		rc = read_all(fd, text);
	close(fd);
	return rc;
}
