/*
 * append.c - see append.h.
 *
 * A page of the card is first touched by a write that covers all of it (zeroes
 * behind the last byte): the kernel then need not read it from the card. Later
 * bytes of the page go into the cached page. After a cut no page that was
 * touched is touched again.
 */
#include "liblbs/log/append.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "liblbs/error.h"
#include "liblbs/format/bytes.h"

/* A group of 257 blocks over the smallest segments, which hold 13 each. */
#define PARTS_MAX 24
#define BATCH_ITEMS 128
#define BATCH_BYTES (1u << 20)
#define NO_SEGMENT UINT32_MAX

struct group;

/* A piece of the card, in the order of the log. */
struct item {
	struct item *next;
	struct group *group;	/* NULL: the stream's own (header, index) */
	uint8_t *buf;
	uint32_t segment, offset, len;
	uint64_t recno;
	int ready;
};

/* One stream_append, on its caller's stack. */
struct group {
	pthread_cond_t cond;
	struct item items[PARTS_MAX];
	struct map_change changes[PARTS_MAX];
	int parts, pushed, done, continues;
};

struct stream {
	const struct sealer *sealer;
	const struct geometry *geometry;
	struct medium *card;
	struct segtab *segtab;
	struct append_hooks hooks;
	uint64_t session;
	uint8_t *zeroes;	/* a page of them */

	pthread_mutex_t lock;	/* guards all below */
	pthread_cond_t pushed_cond; /* pushed_recno moved, or error */
	int cut_waiters;
	/* reservation */
	uint32_t segment, cursor;
	uint8_t *index;		/* plain index of the open segment */
	uint32_t entries, index_cap;
	uint64_t segment_first_recno, segment_serial;
	uint64_t next_recno, next_serial;
	struct cut last;	/* record reserved last */
	uint32_t spare[PARTS_MAX];
	int spares;
	/* queue */
	struct item *head, **tail;
	int pushing, error;
	uint64_t pushed_recno;
	uint32_t touched_segment, touched_end;
	uint8_t *dirty;		/* per chunk */
	struct stream_stats stats;
	_Atomic uint64_t log_bytes; /* as in stats */
	/* the group that is being pushed, across batches: owned by the pusher */
	struct map_change run[GROUP_RECORDS_MAX];
	int run_len;
};

struct stream *
stream_new(const struct sealer *sealer, const struct geometry *geometry,
	   struct medium *card, struct segtab *segtab,
	   const struct append_hooks *hooks, uint64_t session)
{
	struct stream *st = calloc(1, sizeof *st);

	if (!st)
		return NULL;
	pthread_mutex_init(&st->lock, NULL);
	pthread_cond_init(&st->pushed_cond, NULL);
	st->sealer = sealer;
	st->geometry = geometry;
	st->card = card;
	st->segtab = segtab;
	st->hooks = *hooks;
	st->session = session;
	st->segment = st->touched_segment = NO_SEGMENT;
	/* DESIGN.md condition 5: the session is the upper half of record numbers
	 * and serials, so those of a torn tail never come again. */
	st->next_recno = session << 32 | 1;
	st->next_serial = session << 32 | 1;
	st->tail = &st->head;
	st->zeroes = calloc(1, PAGE_BYTES);
	st->dirty = calloc(geometry_chunk(geometry, geometry->segment_count) +
				   1, 1);
	if (!st->zeroes || !st->dirty) {
		stream_free(st);
		return NULL;
	}
	return st;
}

void
stream_free(struct stream *st)
{
	struct item *next;

	if (!st)
		return;
	for (struct item *it = st->head; it; it = next) {
		next = it->next;
		if (!it->group) {
			free(it->buf);
			free(it);
		}
	}
	free(st->index);
	free(st->zeroes);
	free(st->dirty);
	pthread_cond_destroy(&st->pushed_cond);
	pthread_mutex_destroy(&st->lock);
	free(st);
}

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

static int
reserve(struct stream *st, struct group *g, const struct append_change *c,
	uint8_t *buf)
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

/* The blocks of a part of a change. */
struct part {
	const struct append_change *change;
	uint32_t first;
};

static const uint8_t *
part_block(void *ctx, uint32_t i)
{
	const struct part *p = ctx;

	return p->change->block(p->change->ctx, p->first + i);
}

