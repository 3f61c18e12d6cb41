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
			.use_reserve = ROOM_DISCARD,
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

/* The end of a range in whole blocks; the vdisk's last block counts as whole
 * when the range reaches the vdisk's end. */
static uint64_t
end_block(const lbs_vdisk *v, uint64_t end_bytes)
{
	return (end_bytes == v->size_bytes ? end_bytes + BLOCK_BYTES - 1
					   : end_bytes) / BLOCK_BYTES;
}

API int
lbs_vdisk_discard(lbs_vdisk *v, uint64_t len, uint64_t offset, unsigned flags)
{
	uint64_t first = (offset + BLOCK_BYTES - 1) / BLOCK_BYTES;
	int rc;

	if (!io_in_range(v, len, offset) || flags & ~(unsigned)LBS_FUA)
		return LBS_EINVAL;
	rc = store_may_write(v->store);
	if (rc)
		return rc;
	count(v->store, LBS_STAT_DISCARD_OPS, 1);
	count(v->store, LBS_STAT_DISCARD_BYTES, len);
	if (first < end_block(v, offset + len))
		rc = unmap(v, first, end_block(v, offset + len));
	return rc == 0 && flags & LBS_FUA ? store_flush(v->store) : rc;
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

API int
lbs_vdisk_write_zeroes(lbs_vdisk *v, uint64_t len, uint64_t offset,
		       unsigned flags)
{
	uint64_t end = offset + len;
	uint64_t first = (offset + BLOCK_BYTES - 1) / BLOCK_BYTES;
	uint64_t last;
	int rc;

	if (!io_in_range(v, len, offset) || flags & ~(unsigned)LBS_FUA)
		return LBS_EINVAL;
	rc = store_may_write(v->store);
	if (rc)
		return rc;
	count(v->store, LBS_STAT_ZERO_OPS, 1);
	count(v->store, LBS_STAT_ZERO_BYTES, len);
	last = end_block(v, end);
	if (last < first) {
		rc = zero_edge(v, len, offset);
	} else if (len <= IO_GROUP_BYTES &&
		   (offset % BLOCK_BYTES || last * BLOCK_BYTES < end)) {
		/* With edges, and small enough to be one atomic write. */
		rc = zero_data(v, len, offset);
	} else if (len) {
		rc = zero_edge(v, first * BLOCK_BYTES - offset, offset);
		if (rc == 0)
			rc = unmap(v, first, last);
		if (rc == 0 && last * BLOCK_BYTES < end)
			rc = zero_edge(v, end - last * BLOCK_BYTES,
				       last * BLOCK_BYTES);
	}
	return rc == 0 && flags & LBS_FUA ? store_flush(v->store) : rc;
}
