/*
 * ctl.c - see ctl.h for the protocol.
 * Must never delay a guest's request, nor trust a client: lines are bounded,
 * waits are bounded, and no answer holds a secret.
 */
#include "frontends/common/ctl.h"
#include "frontends/common/ctl_clean.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct ctl {
	const char *path; /* constant, as are the next three */
	lbs_store *store;
	const char *owner;
	char *name; /* the socket's name in its directory */
	int dir;    /* that directory */
	int listener;
	int wake; /* eventfd that ends the thread */
	pthread_t thread;
	struct ctl_clean *clean;
};

/* ---- answers ----------------------------------------------------------- */

/* A path that is not UTF-8 cannot stand in JSON: null. */
static json_t *
text_of(const char *text)
{
	json_t *string = json_string(text);

	return string ? string : json_null();
}

static json_t *
answer_error(int code)
{
	return json_pack("{s:i, s:{s:s, s:s}}", "schema", 1, "error", "code",
			 lbs_error_word(code), "message", lbs_strerror(code));
}

static json_t *
answer_base(struct ctl *ctl)
{
	return json_pack("{s:i, s:o, s:i, s:s}", "schema", 1, "store",
			 text_of(ctl->path), "pid", (int)getpid(), "server",
			 ctl->owner);
}

static json_t *
answer_stat(struct ctl *ctl)
{
	uint64_t values[LBS_STAT_COUNT] = { 0 };
	json_t *counters = json_object(), *answer = answer_base(ctl);

	lbs_store_stat(ctl->store, values);
	for (int i = 0; i < LBS_STAT_COUNT && lbs_stat_name(i); i++)
		json_object_set_new(counters, lbs_stat_name(i),
				    json_integer((json_int_t)values[i]));
	json_object_set_new(answer, "state",
			    json_string(values[LBS_STAT_FAILED]	     ? "failed"
					: values[LBS_STAT_READ_ONLY] ? "read-only"
								     : "serving"));
	json_object_set_new(answer, "failure",
			    text_of(lbs_store_failure(ctl->store)));
	json_object_set_new(answer, "counters", counters);
	return answer;
}

static json_t *
answer_info(struct ctl *ctl)
{
	struct lbs_store_info info = { .struct_size = sizeof(info) };
	json_t *answer, *inner;
	char id[33];
	int rc = lbs_store_info(ctl->store, &info);

	if (rc < 0)
		return answer_error(rc);
	for (int i = 0; i < 16; i++)
		snprintf(id + 2 * i, 3, "%02x", info.store_id[i]);
	inner = json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "id",
			  id, "data_dir", text_of(info.data_dir), "format_version",
			  (json_int_t)info.format_version, "block_size",
			  (json_int_t)info.block_size, "segment_size_bytes",
			  (json_int_t)info.segment_size_bytes,
			  "chunk_size_bytes", (json_int_t)info.chunk_size_bytes,
			  "capacity_bytes", (json_int_t)info.capacity_bytes,
			  "vdisks", (json_int_t)info.vdisk_count, "sessions",
			  (json_int_t)info.sessions);
	answer = answer_base(ctl);
	json_object_set_new(answer, "info", inner);
	return answer;
}

static int
add_vdisk(void *ctx, const char *name, uint64_t size_bytes)
{
	json_array_append_new(ctx,
			      json_pack("{s:s, s:I}", "name", name,
					"size_bytes", (json_int_t)size_bytes));
	return 0;
}

static json_t *
answer_list(struct ctl *ctl)
{
	json_t *vdisks = json_array(), *answer = answer_base(ctl);

	lbs_store_vdisks(ctl->store, add_vdisk, vdisks);
	json_object_set_new(answer, "vdisks", vdisks);
	return answer;
}

static json_t *
answer_failure(struct ctl *ctl)
{
	return json_pack("{s:i, s:o}", "schema", 1, "failure",
			 text_of(lbs_store_failure(ctl->store)));
}

