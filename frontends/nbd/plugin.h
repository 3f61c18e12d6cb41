/*
 * plugin.h - what the files of the nbdkit plugin share.
 * Must never be included outside frontends/nbd.
 */
#ifndef LBS_FRONTENDS_NBD_PLUGIN_H
#define LBS_FRONTENDS_NBD_PLUGIN_H

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "lbs.h"

/* -D lbs.io=1 logs every request. */
extern int lbs_debug_io;

/* One NBD connection: a reference to a vdisk. */
struct connection {
	lbs_vdisk *vdisk;
	struct connection *next; /* guarded by the list's lock in server.c */
};

/*
 * server.c: the open store and who may still touch it. Every callback that
 * uses the store stands between server_enter and server_leave. server_finish
 * waits for those inside, lets nobody in again, and closes the store; a
 * callback that comes later waits for ever, which is what a client that
 * reconnects elsewhere wants: no answer, rather than an error.
 */
struct server_options {
	const char *vdisk;	/* must exist; NULL = any */
	const char *path;     /* of the metadata file, absolute */
	const char *data_dir; /* or NULL */
	const char *owner;    /* program name that a second opener is told */
	int read_only;
	uint64_t map_limit_bytes;
	int link_fd; /* to the supervisor (link.h), or -1 */
};

/* Looks whether the store can be opened; before the fork. 0 or LBS_E... */
int server_probe(const struct server_options *options);
/* Opens it, starts the control socket and the link; after the fork. */
int server_start(const struct server_options *options);
void server_enter(void);
void server_leave(void);
/* The store; only between enter and leave. */
lbs_store *server_store(void);
/* After a request that failed: says in the log, once, that the store takes no
 * more writes, why, and what to do. Clients only get an errno. */
void server_tell_failure(void);
/* A handle on a vdisk, and its end. Both are called between enter and leave. */
int server_connect(const char *name, struct connection **out);
void server_disconnect(struct connection *connection);
/* Finishes: flush, checkpoint, close. Harmless when nothing was started. */
void server_finish(void);

/* io.c: the data path. */
int64_t io_size(void *handle);
int io_block_size(void *handle, uint32_t *minimum, uint32_t *preferred,
		  uint32_t *maximum);
int io_read(void *handle, void *buf, uint32_t count, uint64_t offset,
	    uint32_t flags);
int io_write(void *handle, const void *buf, uint32_t count, uint64_t offset,
	     uint32_t flags);
int io_flush(void *handle, uint32_t flags);
int io_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags);
int io_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags);
int io_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
	       struct nbdkit_extents *extents);
int io_cache(void *handle, uint32_t count, uint64_t offset, uint32_t flags);

#endif
