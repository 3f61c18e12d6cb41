/*
 * reserve.c - where the next records go: their numbers, their places, the
 * segments that are closed and opened for them. FORMAT.md sections 5 to 7.
 * Must never do I/O on the log, and never give a place out twice: what is
 * reserved and then fails kills the stream.
 */
#include "liblbs/log/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "liblbs/error.h"
#include "liblbs/format/bytes.h"

static void
enqueue(struct stream *st, struct item *it)
{
	it->next = NULL;
	*st->tail = it;
	st->tail = &it->next;
}

/* Bytes of the open segment that the next record may take, its index entry and
 * the padding that a cut behind it would need already counted. */
static uint32_t
room(const struct stream *st)
{
	uint64_t tail = index_tail_bytes(st->entries + 1);
	uint64_t end = (st->geometry->segment_bytes - tail) &
		       ~(uint64_t)(PAGE_BYTES - 1);

	return st->segment != NO_SEGMENT && end > st->cursor
		       ? (uint32_t)(end - st->cursor)
		       : 0;
}

static uint32_t
frames_that_fit(uint32_t room_bytes)
{
	uint32_t head = record_frames_at(1);

	return room_bytes > head ? (room_bytes - head) / FRAME_BYTES : 0;
}

/* ---- segments ---------------------------------------------------------- */

static int
own_item(struct stream *st, uint32_t segment, uint32_t offset, uint32_t len,
	 uint8_t **buf)
{
	struct item *it = calloc(1, sizeof *it);

	*buf = calloc(1, len);
	if (!it || !*buf) {
		free(it);
		free(*buf);
		return LBS_ENOMEM;
	}
	it->buf = *buf;
	it->segment = segment;
	it->offset = offset;
	it->len = len;
	it->ready = 1;
	enqueue(st, it);
	return 0;
}

/* Ends the open segment with its index, which names the next one. */
static int
close_segment(struct stream *st, uint32_t next, const uint8_t salt[SALT_BYTES])
{
	uint32_t size = st->geometry->segment_bytes;
	uint32_t tail = index_tail_bytes(st->entries);
	uint32_t at = (size - tail) & ~(PAGE_BYTES - 1);
	struct index_head head = {
		.segment = st->segment,
		.stream = STREAM_LOG,
		.serial = st->segment_serial,
		.first_recno = st->segment_first_recno,
		.last_recno = st->next_recno - 1,
		.next_segment = next,
		.entry_count = st->entries,
	};
	uint8_t *buf;
	int rc;

	if (at < st->cursor)
		at = st->cursor;
	rc = own_item(st, st->segment, at, size - at, &buf);
	if (rc)
		return rc;
	memcpy(head.next_salt, salt, SALT_BYTES);
	index_head_encode(&head, st->index);
	seal_index(st->sealer, segtab_key(st->segtab, st->segment), st->index,
		   index_bytes(st->entries), buf + (size - tail - at));
	segtab_set_last_recno(st->segtab, st->segment, st->next_recno - 1);
	return 0;
}

static int
open_segment(struct stream *st, uint32_t segment)
{
	struct segment_sealed sealed = {
		.segment = segment,
		.stream = STREAM_LOG,
		.serial = st->next_serial++,
		.session = st->session,
		.first_recno = st->next_recno,
	};
	uint8_t salt[SALT_BYTES], *page;
	uint64_t durable_to;
	int rc;

	/* DESIGN.md promise 8: a fresh key for each use of a segment. */
	secret_random(salt, sizeof salt);
	if (st->segment != NO_SEGMENT)
		rc = close_segment(st, segment, salt);
	else
		rc = st->hooks.begin(st->hooks.ctx, segment, sealed.serial,
				     salt, st->next_recno);
	if (rc)
		return rc;
	st->hooks.known(st->hooks.ctx, &durable_to, &sealed.checkpoint);
	segtab_use(st->segtab, segment, sealed.serial, salt, RECNO_OPEN);
	rc = own_item(st, segment, 0, PAGE_BYTES, &page);
	if (rc)
		return rc;
	seal_header(st->sealer, segtab_key(st->segtab, segment), salt, &sealed,
		    page);
	st->segment = segment;
	st->cursor = SEGMENT_HEADER_BYTES;
	st->entries = 0;
	st->segment_first_recno = st->next_recno;
	st->segment_serial = sealed.serial;
	return 0;
}

