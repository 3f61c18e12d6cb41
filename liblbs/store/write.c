/*
 * write.c - writing a vdisk: any offset, any length, in atomic groups. Whole blocks
 * go straight to the log; part of a block is read, changed and written while nobody
 * else writes it. Must never acknowledge what is not in the kernel's hands.
 */
#include "liblbs/store/io.h"

#include <assert.h>

/* Lets a change into the map: new blocks as far as so many may live. */
static int
admit(lbs_store *s, const struct extent *extent, int is_unmap)
{
	uint32_t fresh = 0;
	int rc = 0, admitted = LBS_ENOSPC;

	while (rc == 0 && admitted <= 0) {
		/* Refused as others came first: is there still room? */
		if (!is_unmap && admitted < 0)
			rc = store_room_admit(s, extent, &fresh);
		if (rc)
			break;
		admitted = map_admit(s->map, extent, is_unmap, fresh);
		if (admitted == 0)
			rc = store_checkpoint(s);
	}
	return rc;
}

/* Appends a change once there is room in the map and on the card. */
static int
append_admitted(lbs_store *s, struct append_change *c)
{
	int is_unmap = c->kind == RECORD_UNMAP, rc;
	unsigned tries = 0;

	/* For each group of a long request: a store that failed meanwhile takes
	 * no more of it. */
	rc = store_may_write(s);
	if (rc)
		return rc;
	if (!is_unmap && atomic_load(&s->meta_low) && !store_meta_has_room(s))
		return LBS_ENOSPC;
	for (;;) {
		rc = admit(s, &c->extent, is_unmap);
		if (rc)
			return rc;
		rc = stream_append(s->stream, c);
		if (rc == 0)
			return background_after_write(s);
		map_unadmit(s->map, &c->extent, is_unmap);
		if (rc != LBS_ENOSPC)
			return rc;
		/* Outside of the stream's lock: others go on. */
		rc = store_make_room(s, tries++);
		if (rc <= 0)
			return rc ? rc : LBS_ENOSPC;
	}
}

int
io_append(lbs_store *s, struct append_change *c)
{
	int rc = append_admitted(s, c);

	if (rc == LBS_ENOSPC)
		store_event(s, LBS_EVENT_FULL);
	return rc;
}

/* A guest write of up to IO_GROUP_BYTES being turned into blocks. */
struct source {
	struct cursor start;
	struct cursor cursor;	/* at the block that is asked for next */
	uint32_t blocks, next;
	uint8_t *head, *tail;	/* edges after read-modify-write, or NULL */
	uint32_t head_bytes; /* of the caller's in it */
	uint8_t gathered[BLOCK_BYTES];
};

static const uint8_t *
source_block(void *ctx, uint32_t i)
{
	struct source *src = ctx;
	uint8_t *p;

	/* Again from the first one when there was no room. */
	if (i == 0) {
		src->cursor = src->start;
		src->next = 0;
	}
	assert(i == src->next);
	src->next++;
	if (i == 0 && src->head) {
		cursor_advance(&src->cursor, src->head_bytes);
		return src->head;
	}
	if (i == src->blocks - 1 && src->tail)
		return src->tail;
	p = cursor_piece(&src->cursor, BLOCK_BYTES);
	if (p) {
		cursor_advance(&src->cursor, BLOCK_BYTES);
		return p;
	}
	cursor_copy(&src->cursor, src->gathered, BLOCK_BYTES, 0);
	return src->gathered;
}

/* Reads a block and lays the caller's bytes over [begin, end) of it. */
static int
merge_edge(lbs_vdisk *v, uint8_t *block, uint64_t lba, struct cursor from,
	   uint32_t begin, uint32_t end)
{
	struct iovec iov = { block, BLOCK_BYTES };
	struct cursor whole = { &iov, 1, 0 };
	int rc = io_read_blocks(v, &whole, BLOCK_BYTES, lba * BLOCK_BYTES,
				0);

	if (rc == 0)
		cursor_copy(&from, block + begin, end - begin, 0);
	return rc;
}

int
io_write_group(lbs_vdisk *v, struct cursor *from, size_t len, uint64_t offset)
{
	lbs_store *s = v->store;
	uint64_t lba = offset / BLOCK_BYTES;
	uint32_t skip = offset % BLOCK_BYTES;
	uint32_t end = (uint32_t)((skip + len) % BLOCK_BYTES);
	uint32_t blocks =
		(uint32_t)((skip + len + BLOCK_BYTES - 1) / BLOCK_BYTES);
	uint8_t head[BLOCK_BYTES], tail[BLOCK_BYTES];
	struct source src;
	struct append_change change = {
		.kind = RECORD_DATA,
		.level = ROOM_ORDINARY,
		.extent = { v->layer, blocks, lba },
		.block = source_block,
		.ctx = &src,
	};
	struct range range = { .layer = v->layer, .first = lba,
			       .count = blocks, .exclusive = skip || end };
	int rc = 0;

	/* Not by an initialiser: that would clear gathered at each write. */
	src.start = *from;
	src.blocks = blocks;
	src.head = src.tail = NULL;
	range_enter(&s->ranges, &range);
	if (skip || (blocks == 1 && end)) {
		uint32_t to = blocks == 1 && end ? end : BLOCK_BYTES;

		rc = merge_edge(v, head, lba, *from, skip, to);
		src.head = head;
		src.head_bytes = to - skip;
	}
	if (rc == 0 && end && blocks > 1) {
		struct cursor last = *from;

		cursor_advance(&last, len - end);
		rc = merge_edge(v, tail, lba + blocks - 1, last, 0, end);
		src.tail = tail;
	}
	if (rc == 0)
		rc = io_append(s, &change);
	range_leave(&s->ranges, &range);
	cursor_advance(from, len);
	return rc;
}

static int
write_all(lbs_vdisk *v, struct cursor *from, size_t len, uint64_t offset)
{
	int rc = 0;

	while (len && rc == 0) {
		size_t n = len;

		/* Promise 4: no block is written by two groups. */
		if (n > IO_GROUP_BYTES)
			n = IO_GROUP_BYTES - offset % BLOCK_BYTES;
		rc = io_write_group(v, from, n, offset);
		offset += n;
		len -= n;
	}
	return rc;
}

API int
lbs_vdisk_writev(lbs_vdisk *v, const struct iovec *iov, int iov_count,
		 uint64_t offset, unsigned flags)
{
	struct cursor from = { iov, iov_count, 0 };
	size_t len;
	int rc = iov_total(iov, iov_count, &len);

	if (rc == 0)
		rc = io_may_change(v, len, offset, flags);
	if (rc)
		return rc;
	count(v->store, LBS_STAT_WRITE_OPS, 1);
	count(v->store, LBS_STAT_WRITE_BYTES, len);
	rc = write_all(v, &from, len, offset);
	return io_changed(v, rc, flags);
}

API int
lbs_vdisk_write(lbs_vdisk *v, const void *buf, size_t len, uint64_t offset,
		unsigned flags)
{
	struct iovec iov = { (void *)buf, len };

	return lbs_vdisk_writev(v, &iov, 1, offset, flags);
}

API int
lbs_vdisk_flush(lbs_vdisk *v)
{
	count(v->store, LBS_STAT_FLUSH_OPS, 1);
	return store_flush(v->store);
}
