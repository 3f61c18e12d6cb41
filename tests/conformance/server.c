/*
 * server.c - see door.h: the process behind a door that has one.
 * Must never end a process that it did not start.
 */
#include "tests/conformance/door.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/ctl_client.h"

#define PATIENCE_MS 60000
#define STEP_MS	    5

const char *
outcome_name(enum outcome outcome)
{
	static const char *const names[] = { "done",	  "beyond the end",
					     "read-only", "full",
					     "I/O error", "another error" };

	return names[outcome];
}

int
extents_add(struct extents *extents, uint64_t length, int is_hole)
{
	struct extent *last = extents->at + extents->count - 1;

	if (extents->count && last->is_hole == is_hole) {
		last->length += length;
		return 0;
	}
	if (extents->count == EXTENTS_MAX)
		return 1;
	extents->at[extents->count++] = (struct extent){ length, is_hole };
	return 0;
}

static void
log_path(const struct place *place, char path[300])
{
	snprintf(path, 300, "%s/server.log", place->work);
}

pid_t
server_start(struct place *place, char *const argv[])
{
	char path[300];
	int log;

	log_path(place, path);
	place->server = fork();
	if (place->server != 0)
		return place->server;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	dup2(log, 1);
	dup2(log, 2);
	execv(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

static void
show_log(const struct place *place)
{
	char path[300], line[1024];
	FILE *f;

	log_path(place, path);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		printf("    %s", line);
	if (f)
		fclose(f);
}

int
server_wait(struct place *place, int (*ready)(struct place *place))
{
	for (int waited = 0; waited < PATIENCE_MS; waited += STEP_MS) {
		if (ready(place))
			return 0;
		if (waitpid(place->server, NULL, WNOHANG) == place->server) {
			place->server = 0;
			break;
		}
		poll(NULL, 0, STEP_MS);
	}
	printf("the server does not serve:\n");
	show_log(place);
	return -1;
}

int
server_ended(struct place *place)
{
	int status;

	for (int waited = 0; waited < PATIENCE_MS; waited += STEP_MS) {
		if (waitpid(place->server, &status, WNOHANG) == place->server) {
			place->server = 0;
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		}
		poll(NULL, 0, STEP_MS);
	}
	return -1;
}

int
server_all_durable(struct place *place)
{
	json_int_t last, durable;
	json_t *answer;
	char *text = NULL;
	int rc = -1;

	if (ctl_call(place->store, "stat", &text) < 0)
		return -1;
	answer = json_loads(text, 0, NULL);
	if (answer &&
	    json_unpack(answer, "{s:{s:I, s:I}}", "counters", "last_record",
			&last, "durable_record", &durable) == 0)
		rc = last == durable;
	json_decref(answer);
	free(text);
	return rc;
}
