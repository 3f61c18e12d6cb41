/* qemu.c - see qemu.h. */
#include "tools/qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/wall.h"

#define TICK_MS		 200
#define OUTPUT_MAX_BYTES ((size_t)1 << 20)
#define NOT_FOUND	 127
#define NO_WALL		 126
/* Address space, ample for any format that is well: a header that asks for more
 * is not. Copying has threads, each with a stack. */
#define BRIEF_MEMORY_BYTES ((rlim_t)1 << 30)
#define COPY_MEMORY_BYTES  ((rlim_t)4 << 30)
#define BRIEF_CPU_S	   30
#define FILES_MAX	 64

static void
limit(int resource, rlim_t most)
{
	const struct rlimit r = { most, most };

	setrlimit(resource, &r);
}

/* In the child. */
static void __attribute__((noreturn))
become(const struct qemu_run *run, int out, int err, pid_t parent)
{
	const char *argv[QEMU_ARGS_MAX + 1] = { "qemu-img" };
	static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILED);
	/* ^C on the terminal is for our parent. */
	setsid();
	for (size_t i = 0; i < sizeof(caught) / sizeof(*caught); i++)
		signal(caught[i], SIG_DFL);
	dup2(nothing, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	/* Its messages are read by us, too. */
	setenv("LC_ALL", "C", 1);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, FILES_MAX);
	limit(RLIMIT_AS, run->brief ? BRIEF_MEMORY_BYTES : COPY_MEMORY_BYTES);
	if (run->brief)
		limit(RLIMIT_CPU, BRIEF_CPU_S);
	if (run->only_image && wall_around(run->only_image) < 0)
		_exit(NO_WALL);
	for (int i = 0; run->args[i]; i++)
		argv[i + 1] = run->args[i];
	execvp(argv[0], (char *const *)argv);
	_exit(errno == ENOENT ? NOT_FOUND : NO_WALL);
}

/* The part done, from the end of "    (12.34/100%)\r", or what it was. */
static double
part_done(const struct qemu_run *run, double before)
{
	const char *text = run->output, *at = NULL;
	double percent;

	for (const char *p = text; (p = strstr(p, "/100%)")) != NULL; p++)
		at = p;
	while (at && at > text && *at != '(')
		at--;
	if (!at || sscanf(at, "(%lf/100%%)", &percent) != 1 || percent < 0 ||
	    percent > 100)
		return before;
	return percent / 100;
}

/* Takes what there is. Returns 0 at the end. */
static int
take_output(struct qemu_run *run, int fd, int keep)
{
	char piece[4096];
	ssize_t n = read(fd, piece, sizeof(piece));

	if (n < 0 && errno == EINTR)
		return 1;
	if (n <= 0)
		return 0;
	/* Of progress, the last line is what counts. */
	if (!keep && run->output_len + (size_t)n > sizeof(piece))
		run->output_len = 0;
	if (run->output_len + (size_t)n > OUTPUT_MAX_BYTES)
		return 0;
	memcpy(run->output + run->output_len, piece, (size_t)n);
	run->output_len += (size_t)n;
	run->output[run->output_len] = '\0';
	return 1;
}

static int
take_error(struct qemu_run *run, int fd, size_t *len)
{
	char rest[512];
	size_t room = sizeof(run->said) - 1 - *len;
	ssize_t n = room ? read(fd, run->said + *len, room)
			 : read(fd, rest, sizeof(rest));

	if (n < 0 && errno == EINTR)
		return 1;
	if (n > 0 && room)
		*len += (size_t)n;
	return n > 0;
}

/* What it said, without its name and what follows the first line. */
static void
first_line(char *said)
{
	static const char name[] = "qemu-img: ";

	said[strcspn(said, "\n")] = '\0';
	if (strncmp(said, name, sizeof(name) - 1) == 0)
		memmove(said, said + sizeof(name) - 1,
			strlen(said) - sizeof(name) + 2);
}

/* An end that nobody reads any more ends the child by SIGPIPE. */
static void
shut(struct pollfd *end)
{
	close(end->fd);
	end->fd = -1;
}

/* Reads both ends until they are closed, and closes them. */
static void
follow(struct qemu_run *run, int out, int err, pid_t pid)
{
	struct pollfd polls[2] = { { .fd = out, .events = POLLIN },
				   { .fd = err, .events = POLLIN } };
	size_t said = 0;
	double part = 0;

	while (polls[0].fd >= 0 || polls[1].fd >= 0) {
		if (!run->stopped && run->tick && run->tick(run->ctx, part)) {
			run->stopped = 1;
			kill(pid, SIGKILL);
		}
		if (poll(polls, 2, TICK_MS) <= 0)
			continue;
		if (polls[0].revents && !take_output(run, out, run->brief))
			shut(&polls[0]);
		if (polls[1].revents && !take_error(run, err, &said))
			shut(&polls[1]);
		part = part_done(run, part);
	}
	first_line(run->said);
}

int
qemu_img(struct report *report, struct qemu_run *run)
{
	int out[2] = { -1, -1 }, err[2] = { -1, -1 }, status = 0, rc;
	pid_t parent = getpid(), pid = -1;

	run->stopped = 0;
	memset(run->said, 0, sizeof(run->said));
	run->output_len = 0;
	run->output = calloc(1, OUTPUT_MAX_BYTES + 1);
	if (run->output && pipe2(out, O_CLOEXEC) == 0 &&
	    pipe2(err, O_CLOEXEC) == 0)
		pid = fork();
	if (pid == 0)
		become(run, out[1], err[1], parent);
	rc = EXIT_DONE;
	if (pid < 0) {
		rc = report_error(report, "failed",
				  "no process can be started: %s",
				  strerror(errno));
		goto done;
	}
	close(out[1]);
	close(err[1]);
	out[1] = err[1] = -1;
	follow(run, out[0], err[0], pid);
	out[0] = err[0] = -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	run->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status)
					     : WEXITSTATUS(status);
	if (run->exit_code == NOT_FOUND)
		rc = report_error(report, "not-found",
				  "qemu-img cannot be run: install the package "
				  "qemu-utils");
	else if (run->exit_code == NO_WALL)
		rc = report_error(report, "failed",
				  "qemu-img cannot be run, or not be kept from "
				  "other files: see that it lies below /usr");
done:
	for (int i = 0; i < 2; i++) {
		if (out[i] >= 0)
			close(out[i]);
		if (err[i] >= 0)
			close(err[i]);
	}
	if (rc != EXIT_DONE) {
		free(run->output);
		run->output = NULL;
	}
	return rc;
}
