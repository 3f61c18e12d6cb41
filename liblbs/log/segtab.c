/*
 * segtab.c - see segtab.h. Pins are atomic because every read takes one. A reader
 * pins what the map names, under the map's lock; a segment is released once the map
 * names it no more; and one that is still pinned then is not taken.
 */
#include "liblbs/log/segtab.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/kdf.h"
#include "crypto/secret.h"

struct segment {
	uint64_t serial, last_recno;
	uint32_t closed_at, written_at; /* by the table's clock */
	uint8_t salt[SALT_BYTES];
	uint32_t live;
	_Atomic uint32_t pins;
	uint8_t filled, used, in_metadata, held, stuck;
	_Atomic uint8_t keyed;	/* its key is in keys */
};

struct segtab {
	pthread_mutex_t lock;	/* guards all but pins */
	const struct sealer *sealer;
	struct segment *seg;
	uint8_t *keys;		/* secret, AEAD_KEY_BYTES each */
	uint32_t count, cursor, filled, free;
	uint32_t end;		/* segments from here on are withdrawn */
	uint32_t clock;
};

struct segtab *
segtab_new(const struct sealer *sealer, uint32_t count)
{
	struct segtab *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	t->sealer = sealer;
	t->count = t->end = count;
	t->seg = calloc(count, sizeof *t->seg);
	t->keys = secret_alloc((size_t)count * AEAD_KEY_BYTES);
	if (!t->seg || !t->keys) {
		segtab_free(t);
		return NULL;
	}
	return t;
}

