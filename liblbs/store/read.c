/*
 * read.c - reading a vdisk: map, card, authentication, the caller's memory. Must
 * never give a byte that did not authenticate for its place (DESIGN.md promise 6).
 * There is no cache of guest data: the guest has one.
 */
#include "liblbs/store/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Frames with no more than this between them are read with one call. */
#define READ_GAP_BYTES 4096u

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

/* A read under way. */
struct reading {
	struct cursor *dst;
	size_t left;
	uint32_t skip;		/* so much of the next block is not wanted */
	int at_once;
};

/* What is wanted of the next block. */
static size_t
next_bytes(const struct reading *r)
{
	size_t most = BLOCK_BYTES - r->skip;

	return most < r->left ? most : r->left;
}

static ssize_t
read_card(lbs_store *s, uint32_t segment, uint32_t start, uint8_t *buf,
	  uint32_t bytes, int at_once)
{
	struct medium *card = s->env.card;
	uint64_t offset = geometry_offset(&s->geometry, segment) + start;
	uint32_t chunk = geometry_chunk(&s->geometry, segment);

	return at_once ? card->ops->pread_now(card, chunk, buf, bytes, offset)
		       : card->ops->pread(card, chunk, buf, bytes, offset);
}

/* Reads and opens the n frames of the blocks from lba on, which span() found to lie in
 * bytes of one segment: straight to dst where a whole block is wanted in one piece,
 * else through bounce. */
static int
read_span(lbs_vdisk *v, uint64_t lba, const uint64_t *positions, uint32_t n,
	  uint32_t bytes, uint8_t *buf, struct reading *r)
{
	lbs_store *s = v->store;
	uint32_t segment = position_segment(positions[0]);
	uint32_t start = position_offset(positions[0]);
	const uint8_t *key = segtab_key(s->segtab, segment);
	uint8_t bounce[BLOCK_BYTES];
	ssize_t got;

	if (!key)
		return damaged(v, lba, positions[0]);
	got = read_card(s, segment, start, buf, bytes, r->at_once);
	if (got == -EAGAIN && r->at_once)
		return IO_NOT_AT_ONCE;
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
		size_t want = next_bytes(r);
		uint8_t *to = want == BLOCK_BYTES
				      ? cursor_piece(r->dst, BLOCK_BYTES)
				      : NULL;

		if ((size_t)got < at ||
		    open_frame(&s->sealer, key, start + at, v->layer, lba + i,
			       buf + at, (uint32_t)got - at, to ? to : bounce))
			return damaged(v, lba + i, positions[i]);
		if (to)
			cursor_advance(r->dst, want);
		else
			cursor_copy(r->dst, bounce + r->skip, want, 1);
		r->left -= want;
		r->skip = 0;
	}
	return 0;
}

int
io_read_blocks(lbs_vdisk *v, struct cursor *dst, size_t len, uint64_t offset,
	       int at_once)
{
	struct reading r = { dst, len, offset % BLOCK_BYTES, at_once };
	lbs_store *s = v->store;
	uint64_t lba = offset / BLOCK_BYTES, positions[IO_READ_BLOCKS];
	uint8_t small[ZIP_FRAME_BYTES_MAX], *buf = small;
	uint32_t frame_max = frame_bytes_max(sealer_varies(&s->sealer));
	uint32_t bytes, n, i, cap = sizeof small;
	uint32_t blocks = (uint32_t)((r.skip + len + BLOCK_BYTES - 1) /
				     BLOCK_BYTES);
	int rc;

	if (at_once)
		rc = map_lookup_loaded(s->map, v->layer, lba, blocks, positions,
				       pin, s->segtab) ? 0 : IO_NOT_AT_ONCE;
	else
		rc = map_lookup(s->map, v->layer, lba, blocks, positions, pin,
				s->segtab);
	if (rc)
		return rc;
	for (i = 0; i < blocks && rc == 0; i += n) {
		if (!positions[i]) {
			size_t want = next_bytes(&r);

			cursor_zero(dst, want);
			r.left -= want;
			r.skip = 0;
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
				     &r)
			 : LBS_ENOMEM;
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

	if (rc || !io_in_range(v, len, offset))
		return LBS_EINVAL;
	if (v->store->forks != store_forks())
		return LBS_EFORK;
	count(v->store, LBS_STAT_READ_OPS, 1);
	count(v->store, LBS_STAT_READ_BYTES, len);
	store_read_ahead(v, offset, len);
	while (len && rc == 0) {
		size_t n = IO_READ_BLOCKS * BLOCK_BYTES - offset % BLOCK_BYTES;

		if (n > len)
			n = len;
		rc = io_read_blocks(v, &dst, n, offset, 0);
		offset += n;
		len -= n;
	}
	return rc;
}

int
store_read_at_once(lbs_vdisk *v, const struct iovec *iov, uint64_t offset)
{
	struct cursor dst = { iov, 1, 0 };
	uint64_t from, to;
	int rc;

	/* Reading ahead is for who may wait: it loads pages of the map. */
	if (!v->store->env.card->ops->pread_now || iov->iov_len > SHORT_BYTES ||
	    !io_in_range(v, iov->iov_len, offset) ||
	    ahead_is_due(&v->ahead, offset, iov->iov_len))
		return IO_NOT_AT_ONCE;
	rc = io_read_blocks(v, &dst, iov->iov_len, offset, 1);
	if (rc == IO_NOT_AT_ONCE)
		return rc;
	count(v->store, LBS_STAT_READ_OPS, 1);
	count(v->store, LBS_STAT_READ_BYTES, iov->iov_len);
	(void)ahead_note(&v->ahead, offset, iov->iov_len, &from, &to);
	return rc;
}

API int
lbs_vdisk_read(lbs_vdisk *v, void *buf, size_t len, uint64_t offset)
{
	struct iovec iov = { buf, len };

	return lbs_vdisk_readv(v, &iov, 1, offset);
}
