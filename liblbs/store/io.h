/*
 * io.h - the data path of a vdisk, between its files: read.c, write.c and discard.c.
 */
#ifndef LBS_STORE_IO_H
#define LBS_STORE_IO_H

#include "liblbs/store/cursor.h"
#include "liblbs/store/internal.h"

/* One atomic group (DESIGN.md promise 4): at most this much, then GROUP_BLOCKS_MAX
 * blocks suffice however it lies. */
#define IO_GROUP_BYTES (1u << 20)
/* One map look-up and at most this many blocks of card are read at a time. */
#define IO_READ_BLOCKS 64u

static inline int
io_in_range(const lbs_vdisk *v, uint64_t len, uint64_t offset)
{
	return offset <= v->size_bytes && len <= v->size_bytes - offset;
}

/* How a call that changes a range begins: 0, LBS_EINVAL if there is no such range or
 * flag, or why the store takes no writes. */
static inline int
io_may_change(const lbs_vdisk *v, uint64_t len, uint64_t offset, unsigned flags)
{
	if (!io_in_range(v, len, offset) || flags & ~(unsigned)LBS_FUA)
		return LBS_EINVAL;
	return store_may_write(v->store);
}

/* And how it ends, having come to rc. */
static inline int
io_changed(const lbs_vdisk *v, int rc, unsigned flags)
{
	return rc == 0 && flags & LBS_FUA ? store_flush(v->store) : rc;
}

/* Reads len bytes at offset to dst and moves that on: inside of the vdisk, and of at
 * most IO_READ_BLOCKS blocks. 0 or why not: LBS_EDAMAGED, LBS_EIO, LBS_ENOMEM, or
 * an error of the map; with at_once IO_NOT_AT_ONCE instead of waiting for a medium, and
 * what dst names holds anything. */
enum { IO_NOT_AT_ONCE = 1 };
int io_read_blocks(lbs_vdisk *v, struct cursor *dst, size_t len,
		   uint64_t offset, int at_once);

/* Appends one change, once there is room for it in the map and on the card; the
 * caller holds its range. 0, LBS_ENOSPC, or why the store takes no more writes. */
int io_append(lbs_store *s, struct append_change *c);

/* One atomic write of 1 to IO_GROUP_BYTES bytes inside of the vdisk; moves from on.
 * Holds the range meanwhile. Errors as of reading and appending. */
int io_write_group(lbs_vdisk *v, struct cursor *from, size_t len,
		   uint64_t offset);

#endif