static void
seal(struct stream *st, struct group *g, const struct append_change *c,
     uint64_t durable_to, uint64_t checkpoint)
{
	for (int i = 0; i < g->parts; i++) {
		struct item *it = &g->items[i];
		struct record_desc desc;
		struct part part = { c, 0 };

		desc.recno = it->recno;
		desc.durable_to = durable_to;
		desc.checkpoint = checkpoint;
		desc.kind = c->kind;
		desc.flags = i + 1 < g->parts || c->continues
				     ? RECORD_GROUP_CONTINUES
				     : 0;
		desc.extent_count = 1;
		desc.extents[0] = g->changes[i].extent;
		desc.frame_count = c->kind == RECORD_DATA
					   ? desc.extents[0].count_blocks
					   : 0;
		part.first = (uint32_t)(desc.extents[0].lba - c->extent.lba);
		seal_record(st->sealer, segtab_key(st->segtab, it->segment),
			    it->offset, &desc, part_block, &part, it->buf);
	}
}

/* ---- pushing ----------------------------------------------------------- */

/* Takes what is ready and adjacent from the head of the queue into iov; bytes
 * and the items' end are told. The queue is left as it is. */
static int
gather(struct stream *st, struct iovec *iov, uint32_t *len)
{
	struct item *it = st->head;
	uint32_t end = it->offset;
	int n = 0;

	*len = 0;
	while (it && it->ready && it->segment == st->head->segment &&
	       it->offset == end && n < BATCH_ITEMS && *len < BATCH_BYTES) {
		iov[n++] = (struct iovec){ it->buf, it->len };
		*len += it->len;
		end += it->len;
		it = it->next;
	}
	return n;
}

/* Removes n pushed items and applies the groups that they complete. Unlocked:
 * only the pusher (st->pushing) touches the head and the run. */
static void
complete(struct stream *st, struct item *first, int n, struct group **done,
	 int *done_count)
{
	*done_count = 0;
	for (struct item *it = first, *next; n--; it = next) {
		struct group *g = it->group;

		next = it->next;
		if (!g) {
			free(it->buf);
			free(it);
			continue;
		}
		assert(st->run_len < (int)GROUP_RECORDS_MAX);
		st->run[st->run_len++] = g->changes[it - g->items];
		if (++g->pushed < g->parts)
			continue;
		if (!g->continues) {
			struct log_position behind = {
				it->recno, it->segment, it->offset + it->len
			};

			st->hooks.applied(st->hooks.ctx, st->run, st->run_len,
					  &behind);
			st->run_len = 0;
		}
		done[(*done_count)++] = g;
	}
}

static void
die(struct stream *st, int code)
{
	int first = !st->error;

	if (first)
		st->error = code;
	for (struct item *it = st->head; it; it = it->next)
		if (it->group)
			pthread_cond_signal(&it->group->cond);
	pthread_cond_broadcast(&st->pushed_cond);
}

/* Pushes one batch. Called and returns with the lock held; the head is ready
 * and nobody else is pushing. */
static void
push(struct stream *st)
{
	struct iovec iov[BATCH_ITEMS + 1];
	struct group *done[BATCH_ITEMS];
	struct item *first = st->head, *last = first;
	uint32_t len, start, end, page_end, touched;
	int n = gather(st, iov, &len), vectors = n, done_count = 0, err;
	uint64_t recno = 0;

	start = first->offset;
	end = start + len;
	page_end = (uint32_t)round_up(end, PAGE_BYTES);
	if (st->touched_segment != first->segment) {
		st->touched_segment = first->segment;
		st->touched_end = 0;
	}
	touched = st->touched_end;
	assert(start % PAGE_BYTES == 0 || start < touched);
	if (page_end > touched) {
		/* A lone record has room for the padding behind it. */
		if (page_end > end && n == 1 && first->group &&
		    first->group->parts == 1) {
			memset(first->buf + len, 0, page_end - end);
			iov[0].iov_len += page_end - end;
		} else if (page_end > end)
			iov[vectors++] = (struct iovec){ st->zeroes,
							 page_end - end };
		st->stats.page_bytes +=
			page_end - (start > touched ? start : touched);
		st->stats.unsynced_bytes +=
			page_end - (start > touched ? start : touched);
		st->touched_end = page_end;
	}
	st->pushing = 1;
	pthread_mutex_unlock(&st->lock);

	err = st->card->ops->pwritev(
		st->card, geometry_chunk(st->geometry, first->segment), iov,
		vectors, geometry_offset(st->geometry, first->segment) + start);
	for (int i = 0; i < n; i++) {
		if (last->group)
			recno = last->recno;
		if (i + 1 < n)
			last = last->next;
	}
	struct item *rest = NULL;
	if (!err) {
		/* last->next may still change from NULL: read it locked. */
		pthread_mutex_lock(&st->lock);
		rest = last->next;
		st->head = rest;
		if (!rest)
			st->tail = &st->head;
		/* Before pushed_recno moves: a cut that counts on this push
		 * finds the chunk marked. */
		st->dirty[geometry_chunk(st->geometry, first->segment)] = 1;
		pthread_mutex_unlock(&st->lock);
		last->next = NULL;
		complete(st, first, n, done, &done_count);
	}

	pthread_mutex_lock(&st->lock);
	st->pushing = 0;
	st->stats.write_calls++;
	if (err) {
		die(st, code_of_errno(err) == LBS_ENOSPC ? LBS_EIO
							  : code_of_errno(err));
		return;
	}
	if (recno)
		st->pushed_recno = recno;
	for (int i = 0; i < done_count; i++) {
		done[i]->done = 1;
		pthread_cond_signal(&done[i]->cond);
	}
	if (st->cut_waiters)
		pthread_cond_broadcast(&st->pushed_cond);
	/* Pass the work on to the owner of what is ready next. */
	for (struct item *it = st->head; it && it->ready; it = it->next)
		if (it->group) {
			pthread_cond_signal(&it->group->cond);
			break;
		}
	if (st->error) /* killed meanwhile: who waited for us must see it */
		die(st, st->error);
}

