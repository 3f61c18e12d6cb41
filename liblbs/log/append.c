/*
 * append.c - see append.h: pushing, waiting.
 *
 * A page of the card is first touched by a write that covers all of it (zeroes
 * behind the last byte): the kernel then need not read it from the card. Later
 * bytes of the page go into the cached page. After a cut no page that was
 * touched is touched again.
 */
#include "liblbs/log/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "liblbs/error.h"
#include "liblbs/format/bytes.h"

/* A record of one block, or none, and the padding behind it. */
#define SMALL_BYTES                                                         \
	(RECORD_PREFIX_BYTES + DESC_FIXED_BYTES + EXTENT_BYTES + TAG_BYTES + \
	 ZIP_FRAME_BYTES_MAX + PAGE_BYTES)
#define BATCH_ITEMS 128
#define BATCH_BYTES (1u << 20)
/* How many batches one caller pushes before another's turn comes. */
#define BATCHES_MAX 8

struct stream *
stream_new(const struct sealer *sealer, const struct geometry *geometry,
	   struct medium *card, struct segtab *segtab,
	   const struct append_hooks *hooks, uint64_t session, int kind)
{
	uint64_t first = session << 32 |
			 (kind == STREAM_CLEANER ? SERIAL_CLEANER : 0) | 1;

	struct stream *st = calloc(1, sizeof *st);
	pthread_mutexattr_t attr;

	if (!st)
		return NULL;
	turns_init(&st->turns);
	/* Held for a fraction of a microsecond: spin before sleeping. */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&st->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_cond_init(&st->pushed_cond, NULL);
	st->sealer = sealer;
	st->geometry = geometry;
	st->card = card;
	st->segtab = segtab;
	st->hooks = *hooks;
	st->session = session;
	st->kind = kind;
	st->segment = st->touched_segment = NO_SEGMENT;
	atomic_init(&st->open_chunk, NO_SEGMENT);
	/* DESIGN.md condition 5: the session is the upper half of record numbers
	 * and serials, so those of a torn tail never come again. */
	st->next_recno = first;
	st->next_serial = first;
	st->tail = &st->head;
	st->zeroes = calloc(1, PAGE_BYTES);
	st->dirty = calloc(geometry_chunks(geometry), 1);
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

/* ---- pushing ----------------------------------------------------------- */

/* What one call hands to the kernel: items that lie next to each other, taken out
 * of the queue while they are on their way. */
struct batch {
	struct item *first, *last;
	int count;
	uint32_t start, end;	/* in the segment, without padding */
	uint32_t fresh;		/* bytes of pages that it is the first to touch */
	uint64_t recno;		/* of the last record, or 0 */
	struct iovec iov[BATCH_ITEMS + 1];
	int vectors;
	struct group *done[BATCH_ITEMS]; /* what it completed */
	int done_count;
};

static void
take_batch(struct stream *st, struct batch *b)
{
	uint32_t len = 0;

	b->first = st->head;
	b->count = b->vectors = b->done_count = 0;
	b->recno = 0;
	b->start = b->end = b->first->offset;
	for (struct item *it = st->head;
	     it && it->ready && it->segment == b->first->segment &&
	     it->offset == b->end && b->count < BATCH_ITEMS &&
	     len < BATCH_BYTES;
	     it = it->next) {
		b->iov[b->vectors++] = (struct iovec){ it->buf, it->len };
		b->end += it->len;
		len += it->len;
		b->count++;
		b->last = it;
		if (it->group)
			b->recno = it->recno;
	}
	st->head = b->last->next;
	if (!st->head)
		st->tail = &st->head;
	b->last->next = NULL;
}

static void
put_back(struct stream *st, struct batch *b)
{
	b->last->next = st->head;
	if (!st->head)
		st->tail = &b->last->next;
	st->head = b->first;
}

/* Covers the last page to its end when the batch is the first to touch it. */
static void
pad_batch(struct stream *st, struct batch *b)
{
	uint32_t page_end = (uint32_t)round_up(b->end, PAGE_BYTES);
	uint32_t pad = page_end - b->end, touched;

	if (st->touched_segment != b->first->segment) {
		st->touched_segment = b->first->segment;
		st->touched_end = 0;
	}
	touched = st->touched_end;
	b->fresh = 0;
	assert(b->start % PAGE_BYTES == 0 || b->start < touched);
	if (page_end <= touched)
		return;
	/* A lone record has room for the padding behind it. */
	if (pad && b->count == 1 && b->first->group &&
	    b->first->group->parts == 1) {
		memset(b->first->buf + b->first->len, 0, pad);
		b->iov[0].iov_len += pad;
	} else if (pad) {
		b->iov[b->vectors++] = (struct iovec){ st->zeroes, pad };
	}
	b->fresh = page_end - (b->start > touched ? b->start : touched);
	st->stats.page_bytes += b->fresh;
	st->touched_end = page_end;
}

/* Applies the groups that the batch completes, in log order. Unlocked: only the
 * pusher (st->pushing) touches the batch and the run. */
static void
complete(struct stream *st, struct batch *b)
{
	for (struct item *it = b->first, *next; it; it = next) {
		struct group *g = it->group;

		next = it->next;
		if (!g) {
			free(it->buf);
			free(it);
			continue;
		}
		assert(it->change_count <= GROUP_RECORDS_MAX - (uint32_t)st->run_len);
		memcpy(st->run + st->run_len, it->changes,
		       it->change_count * sizeof *it->changes);
		st->run_len += (int)it->change_count;
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
		b->done[b->done_count++] = g;
	}
}

static void
die(struct stream *st, int code)
{
	if (!st->error)
		st->error = code;
	for (struct item *it = st->head; it; it = it->next)
		if (it->group)
			turn_give(&it->group->turn, TURN_LOOK);
	pthread_cond_broadcast(&st->pushed_cond);
}

/* The last word to the owners of what was pushed. Unlocked: they may run. */
static void
dismiss(struct batch *b)
{
	for (int i = 0; i < b->done_count; i++)
		turn_give(&b->done[i]->turn, TURN_DONE);
	b->done_count = 0;
}

/* Takes the head of the queue, which is ready, and hands it to the kernel.
 * Called and left with the lock, which it does not hold over the work. What it
 * completed is left in the batch, to be dismissed without the lock. */
static void
push(struct stream *st, struct batch *b)
{
	uint32_t chunk;
	int err;

	take_batch(st, b);
	pad_batch(st, b);
	chunk = geometry_chunk(st->geometry, b->first->segment);
	st->pushing = 1;
	pthread_mutex_unlock(&st->lock);

	err = st->card->ops->pwritev(
		st->card, chunk, b->iov, b->vectors,
		geometry_offset(st->geometry, b->first->segment) + b->start);
	if (!err)
		complete(st, b);

	pthread_mutex_lock(&st->lock);
	st->pushing = 0;
	st->stats.write_calls++;
	if (err) {
		put_back(st, b);
		die(st, code_of_errno(err) == LBS_ENOSPC ? LBS_EIO
							  : code_of_errno(err));
		return;
	}
	/* A cut that counts on this push finds the chunk marked; what a sync has
	 * taken meanwhile, of this page or before this push, is not all. */
	st->dirty[chunk] = 1;
	st->stats.unsynced_bytes += b->fresh;
	if (!st->stats.unsynced_bytes)
		st->stats.unsynced_bytes = PAGE_BYTES;
	if (b->recno)
		st->pushed_recno = b->recno;
	for (int i = 0; i < b->done_count; i++)
		b->done[i]->done = 1;
	if (st->cut_waiters)
		pthread_cond_broadcast(&st->pushed_cond);
	if (st->error) /* killed meanwhile: who waited for us must see it */
		die(st, st->error);
}

static int
can_push(const struct stream *st)
{
	return !st->error && !st->pushing && st->head && st->head->ready;
}

/* The group whose records are ready next, or NULL. */
static struct group *
next_group(const struct stream *st)
{
	for (struct item *it = st->head; it && it->ready; it = it->next)
		if (it->group)
			return it->group;
	return NULL;
}

/* Pushes until g is done, and then for others as long as they sleep: waking one
 * costs more than pushing for it. Who is awake goes on itself. Called and left
 * with the lock. */
static void
push_for_all(struct stream *st, const struct group *g)
{
	struct group *next = NULL;
	struct batch b;

	for (int i = 0; can_push(st); i++) {
		next = g->done ? next_group(st) : NULL;
		if (next && (i >= BATCHES_MAX || turn_is_awake(&next->turn)))
			break;
		push(st, &b);
		if (b.done_count == 1 && b.done[0] == g)
			dismiss(&b); /* ourselves: nobody is woken */
		if (!b.done_count)
			continue;
		pthread_mutex_unlock(&st->lock);
		dismiss(&b);
		pthread_mutex_lock(&st->lock);
	}
	if (next && can_push(st))
		turn_give(&next->turn, TURN_LOOK);
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

/* Until the group, which is sealed, is in the kernel's hands and applied. */
static int
publish(struct stream *st, struct group *g)
{
	int rc = 0;

	pthread_mutex_lock(&st->lock);
	for (int i = 0; i < g->parts; i++)
		g->items[i].ready = 1;
	for (;;) {
		push_for_all(st, g);
		if (g->done)
			break;
		if (st->error && !st->pushing) {
			rc = st->error;
			drop(st, g);
			break;
		}
		pthread_mutex_unlock(&st->lock);
		if (turn_wait(&g->turn, &st->turns) == TURN_DONE)
			return 0;
		pthread_mutex_lock(&st->lock);
	}
	pthread_mutex_unlock(&st->lock);
	/* Whoever marked it done still has its last word to say. */
	while (rc == 0 && turn_wait(&g->turn, &st->turns) != TURN_DONE)
		;
	return rc;
}

int
stream_append(struct stream *st, const struct append_change *c)
{
	uint32_t frames = append_frames(c);
	uint8_t small[SMALL_BYTES];
	uint64_t durable_to, checkpoint;
	uint8_t *buf = small;
	struct group g;
	int rc, died, before;

	assert(frames <= GROUP_BLOCKS_MAX);
	if (frames > 1) {
		buf = malloc((size_t)frames *
				     frame_bytes_max(sealer_varies(st->sealer)) +
			     PAGE_BYTES +
			     (c->extents ? record_frames_at(RECORD_EXTENTS_MAX)
					 : PARTS_MAX * record_frames_at(1)));
		if (!buf)
			return LBS_ENOMEM;
	}
	turn_init(&g.turn);
	g.parts = g.pushed = g.done = 0;
	g.continues = c->continues;
	g.extents = c->extents ? c->extent_count : 1;
	g.change_count = 0;
	if (sealer_varies(st->sealer))
		group_pack(st, &g, c, frames, buf);

	pthread_mutex_lock(&st->lock);
	before = st->error;
	rc = stream_reserve(st, &g, c, buf);
	if (rc) {
		if (st->error && !before)
			die(st, st->error);
		/* Of its own failure begin has told. */
		died = st->error == LBS_ENOMEM && !before ? LBS_ENOMEM : 0;
		drop(st, &g);
		pthread_mutex_unlock(&st->lock);
		goto out;
	}
	st->hooks.known(st->hooks.ctx, &durable_to, &checkpoint);
	pthread_mutex_unlock(&st->lock);

	group_seal(st, &g, c, durable_to, checkpoint);
	rc = publish(st, &g);
	died = rc;
out:
	if (died)
		st->hooks.failed(st->hooks.ctx, died);
	if (buf != small)
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
	uint32_t n = geometry_chunks(st->geometry);

	pthread_mutex_lock(&st->lock);
	memcpy(chunks, st->dirty, n);
	memset(st->dirty, 0, n);
	st->stats.unsynced_bytes = 0;
	pthread_mutex_unlock(&st->lock);
}

void
stream_synced_beside(struct stream *st, uint32_t chunk)
{
	if (atomic_load(&st->open_chunk) == chunk)
		atomic_store(&st->beside, 1);
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

uint64_t
stream_pushed(struct stream *st)
{
	uint64_t recno;

	pthread_mutex_lock(&st->lock);
	recno = st->pushed_recno;
	pthread_mutex_unlock(&st->lock);
	return recno;
}
