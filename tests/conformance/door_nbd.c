/* door_nbd.c - a vdisk over NBD: lbs-nbd, and libnbd as its client; see door.h.
 */
#include "tests/conformance/door.h"

#include <errno.h>
#include <libnbd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* No request is longer: what servers take at least. */
#define REQUEST_BYTES (32u * 1024 * 1024)

static struct nbd_handle *
dial(struct place *place)
{
	struct nbd_handle *h = nbd_create();
	char path[300];

	snprintf(path, sizeof(path), "%s.sock", place->store);
	/* Errors are the server's to find. */
	if (h && nbd_set_strict_mode(h, 0) == 0 &&
	    nbd_add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) == 0 &&
	    nbd_connect_unix(h, path) == 0)
		return h;
	nbd_close(h);
	return NULL;
}

static int
greets(struct place *place)
{
	struct nbd_handle *h = dial(place);

	if (!h)
		return 0;
	nbd_shutdown(h, 0);
	nbd_close(h);
	return 1;
}

static int
nbd_start(struct place *place)
{
	char program[1100];
	char *argv[] = { program,
			 "-f",
			 "-q",
			 place->store,
			 place->read_only ? "--read-only" : NULL,
			 NULL };

	snprintf(program, sizeof(program), "%s/lbs-nbd", place->bin);
	server_start(place, argv);
	return server_wait(place, greets);
}

static int
nbd_stop(struct place *place)
{
	kill(place->server, SIGTERM);
	return server_ended(place);
}

static void *
nbd_door_connect(struct place *place)
{
	struct nbd_handle *h = dial(place);

	if (!h)
		printf("no connection: %s\n", nbd_get_error());
	return h;
}

static void
nbd_disconnect(void *session)
{
	nbd_shutdown(session, 0);
	nbd_close(session);
}

static uint64_t
nbd_size(void *session)
{
	return (uint64_t)nbd_get_size(session);
}

/* NBD answers a request beyond the end with EINVAL or ENOSPC, so that has to be
 * told from a full store by the range. */
static enum outcome
outcome(void *session, int rc, uint64_t length, uint64_t offset)
{
	uint64_t size = nbd_size(session);
	int beyond = offset > size || length > size - offset;

	if (rc == 0)
		return DONE;
	switch (nbd_get_errno()) {
	case EINVAL:
		return beyond ? BEYOND : OTHER;
	case ENOSPC:
		return beyond ? BEYOND : FULL;
	case EPERM:
	case EROFS:
		return READ_ONLY;
	case EIO:
		return IO_ERROR;
	default:
		return OTHER;
	}
}

static enum outcome
nbd_door_read(void *session, void *buf, size_t length, uint64_t offset)
{
	return outcome(session, nbd_pread(session, buf, length, offset, 0),
		       length, offset);
}

static enum outcome
nbd_door_write(void *session, const void *buf, size_t length, uint64_t offset,
	       int durable)
{
	return outcome(session,
		       nbd_pwrite(session, buf, length, offset,
				  durable ? LIBNBD_CMD_FLAG_FUA : 0),
		       length, offset);
}

static enum outcome
nbd_door_flush(void *session)
{
	return outcome(session, nbd_flush(session, 0), 0, 0);
}

static enum outcome
nbd_discard(void *session, uint64_t length, uint64_t offset)
{
	return outcome(session, nbd_trim(session, length, offset, 0), length,
		       offset);
}

static enum outcome
nbd_door_zero(void *session, uint64_t length, uint64_t offset)
{
	return outcome(session, nbd_zero(session, length, offset, 0), length,
		       offset);
}

struct walk {
	struct extents *out;
	uint64_t left; /* of what was asked for */
	uint64_t seen;
};

static int
add(void *ctx, const char *metacontext, uint64_t offset, uint32_t *entries,
    size_t entry_count, int *error)
{
	struct walk *walk = ctx;

	(void)metacontext, (void)offset, (void)error;
	for (size_t i = 0; i + 1 < entry_count && walk->left; i += 2) {
		uint64_t n = entries[i] < walk->left ? entries[i] : walk->left;

		extents_add(walk->out, n,
			    (entries[i + 1] & LIBNBD_STATE_HOLE) != 0);
		walk->left -= n;
		walk->seen += n;
	}
	return 0;
}

static enum outcome
nbd_extents(void *session, uint64_t length, uint64_t offset,
	    struct extents *out)
{
	struct walk walk = { .out = out, .left = length };
	enum outcome got = DONE;

	out->count = 0;
	while (walk.left && got == DONE && out->count < EXTENTS_MAX) {
		uint64_t at = offset + walk.seen;
		uint64_t n =
			walk.left < REQUEST_BYTES ? walk.left : REQUEST_BYTES;
		nbd_extent_callback callback = { .callback = add,
						 .user_data = &walk };

		got = outcome(session,
			      nbd_block_status(session, n, at, callback, 0), n,
			      at);
	}
	return got;
}

const struct door door_nbd = {
	.name = "nbd",
	.start = nbd_start,
	.stop = nbd_stop,
	.all_durable = server_all_durable,
	.connect = nbd_door_connect,
	.disconnect = nbd_disconnect,
	.size = nbd_size,
	.read = nbd_door_read,
	.write = nbd_door_write,
	.flush = nbd_door_flush,
	.discard = nbd_discard,
	.zero = nbd_door_zero,
	.extents = nbd_extents,
};