void
segtab_free(struct segtab *t)
{
	if (!t)
		return;
	secret_free(t->keys);
	free(t->seg);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* 1 if the segment counts as room, used or not. */
static int
is_room(const struct segtab *t, uint32_t segment)
{
	return t->seg[segment].filled && segment < t->end;
}

void
segtab_fill(struct segtab *t, uint32_t segment)
{
	struct segment *s = &t->seg[segment];

	pthread_mutex_lock(&t->lock);
	if (!s->filled) {
		s->filled = 1;
		t->filled += (uint32_t)is_room(t, segment);
		t->free += (uint32_t)(is_room(t, segment) && !s->used);
	}
	pthread_mutex_unlock(&t->lock);
}

void
segtab_withdraw(struct segtab *t, uint32_t from)
{
	pthread_mutex_lock(&t->lock);
	t->end = from;
	/* What is moved goes to the front, and is not moved again soon. */
	t->cursor = from < t->count ? 0 : t->cursor;
	t->filled = t->free = 0;
	for (uint32_t i = 0; i < from; i++) {
		t->filled += (uint32_t)is_room(t, i);
		t->free += (uint32_t)(is_room(t, i) && !t->seg[i].used);
	}
	pthread_mutex_unlock(&t->lock);
}

uint32_t
segtab_end(struct segtab *t)
{
	uint32_t end;

	pthread_mutex_lock(&t->lock);
	end = t->end;
	pthread_mutex_unlock(&t->lock);
	return end;
}

uint32_t
segtab_busy_to(struct segtab *t)
{
	uint32_t i;

	pthread_mutex_lock(&t->lock);
	for (i = t->count; i > 0; i--)
		if (t->seg[i - 1].used || atomic_load(&t->seg[i - 1].pins))
			break;
	pthread_mutex_unlock(&t->lock);
	return i;
}

void
segtab_empty(struct segtab *t, uint32_t from)
{
	pthread_mutex_lock(&t->lock);
	assert(from >= t->end);
	for (uint32_t i = from; i < t->count; i++) {
		assert(!t->seg[i].used);
		t->seg[i].filled = 0;
	}
	pthread_mutex_unlock(&t->lock);
}

int
segtab_is_filled(struct segtab *t, uint32_t segment)
{
	int filled;

	pthread_mutex_lock(&t->lock);
	filled = t->seg[segment].filled;
	pthread_mutex_unlock(&t->lock);
	return filled;
}

void
segtab_room(struct segtab *t, uint32_t *filled, uint32_t *free)
{
	pthread_mutex_lock(&t->lock);
	*filled = t->filled;
	*free = t->free;
	pthread_mutex_unlock(&t->lock);
}

void
segtab_use(struct segtab *t, uint32_t segment, uint64_t serial,
	   const uint8_t salt[SALT_BYTES], uint64_t last_recno)
{
	struct segment *s = &t->seg[segment];

	pthread_mutex_lock(&t->lock);
	if (!s->used) {
		s->used = 1;
		t->free -= (uint32_t)is_room(t, segment);
	}
	s->serial = serial;
	s->last_recno = last_recno;
	memcpy(s->salt, salt, SALT_BYTES);
	kdf_segment_key(t->sealer->data_key, t->sealer->store_id, segment, salt,
			t->keys + (size_t)segment * AEAD_KEY_BYTES);
	atomic_store(&s->keyed, 1);
	pthread_mutex_unlock(&t->lock);
}

int
segtab_take(struct segtab *t, uint32_t *segment)
{
	int rc = -1;

	pthread_mutex_lock(&t->lock);
	for (uint32_t i = 0; i < t->count && rc; i++) {
		uint32_t at = (t->cursor + i) % t->count;
		struct segment *s = &t->seg[at];

		if (!is_room(t, at) || s->used || atomic_load(&s->pins))
			continue;
		s->used = 1;
		s->live = 0;
		s->last_recno = RECNO_OPEN;
		s->in_metadata = 0;
		s->stuck = 0;
		atomic_store(&s->keyed, 0);
		t->free--;
		t->cursor = at + 1;
		*segment = at;
		rc = 0;
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

void
segtab_release(struct segtab *t, uint32_t segment)
{
	struct segment *s = &t->seg[segment];

	pthread_mutex_lock(&t->lock);
	assert(!s->held);
	if (s->used) {
		s->used = 0;
		s->in_metadata = 0;
		t->free += (uint32_t)is_room(t, segment);
	}
	pthread_mutex_unlock(&t->lock);
}

void
segtab_set_last_recno(struct segtab *t, uint32_t segment, uint64_t recno)
{
	pthread_mutex_lock(&t->lock);
	t->seg[segment].last_recno = recno;
	pthread_mutex_unlock(&t->lock);
}

void
segtab_close(struct segtab *t, uint32_t segment, uint64_t recno)
{
	pthread_mutex_lock(&t->lock);
	t->seg[segment].last_recno = recno;
	t->seg[segment].closed_at = t->clock;
	if (recno != RECNO_COLD)
		t->seg[segment].written_at = t->clock;
	pthread_mutex_unlock(&t->lock);
}

void
segtab_tick(struct segtab *t)
{
	pthread_mutex_lock(&t->lock);
	t->clock++;
	pthread_mutex_unlock(&t->lock);
}

static int
by_serial(const void *a, const void *b)
{
	const struct segment *x = *(struct segment *const *)a;
	const struct segment *y = *(struct segment *const *)b;

	return x->serial < y->serial ? -1 : x->serial > y->serial;
}

uint32_t
segtab_written(struct segtab *t, uint32_t segment)
{
	uint32_t at;

	pthread_mutex_lock(&t->lock);
	at = t->seg[segment].written_at;
	pthread_mutex_unlock(&t->lock);
	return at;
}

void
segtab_set_written(struct segtab *t, uint32_t segment, uint32_t at)
{
	pthread_mutex_lock(&t->lock);
	t->seg[segment].written_at = at;
	pthread_mutex_unlock(&t->lock);
}

int
segtab_rank(struct segtab *t)
{
	struct segment **order = malloc((t->count + 1ul) * sizeof *order);
	uint32_t n = 0;

	if (!order)
		return -1;
	pthread_mutex_lock(&t->lock);
	for (uint32_t i = 0; i < t->count; i++)
		if (t->seg[i].used)
			order[n++] = &t->seg[i];
	qsort(order, n, sizeof *order, by_serial);
	for (uint32_t i = 0; i < n; i++)
		order[i]->closed_at = order[i]->written_at = i;
	t->clock = n;
	pthread_mutex_unlock(&t->lock);
	free(order);
	return 0;
}

void
segtab_hold(struct segtab *t, uint32_t segment, int held)
{
	pthread_mutex_lock(&t->lock);
	t->seg[segment].held = (uint8_t)held;
	pthread_mutex_unlock(&t->lock);
}

void
segtab_set_stuck(struct segtab *t, uint32_t segment)
{
	pthread_mutex_lock(&t->lock);
	t->seg[segment].stuck = 1;
	pthread_mutex_unlock(&t->lock);
}

void
segtab_info(struct segtab *t, uint32_t segment, struct segment_info *out)
{
	const struct segment *s = &t->seg[segment];

	pthread_mutex_lock(&t->lock);
	out->filled = s->filled;
	out->used = s->used;
	out->keyed = atomic_load(&s->keyed);
	out->serial = s->serial;
	out->last_recno = s->last_recno;
	out->live = s->live;
	out->in_metadata = s->in_metadata;
	out->held = s->held;
	out->stuck = s->stuck;
	out->age = t->clock - s->closed_at;
	out->written = t->clock - s->written_at;
	memcpy(out->salt, s->salt, SALT_BYTES);
	pthread_mutex_unlock(&t->lock);
}

void
segtab_set_in_metadata(struct segtab *t, uint32_t segment, int in_metadata)
{
	pthread_mutex_lock(&t->lock);
	t->seg[segment].in_metadata = (uint8_t)in_metadata;
	pthread_mutex_unlock(&t->lock);
}

void
segtab_live_add(struct segtab *t, uint32_t segment, int32_t blocks)
{
	pthread_mutex_lock(&t->lock);
	t->seg[segment].live += (uint32_t)blocks;
	pthread_mutex_unlock(&t->lock);
}

void
segtab_live_set(struct segtab *t, uint32_t segment, uint32_t blocks)
{
	pthread_mutex_lock(&t->lock);
	t->seg[segment].live = blocks;
	pthread_mutex_unlock(&t->lock);
}

uint64_t
segtab_live_total(struct segtab *t)
{
	uint64_t live = 0;

	pthread_mutex_lock(&t->lock);
	for (uint32_t i = 0; i < t->count; i++)
		live += t->seg[i].used ? t->seg[i].live : 0;
	pthread_mutex_unlock(&t->lock);
	return live;
}

const uint8_t *
segtab_key(struct segtab *t, uint32_t segment)
{
	return segment < t->count && atomic_load(&t->seg[segment].keyed)
		       ? t->keys + (size_t)segment * AEAD_KEY_BYTES
		       : NULL;
}

void
segtab_pin(struct segtab *t, uint32_t segment)
{
	atomic_fetch_add(&t->seg[segment].pins, 1);
}

void
segtab_unpin(struct segtab *t, uint32_t segment)
{
	uint32_t before = atomic_fetch_sub(&t->seg[segment].pins, 1);

	assert(before > 0);
	(void)before;
}
