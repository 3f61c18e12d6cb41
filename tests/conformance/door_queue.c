/* door_queue.c - a vdisk by a queue of the library's, reaped when its event says
 * so; see door.h. Opening, closing and extents are the library's. */
#include "tests/conformance/door.h"

#include <poll.h>
#include <stdlib.h>

#include "lbs.h"

struct session {
	lbs_vdisk *vdisk;
	lbs_queue *queue;
};

static void *
queue_connect(struct place *place)
{
	struct lbs_queue_options options = { .struct_size = sizeof(options) };
	struct session *s = calloc(1, sizeof(*s));

	if (!s || lbs_vdisk_open(place->opened, NULL, &s->vdisk) < 0 ||
	    lbs_queue_open(place->opened, &options, &s->queue) < 0)
		return NULL;
	return s;
}

static void
queue_disconnect(void *session)
{
	struct session *s = session;

	lbs_queue_close(s->queue);
	lbs_vdisk_close(s->vdisk);
	free(s);
}

static uint64_t
queue_size(void *session)
{
	return door_library.size(((struct session *)session)->vdisk);
}

static enum outcome
ask(struct session *s, struct lbs_request r)
{
	struct pollfd event = { .fd = lbs_queue_fd(s->queue),
				.events = POLLIN };
	struct lbs_completion done;
	int n = 0;

	r.vdisk = s->vdisk;
	r.user = &r;
	if (lbs_queue_submit(s->queue, &r, 1) != 1)
		return OTHER;
	while (n == 0 && poll(&event, 1, 60000) == 1)
		n = lbs_queue_reap(s->queue, &done, 1, 0);
	return n == 1 && done.user == &r ? door_library_outcome(done.result)
					 : OTHER;
}

/* In pieces of odd lengths, as a guest's memory is. */
static enum outcome
move(struct session *s, int op, void *buf, size_t length, uint64_t offset,
     unsigned flags)
{
	size_t a = length / 3, b = length / 5;
	struct iovec iov[3] = { { buf, a },
				{ (char *)buf + a, b },
				{ (char *)buf + a + b, length - a - b } };

	return ask(s, (struct lbs_request){ .op = op, .flags = flags,
					    .offset_bytes = offset, .iov = iov,
					    .iov_count = 3 });
}

static enum outcome
queue_read(void *session, void *buf, size_t length, uint64_t offset)
{
	return move(session, LBS_OP_READ, buf, length, offset, 0);
}

static enum outcome
queue_write(void *session, const void *buf, size_t length, uint64_t offset,
	    int durable)
{
	return move(session, LBS_OP_WRITE, (void *)buf, length, offset,
		    durable ? LBS_FUA : 0);
}

static enum outcome
queue_flush(void *session)
{
	enum outcome o = ask(session, (struct lbs_request){ .op = LBS_OP_FLUSH });

	/* Front ends forgive it: nothing can have been written. */
	return o == READ_ONLY ? DONE : o;
}

static enum outcome
queue_discard(void *session, uint64_t length, uint64_t offset)
{
	return ask(session, (struct lbs_request){ .op = LBS_OP_DISCARD,
						  .len_bytes = length,
						  .offset_bytes = offset });
}

static enum outcome
queue_zero(void *session, uint64_t length, uint64_t offset)
{
	return ask(session, (struct lbs_request){ .op = LBS_OP_WRITE_ZEROES,
						  .len_bytes = length,
						  .offset_bytes = offset });
}

static enum outcome
queue_extents(void *session, uint64_t length, uint64_t offset,
	      struct extents *out)
{
	return door_library.extents(((struct session *)session)->vdisk, length,
				    offset, out);
}

static int
queue_start(struct place *place)
{
	return door_library.start(place);
}

static int
queue_stop(struct place *place)
{
	return door_library.stop(place);
}

static int
queue_all_durable(struct place *place)
{
	return door_library.all_durable(place);
}

const struct door door_queue = {
	.name = "queue",
	.start = queue_start,
	.stop = queue_stop,
	.all_durable = queue_all_durable,
	.connect = queue_connect,
	.disconnect = queue_disconnect,
	.size = queue_size,
	.read = queue_read,
	.write = queue_write,
	.flush = queue_flush,
	.discard = queue_discard,
	.zero = queue_zero,
	.extents = queue_extents,
};
