/*
 * nbd_private.c - see nbd_private.h.
 * Must never leave a server behind, nor end one before its store is closed.
 */
#include "tools/nbd_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS 200

static const int caught[] = { SIGINT, SIGTERM, SIGHUP };
#define CAUGHT (sizeof(caught) / sizeof(*caught))

/* A directory of mode 0700. A socket's path is held to some hundred bytes, and
 * qemu-img is told it in JSON: a long TMPDIR does not serve, nor one that is not
 * UTF-8. */
static int
make_dir(struct report *report, struct nbd_private *server)
{
	const char *base = getenv("TMPDIR");
	json_t *utf8 = base ? json_string(base) : NULL;

	if (!utf8 || base[0] != '/' ||
	    strlen(base) + sizeof("/lbs.XXXXXX") > sizeof(server->dir))
		base = "/tmp";
	json_decref(utf8);
	snprintf(server->dir, sizeof(server->dir), "%s/lbs.XXXXXX", base);
	if (!mkdtemp(server->dir))
		return report_error(report, "io",
				    "no directory for a socket can be made in "
				    "%s (%s): name another in TMPDIR",
				    base, strerror(errno));
	snprintf(server->socket, sizeof(server->socket), "%s/nbd", server->dir);
	return EXIT_DONE;
}

/* In the child: serves, and removes the directory. Returns the exit code. */
static int
serve(struct report *report, const struct nbd_config *config,
      const struct nbd_private *server, pid_t parent)
{
	struct listener listener;
	int rc;

	/* Blocked since before the fork, and read by nbd_serve: the end may be
	 * asked for at once, and the directory is to go all the same. */
	for (size_t i = 0; i < CAUGHT; i++)
		signal(caught[i], SIG_DFL);
	/* ^C on the terminal is for our parent. */
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	rc = getppid() == parent ? EXIT_DONE : EXIT_FAILED;
	if (rc == EXIT_DONE)
		rc = listener_open_unix(report, server->socket, 0600,
					(gid_t)-1, &listener);
	if (rc == EXIT_DONE)
		rc = nbd_serve(report, config, &listener);
	rmdir(server->dir);
	fflush(stdout);
	return rc;
}

int
nbd_private_serves(struct nbd_private *server)
{
	if (server->pid && waitpid(server->pid, &server->status, WNOHANG) != 0)
		server->pid = 0;
	return server->pid != 0;
}

/* Returns 1 when clients can connect, 0 when it ended, -1 when tick said so. */
static int
wait_ready(int fd, int (*tick)(void *ctx), void *ctx)
{
	struct pollfd polls = { .fd = fd, .events = POLLIN };
	char byte;

	for (;;) {
		if (tick(ctx))
			return -1;
		if (poll(&polls, 1, TICK_MS) > 0)
			return read(fd, &byte, 1) == 1;
	}
}

int
nbd_private_start(struct report *report, const struct nbd_config *config,
		  int (*tick)(void *ctx), void *ctx, struct nbd_private *out)
{
	struct nbd_config mine = *config;
	pid_t parent = getpid();
	sigset_t stops, before;
	int ready[2], rc;

	*out = (struct nbd_private){ .pid = 0 };
	rc = make_dir(report, out);
	if (rc != EXIT_DONE)
		return rc;
	fflush(stdout);
	sigemptyset(&stops);
	for (size_t i = 0; i < CAUGHT; i++)
		sigaddset(&stops, caught[i]);
	sigprocmask(SIG_BLOCK, &stops, &before);
	out->pid = pipe2(ready, O_CLOEXEC) < 0 ? -1 : fork();
	if (out->pid != 0)
		sigprocmask(SIG_SETMASK, &before, NULL);
	if (out->pid < 0) {
		rc = report_error(report, "failed",
				  "no process can be started: %s",
				  strerror(errno));
		rmdir(out->dir);
		out->pid = 0;
		return rc;
	}
	if (out->pid == 0) {
		close(ready[0]);
		mine.ready_fd = ready[1];
		_exit(serve(report, &mine, out, parent));
	}
	close(ready[1]);
	rc = wait_ready(ready[0], tick, ctx);
	close(ready[0]);
	if (rc == 1)
		return EXIT_DONE;
	nbd_private_stop(out);
	if (rc < 0)
		return report_error(report, "cancelled", "interrupted");
	return EXIT_FAILED;
}

void
nbd_private_finish(struct nbd_private *server)
{
	if (server->pid)
		kill(server->pid, SIGTERM);
}

int
nbd_private_stop(struct nbd_private *server)
{
	nbd_private_finish(server);
	while (server->pid &&
	       waitpid(server->pid, &server->status, 0) < 0 && errno == EINTR)
		;
	server->pid = 0;
	return WIFEXITED(server->status) ? WEXITSTATUS(server->status)
					 : EXIT_FAILED;
}
