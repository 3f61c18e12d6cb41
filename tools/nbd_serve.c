/*
 * nbd_serve.c - see nbd_serve.h.
 *
 * The states of the server, and who changes them:
 *
 *   OPENING --"ready" (on_ready)--> SERVING --killed (on_death)--> WAITING
 *      |                               |                              |
 *      | refused, ended, too slow      | stop                         | time
 *      v                               v                              v
 *    ENDED <--------ended-------- STOPPING                         OPENING
 *
 * Must never start a second nbdkit before the first is waited for (two would
 * serve one store), nor again after the store was refused, nor hide a failure.
 */
#include "tools/nbd_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "lbs.h"
#include "tools/common/serving.h"
#include "tools/nbd_child.h"

/* How long a store may take to open, and nbdkit to greet. */
#define OPEN_MAX_MS  300000
#define GREET_MAX_MS 10000
#define LINK_END_MS  5000
/* How long nbdkit may take to end after the store was refused. */
#define REFUSED_MAX_MS 5000
/* An nbdkit that lives this long is no part of a crash loop. Those that do not
 * are started again after 0.1, 0.2, 0.4, ... up to 3 s; then we give up. But
 * not where a client hung up on nbdkit 1.32: that is no fault of the store's.
 */
#define LIFE_GOOD_MS	   2000
#define PAUSE_MIN_MS	   100
#define PAUSE_MAX_MS	   3000
#define STRIKES_MAX	   20
#define STRIKES_CLOSED_MAX 5 /* of these, before the store was open again */

enum state { OPENING, SERVING, WAITING, STOPPING, ENDED };

