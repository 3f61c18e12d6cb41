/*
 * nbd_child.c - see nbd_child.h.
 * Must never pass a descriptor on that the child has no use for.
 */
#include "tools/nbd_child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Where socket activation expects its descriptors. */
#define FIRST_FD 3
/* Out of the way of those. */
#define HIGH_FD	 32
#define ARGS_MAX (16 + NBD_EXTRA_MAX)

struct arguments {
	char *list[ARGS_MAX]; /* ends with NULL; all allocated */
	int count;
	int failed; /* want of memory */
};

static void
add(struct arguments *args, const char *prefix, const char *text)
{
	char *arg = NULL;

	if (args->count + 1 >= ARGS_MAX ||
	    asprintf(&arg, "%s%s", prefix, text) < 0) {
		args->failed = 1;
		return;
	}
	args->list[args->count++] = arg;
}

/* Where the plugin was installed, seen from the program: both may be moved
 * together. */
#ifndef LBS_PLUGINDIR
#define LBS_PLUGINDIR "../lib/nbdkit/plugins"
#endif

/* In the build tree the plugin lies beside the program. Where it is in neither
 * place, nbdkit may know. */
static void
add_plugin(struct arguments *args)
{
	static const char *const places[] = { "", LBS_PLUGINDIR "/" };
	char self[PATH_MAX], path[PATH_MAX + sizeof(LBS_PLUGINDIR) + 32];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	for (size_t i = 0; slash && i < sizeof(places) / sizeof(*places); i++) {
		snprintf(path, sizeof(path), "%.*s/%snbdkit-lbs-plugin.so",
			 (int)(slash - self), self, places[i]);
		if (access(path, R_OK) == 0) {
			add(args, path, "");
			return;
		}
	}
	add(args, "lbs", "");
}

static void
build_arguments(const struct nbd_config *config, int link_fd,
		struct arguments *args)
{
	char number[16];

	add(args, "nbdkit", "");
	add(args, "-f", "");
	if (config->verbose)
		add(args, "-v", "");
	if (config->read_only)
		add(args, "-r", "");
	if (config->threads)
		add(args, "--threads=", config->threads);
	for (int i = 0; i < config->extra_count; i++)
		add(args, config->extra[i], "");
	add_plugin(args);
	add(args, "store=", config->store);
	add(args, "owner=", "lbs-nbd");
	snprintf(number, sizeof(number), "%d", link_fd);
	add(args, "link-fd=", number);
	if (config->vdisk)
		add(args, "vdisk=", config->vdisk);
	if (config->data_dir)
		add(args, "data=", config->data_dir);
	if (config->read_only)
		add(args, "read-only=1", "");
}

/* In the child: dies with its parent from here on, has no signal blocked. */
static void
attach_to(pid_t parent)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may have died before that call. */
	if (getppid() != parent)
		_exit(EXIT_FAILED);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

/* In the child: puts the listening sockets and the link where nbdkit looks. */
static void
place_descriptors(const struct listener *listener, int link, int output)
{
	int high[LISTENER_FDS_MAX + 2], n = 0, nothing;

	for (int i = 0; i < listener->count; i++)
		high[n++] = fcntl(listener->fds[i], F_DUPFD_CLOEXEC, HIGH_FD);
	high[n++] = fcntl(link, F_DUPFD_CLOEXEC, HIGH_FD);
	dup2(output, STDERR_FILENO);
	dup2(output, STDOUT_FILENO);
	nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	dup2(nothing, STDIN_FILENO);
	for (int i = 0; i < n; i++)
		dup2(high[i], FIRST_FD + i); /* without close-on-exec */
}

int
nbd_child_start(const struct nbd_config *config,
		const struct listener *listener, struct nbd_child *out)
{
	struct arguments args = { .count = 0 };
	int pair[2] = { -1, -1 }, output[2] = { -1, -1 }, failed = 0;
	pid_t parent = getpid(), pid = -1;
	char text[16];

	build_arguments(config, FIRST_FD + listener->count, &args);
	if (args.failed) {
		errno = ENOMEM;
		goto out;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ||
	    pipe2(output, O_CLOEXEC) < 0)
		goto out;
	pid = fork();
	if (pid == 0) {
		attach_to(parent);
		/* ^C on the terminal is for us; we end nbdkit. */
		setsid();
		place_descriptors(listener, pair[1], output[1]);
		snprintf(text, sizeof(text), "%d", listener->count);
		setenv("LISTEN_FDS", text, 1);
		snprintf(text, sizeof(text), "%d", (int)getpid());
		setenv("LISTEN_PID", text, 1);
		unsetenv("LISTEN_FDNAMES");
		execvp(args.list[0], args.list);
		_exit(NBD_CHILD_NOT_FOUND);
	}
out:
	failed = pid < 0 ? errno : 0;
	if (pair[1] >= 0)
		close(pair[1]);
	if (output[1] >= 0)
		close(output[1]);
	if (failed) {
		if (pair[0] >= 0)
			close(pair[0]);
		if (output[0] >= 0)
			close(output[0]);
	} else {
		*out = (struct nbd_child){ pid, pair[0], output[0] };
	}
	for (int i = 0; i < args.count; i++)
		free(args.list[i]);
	errno = failed;
	return failed ? -1 : 0;
}

pid_t
nbd_child_command(const struct nbd_config *config,
		  const struct listener *listener)
{
	char *uri = listener_uri(listener, config->tls);
	pid_t parent = getpid(), pid = -1;
	char port[8];

	if (!uri) {
		errno = ENOMEM;
		return -1;
	}
	pid = fork();
	if (pid == 0) {
		attach_to(parent);
		snprintf(port, sizeof(port), "%u", (unsigned)listener->port);
		setenv("uri", uri, 1);
		setenv("socket", listener->path ? listener->path : "", 1);
		setenv("unixsocket", listener->path ? listener->path : "", 1);
		setenv("port", listener->path ? "" : port, 1);
		setenv("exportname", "", 1);
		execl("/bin/sh", "sh", "-c", config->run, (char *)NULL);
		_exit(NBD_CHILD_NOT_FOUND);
	}
	free(uri);
	return pid;
}
