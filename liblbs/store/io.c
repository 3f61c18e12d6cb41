/*
 * io.c - the data path of a vdisk: any offset, any length. Whole blocks go
 * straight to the log; part of a block is read, changed and written while
 * nobody else writes it. There is no cache of guest data: the guest has one.
 */
#include "liblbs/store/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One atomic group (DESIGN.md promise 4): at most this much, then GROUP_BLOCKS_MAX
 * blocks suffice however it lies. */
#define GROUP_BYTES (1u << 20)
/* One map look-up and at most this many blocks of card are read at a time. */
#define READ_BLOCKS 64u
/* Frames with no more than this between them are read with one call. */
#define READ_GAP_BYTES 4096u
#define STATUS_BLOCKS (1u << 15)

/* A place in the caller's memory. */
struct cursor {
	const struct iovec *iov;
	int count;
	size_t at;		/* in iov[0] */
};

/* The next n bytes if they lie in one piece, else NULL. */
static uint8_t *
contiguous(const struct cursor *c, size_t n)
{
	return c->count && c->iov->iov_len - c->at >= n
		       ? (uint8_t *)c->iov->iov_base + c->at
		       : NULL;
}

static void
advance(struct cursor *c, size_t n)
{
	while (n && c->count) {
		size_t have = c->iov->iov_len - c->at;

		if (n < have) {
			c->at += n;
			return;
		}
		n -= have;
		c->iov++;
		c->count--;
		c->at = 0;
	}
}

/* Copies n bytes from or to the caller's memory and moves on. */
static void
transfer(struct cursor *c, void *buf, size_t n, int to_caller)
{
	uint8_t *p = buf;

	while (n) {
		size_t have = c->iov->iov_len - c->at;
		size_t step = have < n ? have : n;

		if (to_caller)
			memcpy((uint8_t *)c->iov->iov_base + c->at, p, step);
		else
			memcpy(p, (uint8_t *)c->iov->iov_base + c->at, step);
		p += step;
		n -= step;
		advance(c, step);
		while (c->count && c->at == c->iov->iov_len) {
			c->iov++;
			c->count--;
			c->at = 0;
		}
	}
}

static int
in_range(const lbs_vdisk *v, uint64_t len, uint64_t offset)
{
	return offset <= v->size_bytes && len <= v->size_bytes - offset;
}

static int
iov_total(const struct iovec *iov, int count, size_t *total)
{
	*total = 0;
	for (int i = 0; i < count; i++) {
		if (iov[i].iov_len > SIZE_MAX - *total)
			return LBS_EINVAL;
		*total += iov[i].iov_len;
	}
	return 0;
}

/* ---- reading ----------------------------------------------------------- */

static void
pin(void *ctx, uint32_t segment)
{
	segtab_pin(ctx, segment);
}

static void
unpin(lbs_store *s, const uint64_t *positions, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (positions[i])
			segtab_unpin(s->segtab, position_segment(positions[i]));
}

static int
damaged(lbs_vdisk *v, uint64_t lba, uint64_t position)
{
	lbs_store *s = v->store;
	char name[MEDIUM_NAME_BYTES];
	uint32_t segment = position_segment(position);

	count(s, LBS_STAT_INTEGRITY_ERRORS, 1);
	store_event(s, LBS_EVENT_INTEGRITY);
	medium_file_name(geometry_chunk(&s->geometry, segment), name);
	return fail(&s->log, LBS_EDAMAGED,
		    "the block at offset %llu of vdisk %s does not "
		    "authenticate (%s, offset %llu): the card is damaged or was "
		    "tampered with; restore the block from a backup",
		    (unsigned long long)lba * BLOCK_BYTES, v->name, name,
		    (unsigned long long)(geometry_offset(&s->geometry, segment) +
					 position_offset(position)));
}

/* How many of the frames at positions[0..n) one call can fetch, and how much that
 * reads: the last one at its longest. positions[0] is mapped. */
