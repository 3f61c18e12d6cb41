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

/* How full a segment is. */
struct fill {
	uint32_t cursor, entries;
};

static const struct fill fresh = { SEGMENT_HEADER_BYTES, 0 };

/* Of the open one; without one nothing fits. */
static struct fill
filled(const struct stream *st)
{
	return st->segment == NO_SEGMENT || st->leaving
		       ? (struct fill){ st->geometry->segment_bytes, 0 }
		       : (struct fill){ st->cursor, st->entries };
}

/* Does a record of so many bytes and index entries still fit? The padding that a
 * cut behind it would need is counted. */
static int
fits(const struct stream *st, struct fill f, uint32_t bytes, uint32_t entries)
{
	return round_up(f.cursor + bytes, PAGE_BYTES) +
		       index_tail_bytes(f.entries + entries) <=
	       st->geometry->segment_bytes;
}

/* Index entries of so many frames of an extent. */
static uint32_t
entries_of(const struct stream *st, uint32_t frames)
{
	return sealer_varies(st->sealer) ? frames : 1;
}

/* How many blocks, from first to end, one record may still bring. */
static uint32_t
frames_that_fit(const struct stream *st, const struct group *g, struct fill f,
		uint32_t first, uint32_t end)
{
	uint32_t n = end - first;

	while (n && !fits(st, f, record_frames_at(1) +
				  group_frames_bytes(st, g, first, n),
			  entries_of(st, n)))
		n--;
	return n;
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
	/* All that is left: a page between would keep what an earlier use wrote,
	 * and the card would have to fill in what was not given to it. */
	uint32_t at = (uint32_t)round_up(st->cursor, PAGE_BYTES);
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

	assert(at <= size - tail);
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

	/* DESIGN.md promise 8, condition 6: a fresh key for each use of a segment,
	 * drawn when it begins. */
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
	st->leaving = 0;
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

/* How many new segments a change of that many frames needs (0: an unmap). */
static int
segments_needed(const struct stream *st, const struct group *g, uint32_t frames)
{
	struct fill f = filled(st);
	uint32_t done = 0;
	int need = 0;

	if (frames == 0)
		return !fits(st, f, record_bytes(1, 0), 1);
	while ((done += frames_that_fit(st, g, f, done, frames)) < frames) {
		f = fresh;
		need++;
		assert(need < PARTS_MAX);
	}
	return need;
}

/* Bytes and entries of the one record of several extents. */
static int
extents_fit(const struct stream *st, const struct group *g,
	    const struct append_change *c)
{
	uint32_t frames = append_frames(c);

	return fits(st, filled(st),
		    record_frames_at(c->extent_count) +
			    group_frames_bytes(st, g, 0, frames),
		    sealer_varies(st->sealer) ? frames : c->extent_count);
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

/* Gives the next number and the place at the cursor to a record of blocks [first,
 * first + count), of which the group's changes from the given one on tell. */
static void
put_record(struct stream *st, struct group *g, uint32_t first, uint32_t count,
	   uint32_t change, uint32_t len, uint8_t *buf)
{
	struct item *it = &g->items[g->parts++];
	uint32_t entries = g->change_count - change;

	*it = (struct item){ .group = g, .buf = buf, .segment = st->segment,
			     .offset = st->cursor, .len = len,
			     .first = first, .count = count,
			     .changes = g->changes + change,
			     .change_count = entries,
			     .recno = st->next_recno++ };
	enqueue(st, it);
	st->last = (struct cut){ it->recno, st->segment, st->cursor };
	st->cursor += len;
	st->stats.records++;
	st->stats.log_bytes += len + entries * INDEX_ENTRY_BYTES;
	atomic_store_explicit(&st->log_bytes, st->stats.log_bytes,
			      memory_order_relaxed);
}

/* What index and map say of an extent whose frames, or record, begin at a place of
 * the open segment. */
static int
note(struct stream *st, struct group *g, uint32_t at, uint8_t kind, uint8_t flags,
     const struct extent *x)
{
	struct index_entry entry = { at, kind, flags, *x };

	if (add_index_entry(st, &entry))
		return LBS_ENOMEM;
	g->changes[g->change_count++] = (struct map_change){
		*x, kind == RECORD_DATA ? position_make(st->segment, at) : 0
	};
	return 0;
}

/* The same of blocks of data from the given one on: where frames vary, of each. */
static int
note_frames(struct stream *st, struct group *g, uint32_t at, uint8_t flags,
	    const struct extent *x, uint32_t block)
{
	int rc = 0;

	if (!sealer_varies(st->sealer))
		return note(st, g, at, RECORD_DATA, flags, x);
	for (uint32_t i = 0; i < x->count_blocks && rc == 0; i++) {
		struct extent one = { x->layer, 1, x->lba + i };

		rc = note(st, g, at, RECORD_DATA,
			  i + 1 < x->count_blocks ? RECORD_GROUP_CONTINUES
						  : flags,
			  &one);
		at += frame_bytes(1, g->stored[block + i]);
	}
	return rc;
}

/* Places one record at the cursor. */
static int
place(struct stream *st, struct group *g, const struct append_change *c,
      uint32_t first, uint32_t count, uint8_t **buf)
{
	struct extent x = { c->extent.layer, count, c->extent.lba + first };
	uint8_t flags = c->continues || first + count < c->extent.count_blocks
				? RECORD_GROUP_CONTINUES
				: 0;
	uint32_t change = g->change_count, len = record_frames_at(1);
	int rc;

	if (c->kind == RECORD_DATA) {
		rc = note_frames(st, g, st->cursor + len, flags, &x, first);
		len += group_frames_bytes(st, g, first, count);
	} else {
		rc = note(st, g, st->cursor, c->kind, flags, &x);
	}
	if (rc)
		return rc;
	put_record(st, g, first, count, change, len, *buf);
	*buf += len;
	return 0;
}

/* Places one record of several extents. */
static int
place_extents(struct stream *st, struct group *g, const struct append_change *c,
	      uint8_t *buf)
{
	uint32_t head = record_frames_at(c->extent_count), block = 0;
	int rc = 0;

	assert(extents_fit(st, g, c));
	if (c->ages.oldest < st->ages.oldest)
		st->ages.oldest = c->ages.oldest;
	if (c->ages.newest > st->ages.newest)
		st->ages.newest = c->ages.newest;
	for (uint32_t i = 0; i < c->extent_count && rc == 0; i++) {
		rc = note_frames(st, g,
				 st->cursor + head +
					 group_frames_bytes(st, g, 0, block),
				 i + 1 < c->extent_count ? RECORD_GROUP_CONTINUES
							 : 0,
				 &c->extents[i], block);
		block += c->extents[i].count_blocks;
	}
	if (rc)
		return rc;
	put_record(st, g, 0, block, 0, head + group_frames_bytes(st, g, 0, block),
		   buf);
	return 0;
}

/* A record of so many blocks, each an extent, at its longest. */
static int
longest_fits(const struct stream *st, struct fill f, uint32_t blocks)
{
	uint32_t each = frame_bytes_max(sealer_varies(st->sealer));

	return fits(st, f, record_frames_at(blocks) + blocks * each, blocks);
}

uint32_t
stream_fits(struct stream *st, uint32_t want)
{
	uint32_t n = want;

	pthread_mutex_lock(&st->lock);
	leave_synced_page(st);
	while (n && !longest_fits(st, filled(st), n))
		n--;
	if (n == 0)
		for (n = want; !longest_fits(st, fresh, n); n--)
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

/* Some 4 microseconds: as long as somebody reserves or pushes. */
#define LOOK_TIMES 100

int
stream_look(struct stream *st, uint32_t *rest_bytes, uint64_t *unsynced_bytes)
{
	for (int i = 0; i < LOOK_TIMES; i++) {
		if (pthread_mutex_trylock(&st->lock)) {
			turn_relax();
			continue;
		}
		*rest_bytes = st->segment == NO_SEGMENT
				      ? 0
				      : st->geometry->segment_bytes - st->cursor;
		*unsynced_bytes = st->stats.unsynced_bytes;
		pthread_mutex_unlock(&st->lock);
		return 1;
	}
	return 0;
}

/* The spare segments that are not withdrawn stay. */
static void
give_back_spares(struct stream *st, uint32_t from)
{
	int n = 0;

	for (int i = 0; i < st->spares; i++)
		if (st->spare[i] < from)
			st->spare[n++] = st->spare[i];
		else
			segtab_release(st->segtab, st->spare[i]);
	st->spares = n;
}

void
stream_leave(struct stream *st, uint32_t from)
{
	pthread_mutex_lock(&st->lock);
	give_back_spares(st, from);
	if (st->segment != NO_SEGMENT && st->segment >= from) {
		st->leaving = 1;
		if (st->kind == STREAM_CLEANER) {
			/* Nobody follows this stream: it needs no index, as
			 * where a session ended. */
			assert(!st->head);
			segtab_close(st->segtab, st->segment, RECNO_COLD);
			st->segment = st->touched_segment = NO_SEGMENT;
			atomic_store(&st->open_chunk, NO_SEGMENT);
		}
	}
	pthread_mutex_unlock(&st->lock);
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
	need = c->extents ? !extents_fit(st, g, c)
			  : segments_needed(st, g, frames);
	while (st->spares < need) {
		rc = st->hooks.next_segment(st->hooks.ctx, c->level,
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
		uint32_t n = frames ? frames_that_fit(st, g, filled(st), done,
						      total)
			     : fits(st, filled(st), record_bytes(1, 0), 1)
				     ? total : 0;

		if (n == 0) {
			rc = open_segment(st, st->spare[--st->spares]);
			if (rc)
				goto dead;
			continue;
		}
		rc = place(st, g, c, done, n, &buf);
		if (rc)
			goto dead;
		done += n;
	} while (done < total);
	if (sealer_varies(st->sealer) && !c->stored) {
		st->stats.plain_bytes += (uint64_t)frames * BLOCK_BYTES;
		for (uint32_t i = 0; i < frames; i++)
			st->stats.stored_bytes += g->stored[i];
	}
	return 0;
dead:
	/* Numbers or segments were given out that no record will carry. */
	st->error = rc;
	return rc;
}