struct serve {
	struct report *report;
	const struct nbd_config *config;
	struct listener *listener;
	enum state state;
	int stopping;		/* asked to end; also while OPENING again */
	int opened;		/* the store could be opened once */
	int served;		/* and clients could connect */
	int unwanted;		/* what was asked for beside it failed */
	int exit_code;		/* when ENDED */
	struct nbd_child child; /* pid 0: none */
	int refused;		/* LBS_E... that the plugin told, or 0 */
	int signals;		/* signalfd */
	int64_t since_ms;	/* of the state */
	int64_t until_ms;	/* OPENING: too slow; WAITING: start again */
	int strikes, strikes_closed;
	int hung_up;   /* nbdkit's last words: a client hung up */
	int again;     /* an unclean stop was begun anew */
	pid_t command; /* --run, or 0 */
	int command_code;
	char partial[512]; /* an unfinished line of nbdkit's */
	size_t partial_len;
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
enter(struct serve *s, enum state state)
{
	s->state = state;
	s->since_ms = now_ms();
}

/* ---- messages -------------------------------------------------------------
 */

/* Whether messages still go where the user started us. */
static int
on_terminal(const struct serve *s)
{
	return !s->config->background || !s->served;
}

static void __attribute__((format(printf, 3, 4)))
say(struct serve *s, int level, const char *format, ...)
{
	char text[1400];
	va_list args;

	if (level == LBS_LOG_INFO && s->report->quiet)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (on_terminal(s))
		fprintf(stderr, "%s: %s: %s%s\n", s->report->program,
			s->report->store,
			level == LBS_LOG_WARNING ? "warning: " : "", text);
	else
		syslog(level == LBS_LOG_ERROR	  ? LOG_ERR
		       : level == LBS_LOG_WARNING ? LOG_WARNING
						  : LOG_INFO,
		       "%s: %s", s->config->store, text);
}

/* The end, with a failure of our own words. */
static void __attribute__((format(printf, 3, 4)))
fail(struct serve *s, const char *word, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (on_terminal(s))
		report_error(s->report, word, "%s", text);
	else
		say(s, LBS_LOG_ERROR, "%s [%s]", text, word);
	s->exit_code = EXIT_FAILED;
	enter(s, ENDED);
}

/* The end, because the library refused the store. */
static void
fail_refused(struct serve *s)
{
	if (on_terminal(s))
		report_failure(s->report, s->refused);
	else
		say(s, LBS_LOG_ERROR, "%s [%s]",
		    s->report->sentence[0] ? s->report->sentence
					   : lbs_strerror(s->refused),
		    lbs_error_word(s->refused));
	s->exit_code = EXIT_FAILED;
	enter(s, ENDED);
}

/* ---- starting and stopping nbdkit -----------------------------------------
 */

static void
start(struct serve *s)
{
	s->refused = 0;
	s->hung_up = 0;
	s->report->sentence[0] = '\0';
	if (nbd_child_start(s->config, s->listener, &s->child) < 0) {
		s->child.pid = 0;
		fail(s, "failed", "no process can be started: %s",
		     strerror(errno));
		return;
	}
	enter(s, OPENING);
	s->until_ms = s->since_ms + OPEN_MAX_MS;
	if (s->stopping)
		send(s->child.link, "stop", 4, MSG_NOSIGNAL);
}

/* Ends nbdkit cleanly. The plugin hears "stop" when the store is open; it waits
 * for no client, see frontends/nbd/link.h. */
static void
stop(struct serve *s)
{
	if (s->stopping)
		return;
	s->stopping = 1;
	if (s->state == WAITING) {
		start(s); /* what it left behind is to be finished */
		return;
	}
	if (s->child.pid == 0 || s->state == ENDED)
		return;
	if (send(s->child.link, "stop", 4, MSG_NOSIGNAL) < 0)
		kill(s->child.pid, SIGTERM);
	if (s->state == SERVING)
		enter(s, STOPPING);
}

static int
write_pidfile(struct serve *s)
{
	/* No pipe's reader is waited for: nothing would end us meanwhile. */
	int fd = open(s->config->pidfile,
		      O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_CLOEXEC, 0666);
	int ok = fd >= 0 && dprintf(fd, "%d\n", (int)getpid()) > 0;

	if (fd >= 0 && close(fd) != 0)
		ok = 0;
	if (!ok)
		report_error(s->report, "io",
			     "--pidfile %s cannot be written: %s: name another",
			     s->config->pidfile, strerror(errno));
	return ok;
}

/* Tells who started us that clients can connect. If he is gone, he did not want
 * to wait: so nobody wants the server. */
static void
tell_ready(struct serve *s)
{
	int fd = s->config->ready_fd;
	char code = EXIT_DONE;

	if (s->config->background) {
		if (serving_ready(s->report, fd) < 0)
			stop(s);
	} else if (fd >= 0) {
		if (write(fd, &code, 1) != 1)
			stop(s);
		close(fd);
	}
}

/* Whether nbdkit closes its end, most likely by dying: the kernel closes what a
 * process had in any order, so its clients may see it first. */
static int
link_ends(const struct serve *s)
{
	struct pollfd polls = { .fd = s->child.link };

	return poll(&polls, 1, LINK_END_MS) > 0;
}

static void
on_ready(struct serve *s)
{
	if (s->state != OPENING)
		return;
	s->opened = 1;
	s->strikes_closed = 0;
	enter(s, s->stopping ? STOPPING : SERVING);
	if (s->served || s->stopping)
		return;
	if (listener_greeted(s->listener, s->child.link, GREET_MAX_MS) < 0) {
		if (!link_ends(s))
			fail(s, "failed",
			     "nbdkit has the store open but does not greet "
			     "clients: see its messages with --verbose -f");
		return; /* on_death comes next */
	}
	if (s->config->pidfile && !write_pidfile(s)) {
		s->unwanted = 1;
		stop(s);
		return;
	}
	s->served = 1;
	tell_ready(s);
	if (!s->config->run)
		return;
	s->command = nbd_child_command(s->config, s->listener);
	if (s->command < 0) {
		s->command = 0;
		fail(s, "failed", "--run: no process can be started: %s",
		     strerror(errno));
	}
}

/* ---- the line to the plugin, and nbdkit's own messages --------------------
 */

static void
on_message(struct serve *s, char *text)
{
	int level, code, at = 0;

	if (strcmp(text, "ready") == 0) {
		on_ready(s);
	} else if (sscanf(text, "failed %d", &code) == 1) {
		s->refused = code;
		s->until_ms = now_ms() + REFUSED_MAX_MS;
	} else if (sscanf(text, "log %d %d %n", &level, &code, &at) == 2 &&
		   at) {
		text += at;
		if (level != LBS_LOG_ERROR)
			say(s, level, "%s", text);
		else if (s->state == OPENING)
			report_log(s->report, level, code, text);
		else
			say(s, level, "%s [%s]", text, lbs_error_word(code));
	}
}

/* Takes every message that has come; closes the line at its end. */
static void
read_link(struct serve *s)
{
	char text[1300];
	ssize_t n;

	while (s->child.link >= 0) {
		n = recv(s->child.link, text, sizeof(text) - 1, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			close(s->child.link);
			s->child.link = -1;
			return;
		}
		text[n] = '\0';
		on_message(s, text);
	}
}

/* What nbdkit says of a client that is gone, as one that was interrupted is; in
 * the middle of a request that is a bad message. */
static int
is_of_hanging_up(const char *line)
{
	return strstr(line, ": error: ") &&
	       (strstr(line, ": Connection reset by peer") ||
		strstr(line, ": Broken pipe") || strstr(line, ": Bad message"));
}

static void
relay_line(struct serve *s)
{
	s->partial[s->partial_len] = '\0';
	/* Its assertion when a client hangs up with requests under way and
	 * several threads serve it; start_again says it in other words. */
	if (strstr(s->partial, "raw_send_socket: Assertion"))
		s->hung_up = 1;
	else if (s->config->own_client && is_of_hanging_up(s->partial))
		; /* whoever ended it says so */
	else if (on_terminal(s))
		fprintf(stderr, "%s\n", s->partial);
	else
		syslog(LOG_NOTICE, "%s", s->partial);
	s->partial_len = 0;
}

/* One read of nbdkit's messages, line by line. */
static void
read_output(struct serve *s)
{
	char text[4096];
	ssize_t n = read(s->child.output, text, sizeof(text));

	if (n <= 0) {
		close(s->child.output);
		s->child.output = -1;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (text[i] != '\n')
			s->partial[s->partial_len++] = text[i];
		if (text[i] == '\n' || s->partial_len + 1 == sizeof(s->partial))
			relay_line(s);
	}
	if (n <= 0 && s->partial_len > 0)
		relay_line(s);
}

/* ---- the end of a child ---------------------------------------------------
 */

static void
describe(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, "was ended by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(text, size, "ended with code %d", WEXITSTATUS(status));
}

/* Killed after it had served: starts it again, now or after a pause. */
static void
start_again(struct serve *s, int was_open, int signum, const char *how)
{
	int64_t pause = 0;

	if (was_open && now_ms() - s->since_ms >= LIFE_GOOD_MS) {
		s->strikes = 0;
	} else if (was_open && (s->hung_up || signum == SIGKILL)) {
		pause = PAUSE_MIN_MS;
	} else {
		s->strikes_closed += !was_open;
		pause = s->strikes < 5 ? PAUSE_MIN_MS << s->strikes
				       : PAUSE_MAX_MS;
		if (++s->strikes > STRIKES_MAX ||
		    s->strikes_closed > STRIKES_CLOSED_MAX) {
			fail(s, "failed",
			     "nbdkit %s again and again: see its "
			     "messages with --verbose -f",
			     how);
			return;
		}
	}
	if (s->hung_up)
		how = "cannot go on after a client hung up";
	say(s, LBS_LOG_WARNING,
	    "nbdkit %s: it is started again; clients that reconnect lose "
	    "nothing",
	    how);
	s->until_ms = now_ms() + pause;
	enter(s, WAITING);
}

static void
on_death(struct serve *s, int status)
{
	enum state before;
	char how[96];

	read_link(s);
	before = s->state;
	while (s->child.output >= 0)
		read_output(s);
	if (s->child.link >= 0)
		close(s->child.link);
	s->child = (struct nbd_child){ 0, -1, -1 };
	describe(status, how, sizeof(how));
	if (before == ENDED)
		return;
	if (s->refused) {
		fail_refused(s);
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && s->opened) {
		/* Also when somebody else ended nbdkit. */
		s->exit_code = s->unwanted ? EXIT_FAILED : EXIT_DONE;
		enter(s, ENDED);
	} else if (s->stopping && WIFSIGNALED(status) && s->opened &&
		   !s->again) {
		/* The log is whole, but the checkpoint is not taken. */
		s->again = 1;
		start(s);
	} else if (s->stopping && !s->opened) {
		s->exit_code = WIFEXITED(status) && WEXITSTATUS(status) == 0
				       ? EXIT_DONE
				       : EXIT_FAILED;
		enter(s, ENDED);
	} else if (s->stopping) {
		fail(s, "failed",
		     "nbdkit %s before the store was closed: it "
		     "will be rolled forward when it is opened",
		     how);
	} else if (WIFEXITED(status) &&
		   WEXITSTATUS(status) == NBD_CHILD_NOT_FOUND) {
		fail(s, "not-found",
		     "nbdkit cannot be run: install the package "
		     "nbdkit");
	} else if (WIFSIGNALED(status) && s->opened) {
		start_again(s, before == SERVING, WTERMSIG(status), how);
	} else {
		fail(s, "failed", "nbdkit %s: its own message says why", how);
	}
}

static void
on_command_end(struct serve *s, int status)
{
	s->command = 0;
	s->command_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status)
					      : WEXITSTATUS(status);
	stop(s);
}