static json_t *
answer_checkpoint(struct ctl *ctl)
{
	int rc = lbs_store_checkpoint(ctl->store);

	if (rc < 0)
		return answer_error(rc);
	return json_pack("{s:i, s:s}", "schema", 1, "checkpoint", "done");
}

static json_t *
answer_clean_state(struct ctl *ctl)
{
	int failure;
	json_t *state = ctl_clean_state(ctl->clean, &failure);

	if (failure) {
		json_decref(state);
		return answer_error(failure);
	}
	return json_pack("{s:i, s:o}", "schema", 1, "clean", state);
}

static json_t *
start_cleaning(struct ctl *ctl, unsigned flags)
{
	int rc = ctl_clean_start(ctl->clean, flags);

	return rc < 0 ? answer_error(rc) : answer_clean_state(ctl);
}

static json_t *
answer_clean(struct ctl *ctl)
{
	return start_cleaning(ctl, 0);
}

static json_t *
answer_shrink(struct ctl *ctl)
{
	return start_cleaning(ctl, LBS_CLEAN_SHRINK);
}

static json_t *
answer_clean_stop(struct ctl *ctl)
{
	ctl_clean_stop(ctl->clean);
	return answer_clean_state(ctl);
}

static const struct {
	const char *name;
	json_t *(*answer)(struct ctl *ctl);
} commands[] = {
	{ "stat", answer_stat },
	{ "info", answer_info },
	{ "list", answer_list },
	{ "failure", answer_failure },
	{ "checkpoint", answer_checkpoint },
	{ "clean", answer_clean },
	{ "shrink", answer_shrink },
	{ "clean-state", answer_clean_state },
	{ "clean-stop", answer_clean_stop },
};

/* Never NULL but for want of memory; the text ends with a newline. */
static char *
answer_text(struct ctl *ctl, const char *line)
{
	json_t *answer = NULL;
	char *json = NULL, *text = NULL;
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(line, commands[i].name) == 0)
			answer = commands[i].answer(ctl);
	if (!answer)
		answer = answer_error(LBS_ENOTSUP);
	json = json_dumps(answer, JSON_COMPACT | JSON_PRESERVE_ORDER);
	if (json && asprintf(&text, "%s\n", json) < 0)
		text = NULL;
	free(json);
	json_decref(answer);
	return text;
}

/* ---- one client -------------------------------------------------------- */

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits until fd is ready for events. 0, or -1 when the deadline has passed or
 * the thread is to end. */
static int
wait_ready(struct ctl *ctl, int fd, short events, int64_t deadline)
{
	struct pollfd polls[2] = {
		{ .fd = fd, .events = events },
		{ .fd = ctl->wake, .events = POLLIN },
	};

	for (;;) {
		int64_t left = deadline - now_ms();
		int n;

		if (left <= 0)
			return -1;
		n = poll(polls, 2, (int)left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || polls[1].revents)
			return -1;
		if (polls[0].revents)
			return 0;
	}
}