static uint32_t
span(const uint64_t *positions, uint32_t n, uint32_t frame_max, uint32_t *bytes)
{
	uint32_t start = position_offset(positions[0]), last = start, i;

	for (i = 1; i < n; i++) {
		uint32_t at = position_offset(positions[i]);

		if (!positions[i] ||
		    position_segment(positions[i]) !=
			    position_segment(positions[0]) ||
		    at <= last || at - last > frame_max + READ_GAP_BYTES)
			break;
		last = at;
	}
	*bytes = last + frame_max - start;
	return i;
}

/* Reads and opens count blocks from lba into blocks: to their places in dst
 * where the whole block is wanted in one piece, else through bounce. */
static int
read_span(lbs_vdisk *v, uint64_t lba, const uint64_t *positions, uint32_t n,
	  uint32_t bytes, uint8_t *buf, struct cursor *dst, uint32_t skip,
	  size_t *left)
{
	lbs_store *s = v->store;
	uint32_t segment = position_segment(positions[0]);
	uint32_t start = position_offset(positions[0]);
	const uint8_t *key = segtab_key(s->segtab, segment);
	uint8_t bounce[BLOCK_BYTES];
	ssize_t got;

	if (!key)
		return damaged(v, lba, positions[0]);
	got = s->env.card->ops->pread(
		s->env.card, geometry_chunk(&s->geometry, segment), buf, bytes,
		geometry_offset(&s->geometry, segment) + start);
	count(s, LBS_STAT_CARD_READ_CALLS, 1);
	if (got < 0) {
		count(s, LBS_STAT_IO_ERRORS, 1);
		store_event(s, LBS_EVENT_CARD_GONE);
		return fail(&s->log, code_of_errno((int)got) == LBS_ENOMEM
					     ? LBS_ENOMEM
					     : LBS_EIO,
			    "the card cannot be read (%s): check it",
			    strerror((int)-got));
	}
	count(s, LBS_STAT_CARD_READ_BYTES, (uint64_t)got);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = position_offset(positions[i]) - start;
		size_t want = BLOCK_BYTES - skip < *left ? BLOCK_BYTES - skip
							 : *left;
		uint8_t *to = want == BLOCK_BYTES
				      ? contiguous(dst, BLOCK_BYTES)
				      : NULL;

		if ((size_t)got < at ||
		    open_frame(&s->sealer, key, start + at, v->layer, lba + i,
			       buf + at, (uint32_t)got - at, to ? to : bounce))
			return damaged(v, lba + i, positions[i]);
		if (to)
			advance(dst, want);
		else
			transfer(dst, bounce + skip, want, 1);
		*left -= want;
		skip = 0;
	}
	return 0;
}

static void
give_zeroes(struct cursor *dst, size_t n)
{
	static const uint8_t zeroes[BLOCK_BYTES];

	while (n) {
		size_t step = n < sizeof zeroes ? n : sizeof zeroes;

		transfer(dst, (void *)zeroes, step, 1);
		n -= step;
	}
}

/* Up to READ_BLOCKS blocks. */
static int
read_blocks(lbs_vdisk *v, struct cursor *dst, size_t len, uint64_t offset)
{
	lbs_store *s = v->store;
	uint64_t lba = offset / BLOCK_BYTES, positions[READ_BLOCKS];
	uint8_t small[ZIP_FRAME_BYTES_MAX], *buf = small;
	uint32_t frame_max = frame_bytes_max(sealer_varies(&s->sealer));
	uint32_t skip = offset % BLOCK_BYTES, bytes, n, i, cap = sizeof small;
	uint32_t blocks = (uint32_t)((skip + len + BLOCK_BYTES - 1) /
				     BLOCK_BYTES);
	int rc;

	rc = map_lookup(s->map, v->layer, lba, blocks, positions, pin,
			s->segtab);
	if (rc)
		return rc;
	for (i = 0; i < blocks && rc == 0; i += n) {
		if (!positions[i]) {
			size_t want = BLOCK_BYTES - skip < len
					      ? BLOCK_BYTES - skip
					      : len;

			give_zeroes(dst, want);
			len -= want;
			skip = 0;
			n = 1;
			continue;
		}
		n = span(positions + i, blocks - i, frame_max, &bytes);
		if (bytes > cap) {
			if (buf != small)
				free(buf);
			buf = malloc(bytes);
			cap = buf ? bytes : 0;
		}
		rc = buf ? read_span(v, lba + i, positions + i, n, bytes, buf,
				     dst, skip, &len)
			 : LBS_ENOMEM;
		skip = 0;
	}
	if (buf != small)
		free(buf);
	unpin(s, positions, blocks);
	return rc;
}

