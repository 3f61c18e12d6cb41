/* door_library.c - a vdisk by the library's calls; see door.h. */
#include "tests/conformance/door.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lbs.h"

static void
say(void *ctx, int level, int code, const char *sentence)
{
	(void)ctx, (void)code;
	if (level == LBS_LOG_ERROR && getenv("VERBOSE"))
		printf("    %s\n", sentence);
}

enum outcome
door_library_outcome(int rc)
{
	switch (rc) {
	case 0:
		return DONE;
	case LBS_EINVAL:
		return BEYOND;
	case LBS_EROFS:
		return READ_ONLY;
	case LBS_ENOSPC:
		return FULL;
	default:
		return lbs_errno(rc) == EIO ? IO_ERROR : OTHER;
	}
}

static int
library_start(struct place *place)
{
	struct lbs_open_options options = {
		.struct_size = sizeof(options),
		.flags = place->read_only ? LBS_RDONLY : 0,
		.owner = "conformance",
		.log = say,
	};
	lbs_store *store;
	int rc = lbs_store_open(place->store, &options, &store);

	if (rc < 0) {
		printf("the store does not open: %s\n", lbs_strerror(rc));
		return -1;
	}
	place->opened = store;
	return 0;
}

static int
library_stop(struct place *place)
{
	return lbs_store_close(place->opened);
}

static int
library_all_durable(struct place *place)
{
	uint64_t values[LBS_STAT_COUNT];

	lbs_store_stat(place->opened, values);
	return values[LBS_STAT_LAST_RECORD] == values[LBS_STAT_DURABLE_RECORD];
}

static void *
library_connect(struct place *place)
{
	lbs_vdisk *vdisk;
	int rc = lbs_vdisk_open(place->opened, NULL, &vdisk);

	return rc == 0 ? vdisk : NULL;
}

static void
library_disconnect(void *session)
{
	lbs_vdisk_close(session);
}

static uint64_t
library_size(void *session)
{
	return lbs_vdisk_size(session);
}

static enum outcome
library_read(void *session, void *buf, size_t length, uint64_t offset)
{
	return door_library_outcome(lbs_vdisk_read(session, buf, length, offset));
}

static enum outcome
library_write(void *session, const void *buf, size_t length, uint64_t offset,
	      int durable)
{
	return door_library_outcome(lbs_vdisk_write(session, buf, length, offset,
				       durable ? LBS_FUA : 0));
}

static enum outcome
library_flush(void *session)
{
	int rc = lbs_vdisk_flush(session);

	/* Front ends forgive it: nothing can have been written. */
	return rc == LBS_EROFS ? DONE : door_library_outcome(rc);
}

static enum outcome
library_discard(void *session, uint64_t length, uint64_t offset)
{
	return door_library_outcome(lbs_vdisk_discard(session, length, offset, 0));
}

static enum outcome
library_zero(void *session, uint64_t length, uint64_t offset)
{
	return door_library_outcome(lbs_vdisk_write_zeroes(session, length, offset, 0));
}

static int
add(void *ctx, uint64_t offset_bytes, uint64_t len_bytes, int is_data)
{
	(void)offset_bytes;
	return extents_add(ctx, len_bytes, !is_data);
}

static enum outcome
library_extents(void *session, uint64_t length, uint64_t offset,
		struct extents *out)
{
	out->count = 0;
	return door_library_outcome(lbs_vdisk_extents(session, length, offset, add, out));
}

const struct door door_library = {
	.name = "library",
	.start = library_start,
	.stop = library_stop,
	.all_durable = library_all_durable,
	.connect = library_connect,
	.disconnect = library_disconnect,
	.size = library_size,
	.read = library_read,
	.write = library_write,
	.flush = library_flush,
	.discard = library_discard,
	.zero = library_zero,
	.extents = library_extents,
};
