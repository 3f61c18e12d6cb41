/*
 * ctl_clean.h - cleaning asked for through the control socket: a job in a thread
 * of its own, so that other clients are answered meanwhile.
 */
#ifndef LBS_FRONTENDS_COMMON_CTL_CLEAN_H
#define LBS_FRONTENDS_COMMON_CTL_CLEAN_H

#include <jansson.h>

#include "lbs.h"

struct ctl_clean;

/* NULL when memory ran out. The store outlives it. */
struct ctl_clean *ctl_clean_new(lbs_store *store);
/* Stops the job that runs, and frees. NULL is allowed. */
void ctl_clean_free(struct ctl_clean *job);

/* Starts a job unless one runs, with flags of lbs_store_clean: 0 or an LBS_E.... */
int ctl_clean_start(struct ctl_clean *job, unsigned flags);
/* Asks the job that runs to stop at the end of its round. */
void ctl_clean_stop(struct ctl_clean *job);
/* {"state":"idle"|"running"|"done"|"stopped"|"failed","done":N,"total":N,
 *  "segments":N,"blocks":N,"given_back":N} of the last job; its code in *failure. */
json_t *ctl_clean_state(struct ctl_clean *job, int *failure);

#endif