/* A group's stack frame leaves: nobody may find it in the queue. */
static void
drop(struct stream *st, struct group *g)
{
	struct item **at = &st->head;

	while (*at)
		if ((*at)->group == g)
			*at = (*at)->next;
		else
			at = &(*at)->next;
	st->tail = at;
	pthread_cond_broadcast(&st->pushed_cond);
}

int
stream_append(struct stream *st, const struct append_change *c)
{
	uint32_t frames = c->kind == RECORD_DATA ? c->extent.count_blocks : 0;
	uint64_t durable_to, checkpoint;
	struct group g;
	uint8_t *buf;
	int rc, died = 0;

	assert(frames <= GROUP_BLOCKS_MAX);
	buf = malloc((size_t)frames * FRAME_BYTES +
		     PARTS_MAX * record_frames_at(1) + PAGE_BYTES);
	if (!buf)
		return LBS_ENOMEM;
	g.parts = g.pushed = g.done = 0;
	g.continues = c->continues;
	pthread_cond_init(&g.cond, NULL);

	pthread_mutex_lock(&st->lock);
	died = st->error;
	rc = reserve(st, &g, c, buf);
	if (rc) {
		died = !died && st->error;
		if (died)
			die(st, st->error);
		drop(st, &g);
		pthread_mutex_unlock(&st->lock);
		goto out;
	}
	st->hooks.known(st->hooks.ctx, &durable_to, &checkpoint);
	pthread_mutex_unlock(&st->lock);

	seal(st, &g, c, durable_to, checkpoint);

	pthread_mutex_lock(&st->lock);
	for (int i = 0; i < g.parts; i++)
		g.items[i].ready = 1;
	while (!g.done) {
		if (st->error && !st->pushing) {
			rc = st->error;
			break;
		}
		if (!st->error && !st->pushing && st->head->ready) {
			push(st);
			died = st->error;
		} else {
			pthread_cond_wait(&g.cond, &st->lock);
		}
	}
	if (rc)
		drop(st, &g);
	pthread_mutex_unlock(&st->lock);
out:
	if (died)
		st->hooks.failed(st->hooks.ctx, died);
	pthread_cond_destroy(&g.cond);
	free(buf);
	return rc;
}

int
stream_cut(struct stream *st, struct cut *cut)
{
	int rc;

	pthread_mutex_lock(&st->lock);
	st->cursor = (uint32_t)round_up(st->cursor, PAGE_BYTES);
	*cut = st->last;
	st->cut_waiters++;
	while (!st->error && st->pushed_recno < cut->recno)
		pthread_cond_wait(&st->pushed_cond, &st->lock);
	st->cut_waiters--;
	rc = st->error;
	pthread_mutex_unlock(&st->lock);
	return rc;
}

void
stream_take_dirty(struct stream *st, uint8_t *chunks)
{
	uint32_t n = geometry_chunk(st->geometry, st->geometry->segment_count) +
		     1;

	pthread_mutex_lock(&st->lock);
	memcpy(chunks, st->dirty, n);
	memset(st->dirty, 0, n);
	st->stats.unsynced_bytes = 0;
	pthread_mutex_unlock(&st->lock);
}

void
stream_stats(struct stream *st, struct stream_stats *out)
{
	pthread_mutex_lock(&st->lock);
	*out = st->stats;
	out->last_recno = st->pushed_recno;
	pthread_mutex_unlock(&st->lock);
}

uint64_t
stream_log_bytes(struct stream *st)
{
	return atomic_load_explicit(&st->log_bytes, memory_order_relaxed);
}

int
stream_error(struct stream *st)
{
	int rc;

	pthread_mutex_lock(&st->lock);
	rc = st->error;
	pthread_mutex_unlock(&st->lock);
	return rc;
}

void
stream_kill(struct stream *st, int code)
{
	pthread_mutex_lock(&st->lock);
	die(st, code);
	pthread_mutex_unlock(&st->lock);
}
