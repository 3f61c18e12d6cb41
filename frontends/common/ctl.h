/*
 * ctl.h - the control socket of a served store: corp.lbs.ctl.
 *
 * Where: beside the metadata file, its name (symbolic links resolved) plus
 * ".ctl"; mode 0600, made when the store is open and removed before it closes.
 * The store's lock lets one process serve, so a file that is there before is
 * debris of one that was killed, and is replaced.
 *
 * Protocol: the client connects, sends one line (at most CTL_LINE_BYTES with
 * its newline), and gets one JSON document and a newline; then the server
 * closes. Clients are served one after another; one that sends or takes
 * nothing for CTL_PATIENCE_MS is dropped. Commands:
 *   stat        {"schema":1,"store":PATH,"pid":N,"server":NAME,
 *                "state":"serving"|"read-only"|"failed","failure":SENTENCE,"counters":{NAME:VALUE,...}}
 *   info        {"schema":1,"store":PATH,"pid":N,"server":NAME,"info":{...}}
 *   list        {"schema":1,"store":PATH,"pid":N,"server":NAME,
 *                "vdisks":[{"name":NAME,"size_bytes":N},...]}
 *   failure     {"schema":1,"failure":SENTENCE}, "" while all is well
 *   checkpoint  {"schema":1,"checkpoint":"done"} when it is on internal flash
 *   clean       {"schema":1,"clean":{"state":"running","done":N,"total":N,
 *                "segments":N,"blocks":N,"given_back":N}} starts cleaning,
 *                unless it runs;
 *   shrink      the same with LBS_CLEAN_SHRINK: chunk files are given back, too;
 *   clean-state the same of the last job: "idle", "running", "done", "stopped";
 *                done and total are bytes, the rest counts when it has ended
 *   clean-stop  the same, and the job stops at the end of its round
 * A PATH or SENTENCE that is not UTF-8 is null.
 * What fails gives {"schema":1,"error":{"code":WORD,"message":SENTENCE}}.
 */
#ifndef LBS_FRONTENDS_COMMON_CTL_H
#define LBS_FRONTENDS_COMMON_CTL_H

#include "lbs.h"

#define CTL_LINE_BYTES	256
#define CTL_PATIENCE_MS 2000

/* What to say where ctl_start fails, with its reason: the store is served. */
#define CTL_NOT_MADE                                                    \
	"the control socket, the store's name with .ctl behind it, could " \
	"not be made (%s): 'lbs stat' will not reach this server"

struct ctl;

/* Makes the socket for the store at path and starts its thread. path and owner
 * must outlive it. 0 or a negative errno. */
int ctl_start(const char *path, lbs_store *store, const char *owner,
	      struct ctl **out);
/* Ends the thread and removes the socket. NULL is allowed. */
void ctl_end(struct ctl *ctl);

#endif