API int
lbs_vdisk_readv(lbs_vdisk *v, const struct iovec *iov, int iov_count,
		uint64_t offset)
{
	struct cursor dst = { iov, iov_count, 0 };
	size_t len;
	int rc = iov_total(iov, iov_count, &len);

	if (rc || !in_range(v, len, offset))
		return LBS_EINVAL;
	if (v->store->forks != store_forks())
		return LBS_EFORK;
	count(v->store, LBS_STAT_READ_OPS, 1);
	count(v->store, LBS_STAT_READ_BYTES, len);
	store_read_ahead(v, offset, len);
	while (len && rc == 0) {
		size_t n = READ_BLOCKS * BLOCK_BYTES - offset % BLOCK_BYTES;

		if (n > len)
			n = len;
		rc = read_blocks(v, &dst, n, offset);
		offset += n;
		len -= n;
	}
	return rc;
}

API int
lbs_vdisk_read(lbs_vdisk *v, void *buf, size_t len, uint64_t offset)
{
	struct iovec iov = { buf, len };

	return lbs_vdisk_readv(v, &iov, 1, offset);
}

/* ---- writing ----------------------------------------------------------- */

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

static int
append(lbs_store *s, struct append_change *c)
{
	int rc = append_admitted(s, c);

	if (rc == LBS_ENOSPC)
		store_event(s, LBS_EVENT_FULL);
	return rc;
}

/* A guest write of up to GROUP_BYTES being turned into blocks. */
struct source {
	struct cursor start;
	struct cursor cursor;	/* at the block that is asked for next */
	uint32_t blocks, next;
	uint8_t *head, *tail;	/* edges after read-modify-write, or NULL */
	uint32_t head_bytes, tail_bytes; /* of the caller's in them */
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
		advance(&src->cursor, src->head_bytes);
		return src->head;
	}
	if (i == src->blocks - 1 && src->tail)
		return src->tail;
	p = contiguous(&src->cursor, BLOCK_BYTES);
	if (p) {
		advance(&src->cursor, BLOCK_BYTES);
		return p;
	}
	transfer(&src->cursor, src->gathered, BLOCK_BYTES, 0);
	return src->gathered;
}

/* Reads a block and lays the caller's bytes [from, to) over it. */
static int
merge_edge(lbs_vdisk *v, uint8_t *block, uint64_t lba, struct cursor from,
	   uint32_t begin, uint32_t end)
{
	struct iovec iov = { block, BLOCK_BYTES };
	struct cursor whole = { &iov, 1, 0 };
	int rc = read_blocks(v, &whole, BLOCK_BYTES, lba * BLOCK_BYTES);

	if (rc == 0)
		transfer(&from, block + begin, end - begin, 0);
	return rc;
}

static int
write_group(lbs_vdisk *v, struct cursor *from, size_t len, uint64_t offset)
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
		.use_reserve = ROOM_ORDINARY,
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

		advance(&last, len - end);
		rc = merge_edge(v, tail, lba + blocks - 1, last, 0, end);
		src.tail = tail;
	}
	if (rc == 0)
		rc = append(s, &change);
	range_leave(&s->ranges, &range);
	advance(from, len);
	return rc;
}

