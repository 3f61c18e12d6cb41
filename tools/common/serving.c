/* serving.c - see serving.h. */
#include "tools/common/serving.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "lbs.h"

const char *
serving_absolute(const struct report *report, const char *path)
{
	char *cwd, *result;

	if (path[0] == '/')
		return path;
	cwd = getcwd(NULL, 0);
	if (!cwd || asprintf(&result, "%s/%s", cwd, path) < 0) {
		fprintf(stderr, "%s: %s: %s\n", report->program, path,
			strerror(errno));
		exit(EXIT_FAILED);
	}
	free(cwd);
	return result;
}

int
serving_look(struct report *report, uint32_t flags, const char *data_dir,
	     const char **path)
{
	struct lbs_open_options options = {
		.struct_size = sizeof(options),
		.flags = flags,
		.data_dir = data_dir,
		.owner = report->program,
		.log = report_log,
		.log_ctx = report,
	};
	char *resolved = realpath(report->store, NULL);

	/* The name that the files beside it have. */
	*path = resolved ? resolved : serving_absolute(report, report->store);
	report->sentence[0] = '\0';
	return lbs_store_probe(*path, &options);
}

int
serving_probe(struct report *report, uint32_t flags, const char *data_dir,
	      const char **path)
{
	int rc = serving_look(report, flags, data_dir, path);

	return rc < 0 ? report_failure(report, rc) : EXIT_DONE;
}

int
serving_background(struct report *report, int *ready_fd)
{
	int ready[2], status;
	char code = EXIT_FAILED;
	pid_t pid;

	fflush(stdout);
	if (pipe2(ready, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return report_error(report, "failed",
				    "no process can be started: %s",
				    strerror(errno));
	if (pid == 0) {
		close(ready[0]);
		setsid();
		if (chdir("/") < 0)
			_exit(EXIT_FAILED);
		*ready_fd = ready[1];
		return -1;
	}
	close(ready[1]);
	if (read(ready[0], &code, 1) == 1)
		return code;
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		return WEXITSTATUS(status);
	return EXIT_FAILED;
}

int
serving_ready(struct report *report, int ready_fd)
{
	char code = EXIT_DONE;
	int rc;

	fflush(stdout);
	openlog(report->program, LOG_PID, LOG_DAEMON);
	rc = write(ready_fd, &code, 1) == 1 ? 0 : -1;
	close(ready_fd);
	if (!freopen("/dev/null", "r", stdin) ||
	    !freopen("/dev/null", "w", stdout) ||
	    !freopen("/dev/null", "w", stderr))
		syslog(LOG_WARNING, "the terminal cannot be let go of");
	return rc;
}
