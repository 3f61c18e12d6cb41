/* nbd_listen.c - see nbd_listen.h. */
#include "tools/nbd_listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define NBD_GREETING_BYTES 18 /* NBDMAGIC, IHAVEOPT, flags */
#define NBD_OPT_ABORT	   2

/* ---- Unix sockets -------------------------------------------------------- */

static int
fill_address(const char *path, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(address->sun_path))
		return -1;
	strcpy(address->sun_path, path);
	return 0;
}

/* Two servers that start at once would each find the other's socket stale in
 * the moment between bind and listen: the directory's lock makes them take
 * turns. If somebody else sits on that lock, we go on without it. */
static int
lock_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = strndup(path, (size_t)(slash - path) + 1);
	int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	for (int i = 0; fd >= 0 && i < 50; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			break;
		poll(NULL, 0, 100);
	}
	free(dir);
	return fd;
}

/* Who listens at a socket: its pid, 0 if that cannot be told, -1 for nobody. */
static pid_t
socket_holder(const struct sockaddr_un *address)
{
	struct ucred peer = { .pid = 0 };
	socklen_t len = sizeof(peer);
	pid_t holder = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return 0;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		holder = errno == ECONNREFUSED ? -1 : 0;
	else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		holder = peer.pid;
	close(fd);
	return holder;
}

/* Makes the way free for bind. */
static int
clear_stale(struct report *report, const char *path,
	    const struct sockaddr_un *address)
{
	struct stat st;
	pid_t holder;

	if (lstat(path, &st) < 0)
		return EXIT_DONE;
	if (!S_ISSOCK(st.st_mode))
		return report_error(report, "exists",
				    "%s is not a socket: choose another name "
				    "with --socket",
				    path);
	holder = socket_holder(address);
	if (holder > 0)
		return report_error(report, "busy",
				    "process %d answers at %s: stop it, or "
				    "choose another name with --socket",
				    (int)holder, path);
	if (holder == 0)
		return report_error(report, "busy",
				    "another process answers at %s: stop it, "
				    "or choose another name with --socket",
				    path);
	if (unlink(path) < 0 && errno != ENOENT)
		return report_error(report, "io",
				    "%s: the socket of an earlier "
				    "server cannot be removed: %s",
				    path, strerror(errno));
	return EXIT_DONE;
}

int
listener_open_unix(struct report *report, const char *path, mode_t mode,
		   gid_t group, struct listener *out)
{
	struct sockaddr_un address;
	struct stat st;
	int fd = -1, rc;

	*out = (struct listener){ .dir_lock = -1 };
	if (fill_address(path, &address) < 0)
		return report_usage(report,
				    "a socket's path may have %zu bytes, this "
				    "one has %zu: name a shorter one with "
				    "--socket",
				    sizeof(address.sun_path) - 1, strlen(path));
	out->dir_lock = lock_directory(path);
	rc = clear_stale(report, path, &address);
	if (rc != EXIT_DONE)
		goto fail;
	out->path = strdup(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* The mode of the descriptor becomes the file's: at no moment may
	 * anybody connect who shall not. */
	if (!out->path || fd < 0 || fchmod(fd, 0600) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		rc = report_error(report, "io",
				  "%s: the socket cannot be made: "
				  "%s",
				  path, strerror(errno));
		goto fail;
	}
	out->fds[out->count++] = fd;
	fd = -1;
	if (lstat(path, &st) == 0) {
		out->dev = st.st_dev;
		out->ino = st.st_ino;
	}
	if ((group != (gid_t)-1 && lchown(path, (uid_t)-1, group) < 0) ||
	    chmod(path, mode) < 0) {
		rc = report_error(report, "io",
				  "%s: mode or group of the "
				  "socket cannot be set: %s",
				  path, strerror(errno));
		goto fail;
	}
	return EXIT_DONE;
fail:
	if (fd >= 0)
		close(fd);
	listener_close(out, 1);
	return rc;
}

/* ---- TCP ------------------------------------------------------------------
 */

static int
bind_tcp(const struct addrinfo *ai)
{
	int one = 1;
	int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC,
			ai->ai_protocol);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return fd;
	close(fd);
	return -1;
}

