/*
 * io.c - NBD requests as library calls, one to one.
 * Must never answer an error that NBD turns into EINVAL (lbs_errno sees to it),
 * and never hold what a guest wrote: alignment, caching and ordering are the
 * library's.
 */
#include "frontends/nbd/plugin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* The unit in which the store maps, and the most that a client should send in
 * one request; nbdkit takes up to twice as much, so longer ones are split. */
#define BLOCK_BYTES	  4096u
#define REQUEST_MAX_BYTES (32u * 1024 * 1024)
/* How much io_cache reads at a time. */
#define CACHE_PIECE_BYTES (256u * 1024)

static int
answer(const char *what, int rc)
{
	if (rc >= 0)
		return 0;
	nbdkit_debug("%s: %s [%s]", what, lbs_strerror(rc), lbs_error_word(rc));
	server_tell_failure();
	nbdkit_set_error(lbs_errno(rc));
	return -1;
}

static void
trace(const char *what, uint32_t count, uint64_t offset, uint32_t flags)
{
	if (lbs_debug_io)
		nbdkit_debug("%s count=%" PRIu32 " offset=%" PRIu64
			     " flags=%" PRIx32,
			     what, count, offset, flags);
}

static lbs_vdisk *
vdisk_of(void *handle)
{
	return ((struct connection *)handle)->vdisk;
}

static unsigned
lbs_flags(uint32_t flags)
{
	return flags & NBDKIT_FLAG_FUA ? LBS_FUA : 0;
}

int64_t
io_size(void *handle)
{
	uint64_t size;

	server_enter();
	size = lbs_vdisk_size(vdisk_of(handle));
	server_leave();
	return (int64_t)size;
}

int
io_block_size(void *handle, uint32_t *minimum, uint32_t *preferred,
	      uint32_t *maximum)
{
	(void)handle;
	*minimum = 1;
	*preferred = BLOCK_BYTES;
	*maximum = REQUEST_MAX_BYTES;
	return 0;
}

int
io_read(void *handle, void *buf, uint32_t count, uint64_t offset,
	uint32_t flags)
{
	char *to = buf;
	int rc = 0;

	trace("read", count, offset, flags);
	server_enter();
	while (count > 0 && rc >= 0) {
		uint32_t part =
			count < REQUEST_MAX_BYTES ? count : REQUEST_MAX_BYTES;

		rc = lbs_vdisk_read(vdisk_of(handle), to, part, offset);
		to += part;
		offset += part;
		count -= part;
	}
	server_leave();
	return answer("read", rc);
}

int
io_write(void *handle, const void *buf, uint32_t count, uint64_t offset,
	 uint32_t flags)
{
	const char *from = buf;
	int rc = 0;

	trace("write", count, offset, flags);
	server_enter();
	while (count > 0 && rc >= 0) {
		uint32_t part = count;

		/* No block is written by two calls: it would not be there whole
		 * or not at all. */
		if (part > REQUEST_MAX_BYTES)
			part = REQUEST_MAX_BYTES - offset % BLOCK_BYTES;
		/* FUA makes what returned before durable too: enough on the
		 * last part. */
		rc = lbs_vdisk_write(vdisk_of(handle), from, part, offset,
				     part == count ? lbs_flags(flags) : 0);
		from += part;
		offset += part;
		count -= part;
	}
	server_leave();
	return answer("write", rc);
}

int
io_flush(void *handle, uint32_t flags)
{
	int rc;

	trace("flush", 0, 0, flags);
	server_enter();
	rc = lbs_vdisk_flush(vdisk_of(handle));
	server_leave();
	/* Nothing can have been written that would have to be durable. */
	if (rc == LBS_EROFS)
		rc = 0;
	return answer("flush", rc);
}

int
io_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	int rc;

	trace("trim", count, offset, flags);
	server_enter();
	rc = lbs_vdisk_discard(vdisk_of(handle), count, offset,
			       lbs_flags(flags));
	server_leave();
	return answer("trim", rc);
}

int
io_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	uint64_t end = offset + count;
	int rc;

	trace("zero", count, offset, flags);
	/* Whole blocks are zeroed in the map; a part of one is read, changed
	 * and written, which is no faster than a write. */
	if (flags & NBDKIT_FLAG_FAST_ZERO &&
	    (offset % BLOCK_BYTES != 0 ||
	     (end % BLOCK_BYTES != 0 && end != (uint64_t)io_size(handle)))) {
		nbdkit_set_error(EOPNOTSUPP);
		return -1;
	}
	server_enter();
	rc = lbs_vdisk_write_zeroes(vdisk_of(handle), count, offset,
				    lbs_flags(flags));
	server_leave();
	return answer("zero", rc);
}

struct extents_walk {
	struct nbdkit_extents *extents;
	int one; /* the client wants only the first */
	int failed;
};

static int
add_extent(void *ctx, uint64_t offset, uint64_t len_bytes, int is_data)
{
	struct extents_walk *walk = ctx;
	uint32_t type = is_data ? 0 : NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO;

	if (nbdkit_add_extent(walk->extents, offset, len_bytes, type) == -1)
		walk->failed = 1;
	return walk->failed || walk->one;
}

int
io_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
	   struct nbdkit_extents *extents)
{
	struct extents_walk walk = {
		.extents = extents,
		.one = (flags & NBDKIT_FLAG_REQ_ONE) != 0,
	};
	int rc;

	trace("extents", count, offset, flags);
	server_enter();
	rc = lbs_vdisk_extents(vdisk_of(handle), count, offset, add_extent,
			       &walk);
	server_leave();
	return walk.failed ? -1 : answer("extents", rc);
}

/* Reading brings the map's pages and the card's into memory, which is all that
 * is to be had: decrypted data is not kept. */
int
io_cache(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	void *piece = malloc(CACHE_PIECE_BYTES);
	int rc = piece ? 0 : LBS_ENOMEM;

	trace("cache", count, offset, flags);
	server_enter();
	while (count > 0 && rc >= 0) {
		uint32_t part =
			count < CACHE_PIECE_BYTES ? count : CACHE_PIECE_BYTES;

		rc = lbs_vdisk_read(vdisk_of(handle), piece, part, offset);
		offset += part;
		count -= part;
	}
	server_leave();
	free(piece);
	return answer("cache", rc);
}