static void
reap(struct serve *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == s->child.pid)
			on_death(s, status);
		else if (pid == s->command)
			on_command_end(s, status);
	}
}

/* ---- the loop -------------------------------------------------------------
 */

static void
on_signal(struct serve *s)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD) {
		reap(s);
	} else if (s->command && !s->stopping) {
		/* The end of the command is ours. From the terminal it has
		 * the signal already. */
		if (info.ssi_code != SI_KERNEL)
			kill(s->command, (int)info.ssi_signo);
	} else if (s->stopping && info.ssi_signo == SIGINT) {
		/* Asked twice: what was acknowledged is safe all the same. */
		if (s->child.pid)
			kill(s->child.pid, SIGKILL);
		s->again = 1;
	} else {
		stop(s);
	}
}

static void
on_time(struct serve *s)
{
	if (s->state == WAITING)
		start(s);
	else if (s->refused)
		fail_refused(s);
	else if (s->state == OPENING)
		fail(s, "failed",
		     "the store has not opened within %d s: look "
		     "at the card and at the kernel's log",
		     OPEN_MAX_MS / 1000);
}

static void
step(struct serve *s)
{
	struct pollfd polls[3] = {
		{ .fd = s->signals, .events = POLLIN },
		{ .fd = s->child.link, .events = POLLIN },
		{ .fd = s->child.output, .events = POLLIN },
	};
	int timed = s->state == WAITING || s->state == OPENING;
	int64_t left = timed ? s->until_ms - now_ms() : -1;

	if (timed && left <= 0) {
		on_time(s);
		return;
	}
	if (poll(polls, 3, (int)left) < 0)
		return;
	if (polls[1].revents)
		read_link(s);
	if (polls[2].revents)
		read_output(s);
	if (polls[0].revents)
		on_signal(s);
}

