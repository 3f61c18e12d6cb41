/*
 * discard.c - discarding and writing zeroes: whole blocks are unmapped, parts of
 * blocks are written. A discard must never touch a block that it does not cover; a
 * writing of zeroes must leave none of its bytes as they were.
 */
#include "liblbs/store/io.h"

/* Unmaps whole blocks: one record whatever their number (condition 15). */
static int
unmap(lbs_vdisk *v, uint64_t first, uint64_t end)
{
	int rc = 0;

	while (first < end && rc == 0) {
		uint64_t n = end - first < UINT32_MAX ? end - first : UINT32_MAX;
		struct append_change change = {
			.kind = RECORD_UNMAP,
			.level = ROOM_DISCARD,
			.extent = { v->layer, (uint32_t)n, first },
		};
		struct range range = { .layer = v->layer, .first = first,
				       .count = n };

		range_enter(&v->store->ranges, &range);
		rc = io_append(v->store, &change);
		range_leave(&v->store->ranges, &range);
		first += n;
	}
	return rc;
}

/* The whole blocks of a range begin with this one, */
static uint64_t
first_block(uint64_t offset)
{
	return (offset + BLOCK_BYTES - 1) / BLOCK_BYTES;
}

/* and end before this one; the vdisk's last block counts as whole when the range
 * reaches the vdisk's end. */
static uint64_t
end_block(const lbs_vdisk *v, uint64_t end_bytes)
{
	return (end_bytes == v->size_bytes ? end_bytes + BLOCK_BYTES - 1
					   : end_bytes) / BLOCK_BYTES;
}

API int
lbs_vdisk_discard(lbs_vdisk *v, uint64_t len, uint64_t offset, unsigned flags)
{
	int rc = io_may_change(v, len, offset, flags);

	if (rc)
		return rc;
	count(v->store, LBS_STAT_DISCARD_OPS, 1);
	count(v->store, LBS_STAT_DISCARD_BYTES, len);
	rc = unmap(v, first_block(offset), end_block(v, offset + len));
	return io_changed(v, rc, flags);
}

/* Writes zeroes as data: parts of blocks, up to one atomic group. */
static int
zero_data(lbs_vdisk *v, uint64_t len, uint64_t offset)
{
	static const uint8_t zeroes[BLOCK_BYTES];
	struct iovec iov[IO_GROUP_BYTES / BLOCK_BYTES];
	struct cursor from = { iov, IO_GROUP_BYTES / BLOCK_BYTES, 0 };

	for (uint32_t i = 0; i < IO_GROUP_BYTES / BLOCK_BYTES; i++)
		iov[i] = (struct iovec){ (void *)zeroes, sizeof zeroes };
	return io_write_group(v, &from, (size_t)len, offset);
}

/* Zeroes a part of one block. A hole reads as zeroes already and stays one; the
 * range waits until whatever made it one is acknowledged itself (promise 2). */
static int
zero_edge(lbs_vdisk *v, uint64_t len, uint64_t offset)
{
	struct range range = { .layer = v->layer,
			       .first = offset / BLOCK_BYTES,
			       .count = 1, .exclusive = 1 };
	uint64_t same;
	int mapped, rc;

	if (len == 0)
		return 0;
	range_enter(&v->store->ranges, &range);
	rc = map_status(v->store->map, v->layer, range.first, 1, &mapped,
			&same);
	range_leave(&v->store->ranges, &range);
	return rc || !mapped ? rc : zero_data(v, len, offset);
}

static int
zero(lbs_vdisk *v, uint64_t len, uint64_t offset)
{
	uint64_t end = offset + len, first = first_block(offset);
	uint64_t last = end_block(v, end);
	int rc;

	if (len == 0)
		return 0;
	if (last < first)
		return zero_edge(v, len, offset);
	/* With edges, and small enough to be one atomic write. */
	if (len <= IO_GROUP_BYTES &&
	    (offset % BLOCK_BYTES || last * BLOCK_BYTES < end))
		return zero_data(v, len, offset);
	rc = zero_edge(v, first * BLOCK_BYTES - offset, offset);
	if (rc == 0)
		rc = unmap(v, first, last);
	if (rc == 0 && last * BLOCK_BYTES < end)
		rc = zero_edge(v, end - last * BLOCK_BYTES, last * BLOCK_BYTES);
	return rc;
}

API int
lbs_vdisk_write_zeroes(lbs_vdisk *v, uint64_t len, uint64_t offset,
		       unsigned flags)
{
	int rc = io_may_change(v, len, offset, flags);

	if (rc)
		return rc;
	count(v->store, LBS_STAT_ZERO_OPS, 1);
	count(v->store, LBS_STAT_ZERO_BYTES, len);
	return io_changed(v, zero(v, len, offset), flags);
}
