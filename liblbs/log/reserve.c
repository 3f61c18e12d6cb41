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

/* Bytes of the open segment that a record of so many extents may take, its index
 * entries and the padding that a cut behind it would need already counted. */
static uint32_t
room_for(const struct stream *st, uint32_t extents)
{
	uint64_t tail = index_tail_bytes(st->entries + extents);
	uint64_t end = (st->geometry->segment_bytes - tail) &
		       ~(uint64_t)(PAGE_BYTES - 1);

	return st->segment != NO_SEGMENT && end > st->cursor
		       ? (uint32_t)(end - st->cursor)
		       : 0;
}

static uint32_t
room(const struct stream *st)
{
	return room_for(st, 1);
}

static uint32_t
frames_that_fit(uint32_t room_bytes, uint32_t extents)
{
	uint32_t head = record_frames_at(extents);

	return room_bytes > head ? (room_bytes - head) / FRAME_BYTES : 0;
}

/* Bytes that records may take of a segment that is still empty. */
static uint32_t
fresh_room(const struct stream *st, uint32_t extents)
{
	return ((st->geometry->segment_bytes - index_tail_bytes(extents)) &
		~(PAGE_BYTES - 1)) - SEGMENT_HEADER_BYTES;
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
	int cold = st->kind == STREAM_CLEANER;
	struct index_head head = {
		.segment = st->segment,
		.stream = (uint32_t)st->kind,
		.serial = st->segment_serial,
		.first_recno = cold ? st->ages.oldest : st->segment_first_recno,
		.last_recno = cold ? st->ages.newest : st->next_recno - 1,
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
	segtab_close(st->segtab, st->segment,
		     cold ? RECNO_COLD : st->next_recno - 1);
	return 0;
}

static int
open_segment(struct stream *st, uint32_t segment)
{
	struct segment_sealed sealed = {
		.segment = segment,
		.stream = (uint32_t)st->kind,
		.serial = st->next_serial++,
		.session = st->session,
		.first_recno = st->next_recno,
	};
	uint8_t salt[SALT_BYTES], *page;
	uint64_t durable_to;
	int rc = 0;

	/* DESIGN.md promise 8: a fresh key for each use of a segment. */
	secret_random(salt, sizeof salt);
	if (st->segment != NO_SEGMENT)
		rc = close_segment(st, segment, salt);
	else if (st->hooks.begin)
		rc = st->hooks.begin(st->hooks.ctx, segment, sealed.serial,
				     salt, st->next_recno);
	if (rc)
		return rc;
	st->hooks.known(st->hooks.ctx, &durable_to, &sealed.checkpoint);
	segtab_use(st->segtab, segment, sealed.serial, salt, RECNO_OPEN);
	if (st->kind == STREAM_LOG)
		segtab_tick(st->segtab);
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
	st->ages = (struct ages){ UINT64_MAX, 0 };
	atomic_store(&st->open_chunk, geometry_chunk(st->geometry, segment));
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
	uint32_t fresh = frames_that_fit(fresh_room(st, 1), 1);
	uint32_t here = frames_that_fit(room(st), 1);

	if (frames == 0)
		return room(st) < record_bytes(1, 0);
	return frames <= here ? 0 : (int)((frames - here + fresh - 1) / fresh);
}

/* A sync that came without a cut has taken the cursor's page along: no page that
 * holds synced bytes is written again. */
static void
leave_synced_page(struct stream *st)
{
	if (atomic_load_explicit(&st->beside, memory_order_relaxed) &&
	    atomic_exchange(&st->beside, 0))
		st->cursor = (uint32_t)round_up(st->cursor, PAGE_BYTES);
}

/* Gives the next number and the place at the cursor to a record. */
static void
put_record(struct stream *st, struct group *g, uint32_t len, uint8_t *buf)
{
	struct item *it = &g->items[g->parts++];

	*it = (struct item){ .group = g, .buf = buf, .segment = st->segment,
			     .offset = st->cursor, .len = len,
			     .recno = st->next_recno++ };
	enqueue(st, it);
	st->last = (struct cut){ it->recno, st->segment, st->cursor };
	st->cursor += len;
	st->stats.records++;
	st->stats.log_bytes += len;
	atomic_store_explicit(&st->log_bytes, st->stats.log_bytes,
			      memory_order_relaxed);
}

/* Places one record at the cursor. */
static int
place(struct stream *st, struct group *g, const struct append_change *c,
      uint32_t first, uint32_t count, uint8_t **buf)
{
	uint32_t frames = c->kind == RECORD_DATA ? count : 0;
	uint32_t len = record_bytes(1, frames);
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
	put_record(st, g, len, *buf);
	*buf += len;
	return 0;
}

/* Places one record of several extents. */
static int
place_extents(struct stream *st, struct group *g, const struct append_change *c,
	      uint8_t *buf)
{
	uint32_t at = st->cursor + record_frames_at(c->extent_count);

	assert(append_frames(c) <=
	       frames_that_fit(room_for(st, c->extent_count), c->extent_count));
	if (c->ages.oldest < st->ages.oldest)
		st->ages.oldest = c->ages.oldest;
	if (c->ages.newest > st->ages.newest)
		st->ages.newest = c->ages.newest;
	for (uint32_t i = 0; i < c->extent_count; i++) {
		struct index_entry entry = { .kind = c->kind, .offset = at,
					     .extent = c->extents[i] };

		if (add_index_entry(st, &entry))
			return LBS_ENOMEM;
		g->changes[i].extent = c->extents[i];
		g->changes[i].position = position_make(st->segment, at);
		at += c->extents[i].count_blocks * FRAME_BYTES;
	}
	put_record(st, g, at - st->cursor, buf);
	return 0;
}

uint32_t
stream_fits(struct stream *st, uint32_t want)
{
	uint32_t n = want;

	pthread_mutex_lock(&st->lock);
	leave_synced_page(st);
	while (n && frames_that_fit(room_for(st, n), n) < n)
		n--;
	if (n == 0)
		for (n = want; frames_that_fit(fresh_room(st, n), n) < n; n--)
			;
	pthread_mutex_unlock(&st->lock);
	return n;
}

uint32_t
stream_rest(struct stream *st)
{
	uint32_t n = 0;

	pthread_mutex_lock(&st->lock);
	if (st->segment != NO_SEGMENT)
		n = st->geometry->segment_bytes - st->cursor;
	pthread_mutex_unlock(&st->lock);
	return n;
}

int
stream_reserve(struct stream *st, struct group *g,
	       const struct append_change *c, uint8_t *buf)
{
	uint32_t frames = append_frames(c);
	uint32_t done = 0, total = c->extent.count_blocks;
	int need, rc;

	if (st->error)
		return st->error;
	leave_synced_page(st);
	/* All segments first: after that nothing but memory can fail. */
	if (c->extents)
		need = frames > frames_that_fit(room_for(st, c->extent_count),
						c->extent_count);
	else
		need = segments_needed(st, frames);
	assert(need < PARTS_MAX);
	while (st->spares < need) {
		rc = st->hooks.next_segment(st->hooks.ctx, c->use_reserve,
					    &st->spare[st->spares]);
		if (rc)
			return rc;
		st->spares++;
	}
	if (c->extents) {
		rc = need ? open_segment(st, st->spare[--st->spares]) : 0;
		if (rc == 0)
			rc = place_extents(st, g, c, buf);
		if (rc)
			goto dead;
		return 0;
	}
	do {
		uint32_t n = frames ? frames_that_fit(room(st), 1) : 0;

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
