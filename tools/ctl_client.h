/*
 * ctl_client.h - asks the server of a store, if one serves it, through its
 * control socket. The protocol is described in frontends/common/ctl.h.
 */
#ifndef LBS_TOOLS_CTL_CLIENT_H
#define LBS_TOOLS_CTL_CLIENT_H

/* Sends one command ("stat", "info", ...) to the server of the store whose
 * metadata file is at path. Gives the whole answer, a JSON document, in *text,
 * to be freed by the caller. Waits at most CTL_CLIENT_PATIENCE_MS between two
 * pieces of the answer.
 * 0, or a negative errno: -ENOENT and -ECONNREFUSED mean that nobody serves
 * the store (the second that its server was killed), -ETIMEDOUT that the server
 * does not answer, -EPROTO that what answers is not one. */
int ctl_call(const char *path, const char *command, char **text)
	__attribute__((warn_unused_result));

#define CTL_CLIENT_PATIENCE_MS 30000

#endif