/* Reads one line without its newline. 0 or -1. */
static int
read_line(struct ctl *ctl, int fd, char line[CTL_LINE_BYTES])
{
	int64_t deadline = now_ms() + CTL_PATIENCE_MS;
	size_t have = 0;

	while (have < CTL_LINE_BYTES) {
		ssize_t n;
		char *end;

		if (wait_ready(ctl, fd, POLLIN, deadline) < 0)
			return -1;
		n = recv(fd, line + have, CTL_LINE_BYTES - have, MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return -1;
		have += (size_t)n;
		end = memchr(line, '\n', have);
		if (end) {
			*end = '\0';
			return 0;
		}
	}
	return -1;
}

static void
write_text(struct ctl *ctl, int fd, const char *text)
{
	int64_t deadline = now_ms() + CTL_PATIENCE_MS;
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t n;

		if (wait_ready(ctl, fd, POLLOUT, deadline) < 0)
			return;
		n = send(fd, text, left, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return;
		text += n;
		left -= (size_t)n;
	}
}

static void
serve_client(struct ctl *ctl, int fd)
{
	char line[CTL_LINE_BYTES];
	char *text;

	if (read_line(ctl, fd, line) < 0)
		return;
	text = answer_text(ctl, line);
	if (text)
		write_text(ctl, fd, text);
	free(text);
}

static void *
ctl_thread(void *arg)
{
	struct ctl *ctl = arg;
	struct pollfd polls[2] = {
		{ .fd = ctl->listener, .events = POLLIN },
		{ .fd = ctl->wake, .events = POLLIN },
	};

	for (;;) {
		int fd;

		if (poll(polls, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (polls[1].revents)
			return NULL;
		fd = accept4(ctl->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			serve_client(ctl, fd);
			close(fd);
		} else if (errno == EMFILE || errno == ENFILE) {
			/* The client stays in the queue; do not spin on it. */
			poll(&polls[1], 1, 100);
		}
	}
}

/* ---- the socket -------------------------------------------------------- */

/* Binds through the directory's descriptor, because a socket's path is held to
 * some hundred bytes and a store's is not. */
static int
ctl_bind(struct ctl *ctl)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int n = snprintf(address.sun_path, sizeof(address.sun_path),
			 "/proc/self/fd/%d/%s", ctl->dir, ctl->name);

	if (n < 0 || (size_t)n >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	ctl->listener =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ctl->listener < 0)
		return -errno;
	if (unlinkat(ctl->dir, ctl->name, 0) < 0 && errno != ENOENT)
		return -errno;
	/* The mode of the descriptor becomes the file's: at no moment can
	 * another user connect. */
	if (fchmod(ctl->listener, 0600) < 0 ||
	    bind(ctl->listener, (struct sockaddr *)&address, sizeof(address)) <
		    0)
		return -errno;
	return listen(ctl->listener, 8) < 0 ? -errno : 0;
}

static void
ctl_free(struct ctl *ctl)
{
	if (ctl->listener >= 0)
		close(ctl->listener);
	if (ctl->wake >= 0)
		close(ctl->wake);
	if (ctl->dir >= 0)
		close(ctl->dir);
	ctl_clean_free(ctl->clean);
	free(ctl->name);
	free(ctl);
}

int
ctl_start(const char *path, lbs_store *store, const char *owner,
	  struct ctl **out)
{
	struct ctl *ctl = calloc(1, sizeof(*ctl));
	const char *slash = strrchr(path, '/');
	char *dir = NULL;
	sigset_t all, before;
	int rc = -ENOMEM;

	if (!ctl)
		return rc;
	ctl->path = path;
	ctl->store = store;
	ctl->owner = owner;
	ctl->dir = ctl->listener = ctl->wake = -1;
	ctl->clean = ctl_clean_new(store);
	if (!ctl->clean)
		goto out;
	dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	if (!dir ||
	    asprintf(&ctl->name, "%s.ctl", slash ? slash + 1 : path) < 0)
		goto out;
	ctl->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ctl->wake = eventfd(0, EFD_CLOEXEC);
	if (ctl->dir < 0 || ctl->wake < 0) {
		rc = -errno;
		goto out;
	}
	rc = ctl_bind(ctl);
	if (rc < 0)
		goto out;
	/* Signals are for the front end's own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = -pthread_create(&ctl->thread, NULL, ctl_thread, ctl);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc < 0) {
		unlinkat(ctl->dir, ctl->name, 0);
		goto out;
	}
	*out = ctl;
	ctl = NULL;
out:
	if (ctl)
		ctl_free(ctl);
	free(dir);
	return rc;
}

void
ctl_end(struct ctl *ctl)
{
	uint64_t one = 1;

	if (!ctl)
		return;
	unlinkat(ctl->dir, ctl->name, 0);
	if (write(ctl->wake, &one, sizeof(one)) == sizeof(one))
		pthread_join(ctl->thread, NULL);
	ctl_free(ctl);
}