static int
add_index_entry(struct stream *st, const struct index_entry *entry)
{
	uint32_t need = index_bytes(st->entries + 1);

	if (need > st->index_cap) {
		uint32_t cap = need * 2 + 4096;
		uint8_t *index = realloc(st->index, cap);

		if (!index)
			return LBS_ENOMEM;
		st->index = index;
		st->index_cap = cap;
	}
	index_entry_encode(entry, st->index + index_bytes(st->entries++));
	return 0;
}

/* ---- reservation ------------------------------------------------------- */

/* How many new segments a change of count frames needs (0 frames: an unmap). */
static int
segments_needed(const struct stream *st, uint32_t frames)
{
	uint32_t fresh = frames_that_fit(
		((st->geometry->segment_bytes - index_tail_bytes(1)) &
		 ~(PAGE_BYTES - 1)) - SEGMENT_HEADER_BYTES);
	uint32_t here = frames_that_fit(room(st));

	if (frames == 0)
		return room(st) < record_bytes(1, 0);
	return frames <= here ? 0 : (int)((frames - here + fresh - 1) / fresh);
}

/* Places one record at the cursor. */
static int
place(struct stream *st, struct group *g, const struct append_change *c,
      uint32_t first, uint32_t count, uint8_t **buf)
{
	uint32_t frames = c->kind == RECORD_DATA ? count : 0;
	uint32_t len = record_bytes(1, frames);
	struct item *it = &g->items[g->parts];
	struct map_change *change = &g->changes[g->parts];
	struct index_entry entry = { .kind = c->kind };

	change->extent = c->extent;
	change->extent.lba += first;
	change->extent.count_blocks = count;
	entry.offset = st->cursor + (frames ? record_frames_at(1) : 0);
	entry.extent = change->extent;
	if (c->continues || first + count < c->extent.count_blocks)
		entry.flags = RECORD_GROUP_CONTINUES;
	if (add_index_entry(st, &entry))
		return LBS_ENOMEM;
	change->position =
		frames ? position_make(st->segment, entry.offset) : 0;
	*it = (struct item){ .group = g, .buf = *buf, .segment = st->segment,
			     .offset = st->cursor, .len = len,
			     .recno = st->next_recno++ };
	enqueue(st, it);
	g->parts++;
	*buf += len;
	st->last = (struct cut){ it->recno, st->segment, st->cursor };
	st->cursor += len;
	st->stats.records++;
	st->stats.log_bytes += len;
	atomic_store_explicit(&st->log_bytes, st->stats.log_bytes,
			      memory_order_relaxed);
	return 0;
}

int
stream_reserve(struct stream *st, struct group *g,
	       const struct append_change *c, uint8_t *buf)
{
	uint32_t frames = c->kind == RECORD_DATA ? c->extent.count_blocks : 0;
	uint32_t done = 0, total = c->extent.count_blocks;
	int need, rc;

	if (st->error)
		return st->error;
	/* All segments first: after that nothing but memory can fail. */
	need = segments_needed(st, frames);
	assert(need < PARTS_MAX);
	while (st->spares < need) {
		rc = st->hooks.next_segment(st->hooks.ctx, c->use_reserve,
					    &st->spare[st->spares]);
		if (rc)
			return rc;
		st->spares++;
	}
	do {
		uint32_t n = frames ? frames_that_fit(room(st)) : 0;

		if (frames ? n == 0 : room(st) < record_bytes(1, 0)) {
			rc = open_segment(st, st->spare[--st->spares]);
			if (rc)
				goto dead;
			continue;
		}
		n = frames && n < total - done ? n : total - done;
		rc = place(st, g, c, done, n, &buf);
		if (rc)
			goto dead;
		done += n;
	} while (done < total);
	return 0;
dead:
	/* Numbers or segments were given out that no record will carry. */
	st->error = rc;
	return rc;
}