static int
write_all(lbs_vdisk *v, struct cursor *from, uint64_t len, uint64_t offset)
{
	int rc = 0;

	while (len && rc == 0) {
		size_t n = len < GROUP_BYTES ? (size_t)len : GROUP_BYTES;

		rc = write_group(v, from, n, offset);
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

	if (rc || !in_range(v, len, offset) || flags & ~(unsigned)LBS_FUA)
		return LBS_EINVAL;
	rc = store_may_write(v->store);
	if (rc)
		return rc;
	count(v->store, LBS_STAT_WRITE_OPS, 1);
	count(v->store, LBS_STAT_WRITE_BYTES, len);
	rc = write_all(v, &from, len, offset);
	return rc == 0 && flags & LBS_FUA ? store_flush(v->store) : rc;
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

/* ---- holes ------------------------------------------------------------- */

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
		rc = append(v->store, &change);
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

	if (!in_range(v, len, offset) || flags & ~(unsigned)LBS_FUA)
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
	struct iovec iov[GROUP_BYTES / BLOCK_BYTES];
	struct cursor from = { iov, GROUP_BYTES / BLOCK_BYTES, 0 };

	for (uint32_t i = 0; i < GROUP_BYTES / BLOCK_BYTES; i++)
		iov[i] = (struct iovec){ (void *)zeroes, sizeof zeroes };
	return len ? write_group(v, &from, (size_t)len, offset) : 0;
}

API int
lbs_vdisk_write_zeroes(lbs_vdisk *v, uint64_t len, uint64_t offset,
		       unsigned flags)
{
	uint64_t end = offset + len;
	uint64_t first = (offset + BLOCK_BYTES - 1) / BLOCK_BYTES;
	uint64_t last;
	int rc;

	if (!in_range(v, len, offset) || flags & ~(unsigned)LBS_FUA)
		return LBS_EINVAL;
	rc = store_may_write(v->store);
	if (rc)
		return rc;
	count(v->store, LBS_STAT_ZERO_OPS, 1);
	count(v->store, LBS_STAT_ZERO_BYTES, len);
	last = end_block(v, end);
	if (len <= GROUP_BYTES &&
	    (offset % BLOCK_BYTES || last * BLOCK_BYTES < end)) {
		/* With edges, and small enough to be one atomic write. */
		rc = zero_data(v, len, offset);
	} else if (len) {
		rc = zero_data(v, first * BLOCK_BYTES - offset, offset);
		if (rc == 0)
			rc = unmap(v, first, last);
		if (rc == 0 && last * BLOCK_BYTES < end)
			rc = zero_data(v, end - last * BLOCK_BYTES,
				       last * BLOCK_BYTES);
	}
	return rc == 0 && flags & LBS_FUA ? store_flush(v->store) : rc;
}

API int
lbs_vdisk_extents(lbs_vdisk *v, uint64_t len, uint64_t offset,
		  int (*fn)(void *ctx, uint64_t offset_bytes, uint64_t len_bytes,
			    int is_data),
		  void *ctx)
{
	uint64_t lba = offset / BLOCK_BYTES, end = offset + len, same;
	uint64_t last = (end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	uint64_t from = offset;
	int mapped, current = -1, rc;

	if (!in_range(v, len, offset))
		return LBS_EINVAL;
	if (v->store->forks != store_forks())
		return LBS_EFORK;
	while (len && lba < last) {
		uint64_t n = last - lba < STATUS_BLOCKS ? last - lba
							: STATUS_BLOCKS;
		uint64_t hole = lba, region = MAP_REGION_BLOCKS -
					     lba % MAP_REGION_BLOCKS;

		n = n < region ? n : region;
		if (lba % MAP_REGION_BLOCKS == 0) {
			rc = store_skip_hole(v->store, v->layer, &lba, last);
			if (rc)
				return rc;
		}
		if (lba > hole) {
			if (current == 1) {
				if (fn(ctx, from, hole * BLOCK_BYTES - from, 1))
					return 0;
				from = hole * BLOCK_BYTES;
			}
			current = 0;
			continue;
		}
		rc = map_status(v->store->map, v->layer, lba, n, &mapped, &same);
		if (rc)
			return rc;
		if (current >= 0 && mapped != current) {
			if (fn(ctx, from, lba * BLOCK_BYTES - from, current))
				return 0;
			from = lba * BLOCK_BYTES;
		}
		current = mapped;
		lba += same;
	}
	if (current >= 0)
		fn(ctx, from, end - from, current);
	return 0;
}