/* The server is gone under the command of --run. */
static void
end_command(pid_t pid)
{
	kill(pid, SIGTERM);
	for (int i = 0; i < 50; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		poll(NULL, 0, 100);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int
open_signals(void)
{
	struct sigaction hup;
	sigset_t set;

	sigaction(SIGHUP, NULL, &hup);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	/* Blocked it would come even where nohup(1) has it ignored. */
	if (hup.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int
nbd_serve(struct report *report, const struct nbd_config *config,
	  struct listener *listener)
{
	struct serve s = {
		.report = report,
		.config = config,
		.listener = listener,
		.child = { 0, -1, -1 },
		.exit_code = EXIT_FAILED,
	};

	s.signals = open_signals();
	if (s.signals < 0)
		fail(&s, "failed", "signals cannot be received: %s",
		     strerror(errno));
	else if (listener_listen(report, listener) != EXIT_DONE)
		enter(&s, ENDED);
	else
		start(&s);
	while (s.state != ENDED)
		step(&s);
	if (s.child.pid) {
		kill(s.child.pid, SIGKILL);
		waitpid(s.child.pid, NULL, 0);
	}
	if (s.command) {
		end_command(s.command);
		s.exit_code = EXIT_FAILED;
	}
	if (config->pidfile && s.served)
		unlink(config->pidfile);
	listener_close(listener, 1);
	if (s.exit_code == EXIT_DONE && config->run)
		return s.command_code;
	return s.exit_code;
}
