/*
 * copy_attach.c - finds the server of a store, or starts one, for copy.h.
 * Must never take another store's socket for this one's.
 */
#include "tools/copy.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lbs.h"
#include "tools/common/serving.h"
#include "tools/ctl_client.h"

static int
stop_asked(void *ctx)
{
	struct copy *copy = ctx;

	return progress_step(&copy->progress, 0, 0);
}

/* Whether somebody listens at a socket. */
static int
answers(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlen(path) >= sizeof(address.sun_path))
		return 0;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	rc = connect(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	return rc == 0;
}

/* The answer of the store's server, or NULL. */
static json_t *
ask(const struct copy *copy, const char *command)
{
	char *text = NULL;
	json_t *answer = NULL;

	if (ctl_call(copy->store, command, &text) == 0)
		answer = json_loads(text, 0, NULL);
	free(text);
	return answer;
}

/* The store is held by somebody: can we go through him? */
static int
use_served(struct copy *copy, int read_only)
{
	struct report *report = copy->report;
	json_t *stat, *utf8;
	const char *state, *server;
	int rc = EXIT_DONE;

	snprintf(copy->socket, sizeof(copy->socket), "%s.sock", copy->store);
	utf8 = json_string(copy->socket);
	stat = ask(copy, "stat");
	state = json_string_value(json_object_get(stat, "state"));
	server = json_string_value(json_object_get(stat, "server"));
	if (!state)
		rc = report_error(report, "busy", "%s",
				  report->sentence[0]
					  ? report->sentence
					  : "in use by another process: stop "
					    "it first");
	else if (!answers(copy->socket))
		rc = report_error(report, "busy",
				  "in use by %s, which does not serve it at "
				  "%s.sock: stop it first, or copy with "
				  "qemu-img through what it serves",
				  server ? server : "another program",
				  report->store);
	else if (!utf8)
		rc = report_error(report, "busy",
				  "in use by %s, and qemu-img cannot be told its "
				  "socket's path, which is not UTF-8: stop it "
				  "first", server ? server : "another program");
	else if (!read_only && strcmp(state, "read-only") == 0)
		rc = report_error(report, "read-only",
				  "the store is served read-only: stop that "
				  "server first");
	json_decref(utf8);
	json_decref(stat);
	report->sentence[0] = '\0';
	return rc;
}

static int
serve_it(struct copy *copy, int read_only)
{
	struct nbd_config config = {
		.data_dir = copy->data_dir,
		.read_only = read_only,
		.own_client = 1,
		.ready_fd = -1,
	};
	int rc = serving_look(copy->report, read_only ? LBS_RDONLY : 0,
			      copy->data_dir, &copy->store);

	config.store = copy->store;
	if (rc == LBS_EBUSY)
		return use_served(copy, read_only);
	if (rc < 0)
		return report_failure(copy->report, rc);
	rc = nbd_private_start(copy->report, &config, stop_asked, copy,
			       &copy->server);
	snprintf(copy->socket, sizeof(copy->socket), "%s", copy->server.socket);
	return rc;
}

static int
find_vdisk(struct copy *copy)
{
	json_t *list = ask(copy, "list"), *vdisks, *vdisk;
	const char *name;
	size_t i;
	int rc = EXIT_FAILED;

	vdisks = json_object_get(list, "vdisks");
	if (!json_is_array(vdisks)) {
		rc = report_error(copy->report, "failed",
				  "the server does not say what it serves: "
				  "stop it and start it again");
		goto out;
	}
	json_array_foreach(vdisks, i, vdisk)
	{
		name = json_string_value(json_object_get(vdisk, "name"));
		if (!name || strcmp(name, copy->vdisk) != 0)
			continue;
		copy->vdisk_bytes = (uint64_t)json_integer_value(
			json_object_get(vdisk, "size_bytes"));
		rc = EXIT_DONE;
		goto out;
	}
	report_error(copy->report, "not-found",
		     "there is no vdisk '%s': 'lbs list' shows those there are",
		     copy->vdisk);
out:
	json_decref(list);
	return rc;
}

static void
look_inside(struct copy *copy)
{
	json_t *stat = ask(copy, "stat");
	json_t *counters = json_object_get(stat, "counters");

	/* Who does not say may have been written to. */
	copy->written = !json_is_integer(json_object_get(counters, "last_record")) ||
			json_integer_value(json_object_get(counters,
							   "last_record"));
	copy->live_bytes = (uint64_t)json_integer_value(
				   json_object_get(counters, "live_blocks")) *
			   4096;
	json_decref(stat);
}

int
copy_attach(struct copy *copy, int read_only)
{
	struct report *report = copy->report;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &copy->begun);
	/* Who does not read what is said does not stop the work half way. */
	signal(SIGPIPE, SIG_IGN);
	progress_begin(&copy->progress, "opening", report->quiet, 1);
	rc = serve_it(copy, read_only);
	if (rc == EXIT_DONE)
		rc = find_vdisk(copy);
	if (rc == EXIT_DONE)
		look_inside(copy);
	return rc;
}

int
copy_detach(struct copy *copy, int rc)
{
	int served = copy->server.pid != 0, ended = EXIT_DONE;

	progress_wipe(&copy->progress);
	clock_gettime(CLOCK_MONOTONIC, &copy->ended);
	/* Whoever asks twice to stop must not end us here: what was begun is yet
	 * to be removed. */
	if (served)
		ended = nbd_private_stop(&copy->server);
	progress_end(&copy->progress);
	return rc == EXIT_DONE ? ended : rc;
}
