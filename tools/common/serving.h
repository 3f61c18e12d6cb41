/*
 * serving.h - what the programs that serve a store do before they serve: look
 * at it, and go into the background while the user waits for the outcome. Must
 * never open the store, nor start a thread: forks follow.
 */
#ifndef LBS_TOOLS_COMMON_SERVING_H
#define LBS_TOOLS_COMMON_SERVING_H

#include <stdint.h>

#include "tools/common/report.h"

/* For later, when the working directory is another. Never freed: the path is
 * needed until the end. Ends the process where memory or the directory is gone.
 */
const char *serving_absolute(const struct report *report, const char *path);

/* Finds what would stop the server before anything is made or started: the
 * store report->store, opened with flags (LBS_RDONLY), its card in data_dir or
 * where it was. Gives in *path its name with links resolved, never freed.
 * Returns 0 or a negative LBS_E... for report_failure. */
int serving_look(struct report *report, uint32_t flags, const char *data_dir,
		 const char **path);

/* The same, reported: EXIT_DONE or EXIT_FAILED. */
int serving_probe(struct report *report, uint32_t flags, const char *data_dir,
		  const char **path);

/* Forks. In the parent: waits until the child has called serving_ready or has
 * failed, and returns the exit code. In the child, which has a session of its
 * own and is in /: returns -1, *ready_fd is for serving_ready. */
int serving_background(struct report *report, int *ready_fd);

/* Tells who waits that the server serves, and lets go of the terminal; closes
 * ready_fd. 0; or -1 if he is gone: then he did not want to wait, so nobody
 * wants the server. Messages go to syslog from here on. */
int serving_ready(struct report *report, int ready_fd);

#endif