int
listener_note_address(struct listener *listener)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	char host[NI_MAXHOST], service[NI_MAXSERV];
	int six;

	if (getsockname(listener->fds[0], (struct sockaddr *)&address, &len) <
		    0 ||
	    getnameinfo((struct sockaddr *)&address, len, host, sizeof(host),
			service, sizeof(service),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return -1;
	six = address.ss_family == AF_INET6;
	listener->port = (uint16_t)atoi(service);
	if (asprintf(&listener->address, six ? "[%s]" : "%s", host) < 0) {
		listener->address = NULL;
		return -1;
	}
	return 0;
}

int
listener_open_tcp(struct report *report, const char *address, uint16_t port,
		  struct listener *out)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	char service[8];
	int rc, gai, failed = 0;

	*out = (struct listener){ .dir_lock = -1 };
	snprintf(service, sizeof(service), "%u", (unsigned)port);
	gai = getaddrinfo(address, service, &hints, &list);
	if (gai != 0)
		return report_error(report, "invalid",
				    "--bind %s: %s: give an address of this "
				    "machine",
				    address, gai_strerror(gai));
	/* With any port, a second address would get another one. */
	for (struct addrinfo *ai = list;
	     ai && out->count < (port ? LISTENER_FDS_MAX : 1);
	     ai = ai->ai_next) {
		int fd = bind_tcp(ai);

		if (fd >= 0)
			out->fds[out->count++] = fd;
		else
			failed = errno;
	}
	freeaddrinfo(list);
	if (out->count > 0 && listener_note_address(out) == 0)
		return EXIT_DONE;
	rc = report_error(report, failed == EADDRINUSE ? "busy" : "io",
			  "port %u on %s cannot be used: %s: choose another "
			  "with --port",
			  (unsigned)port, address,
			  strerror(failed ? failed : ENOMEM));
	listener_close(out, 1);
	return rc;
}

/* ---- both -----------------------------------------------------------------
 */

int
listener_listen(struct report *report, struct listener *listener)
{
	int rc = EXIT_DONE;

	for (int i = 0; i < listener->count && rc == EXIT_DONE; i++)
		if (listen(listener->fds[i], SOMAXCONN) < 0)
			rc = report_error(report, "io",
					  "the socket cannot be "
					  "listened on: %s",
					  strerror(errno));
	if (listener->dir_lock >= 0)
		close(listener->dir_lock);
	listener->dir_lock = -1;
	return rc;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int
listener_greeted(const struct listener *listener, int watch, int timeout_ms)
{
	/* Client flags (fixed newstyle), then IHAVEOPT, NBD_OPT_ABORT, length.
	 */
	static const unsigned char leave[20] = {
		0,   0,	  0, 1, 'I', 'H',	    'A', 'V', 'E', 'O',
		'P', 'T', 0, 0, 0,   NBD_OPT_ABORT, 0,	 0,   0,   0,
	};
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	unsigned char greeting[NBD_GREETING_BYTES];
	size_t have = 0;
	int64_t deadline = now_ms() + timeout_ms;
	int rc = -1;
	int fd;

	if (getsockname(listener->fds[0], (struct sockaddr *)&address, &len) <
	    0)
		return -1;
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, len) < 0)
		goto out;
	while (have < sizeof(greeting)) {
		struct pollfd polls[2] = {
			{ .fd = fd, .events = POLLIN },
			{ .fd = watch }, /* its end is always reported */
		};
		int64_t left = deadline - now_ms();
		ssize_t n;

		if (left <= 0 || poll(polls, 2, (int)left) <= 0 ||
		    polls[1].revents)
			goto out;
		n = recv(fd, greeting + have, sizeof(greeting) - have, 0);
		if (n <= 0)
			goto out;
		have += (size_t)n;
	}
	if (memcmp(greeting, "NBDMAGICIHAVEOPT", 16) != 0)
		goto out;
	/* So that the server need not log that somebody hung up. */
	if (send(fd, leave, sizeof(leave), MSG_NOSIGNAL) == sizeof(leave)) {
		struct pollfd polls = { .fd = fd, .events = POLLIN };

		poll(&polls, 1, 1000);
	}
	rc = 0;
out:
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Encodes what a URI's query does not take as it is. */
static void
encode(const char *text, char *out)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~/";

	for (; *text; text++) {
		if (strchr(plain, *text))
			*out++ = *text;
		else
			out += sprintf(out, "%%%02X", (unsigned char)*text);
	}
	*out = '\0';
}

char *
listener_uri(const struct listener *listener, int tls)
{
	char encoded[3 * sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	char *uri = NULL;
	int n;

	if (listener->path) {
		encode(listener->path, encoded);
		n = asprintf(&uri, "nbd%s+unix:///?socket=%s", tls ? "s" : "",
			     encoded);
	} else {
		n = asprintf(&uri, "nbd%s://%s:%u/", tls ? "s" : "",
			     listener->address, (unsigned)listener->port);
	}
	return n < 0 ? NULL : uri;
}

void
listener_close(struct listener *listener, int remove)
{
	struct stat st;

	if (remove && listener->path && lstat(listener->path, &st) == 0 &&
	    st.st_dev == listener->dev && st.st_ino == listener->ino)
		unlink(listener->path);
	while (listener->count > 0)
		close(listener->fds[--listener->count]);
	if (listener->dir_lock >= 0)
		close(listener->dir_lock);
	listener->dir_lock = -1;
	free(listener->path);
	free(listener->address);
	listener->path = listener->address = NULL;
}
