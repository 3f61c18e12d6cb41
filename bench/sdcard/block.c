/*
 * block.c - a card that maps whole allocation units. A unit is written from its
 * start to its end; a few are open at a time. What a unit was not given when it
 * has to be closed is copied from its old place, and that copy is what random
 * writes wait for. Small writes may go to an exception cache instead, which is
 * emptied by merging the unit that has waited longest. Must never allocate
 * after block_new.
 */
#include <errno.h>
#include <stdlib.h>

#include "bench/sdcard/ftl.h"

#define NONE UINT32_MAX

struct open_unit {
	uint32_t au;	   /* NONE: not in use */
	uint32_t from, to; /* written in order */
	uint32_t logged;   /* bytes written out of order */
	uint32_t out_of_order;
	uint64_t used; /* by block_ftl.tick */
};

struct block_ftl {
	const struct sdcard_params *p;
	uint32_t units;
	struct open_unit open[SDCARD_UNITS_MAX];
	uint64_t tick;
	/* The exception cache: bytes held of each unit, and the units in the
	 * order of their first. Emptying goes by that order, a unit at a time.
	 */
	uint32_t *small, *next, *prev;
	uint32_t oldest, newest;
	uint64_t small_bytes;
};

struct block_ftl *
block_new(const struct sdcard_params *p, uint32_t units)
{
	struct block_ftl *b = calloc(1, sizeof *b);

	if (!b)
		return NULL;
	b->p = p;
	b->units = units;
	b->oldest = b->newest = NONE;
	b->small = calloc(units, sizeof *b->small);
	b->next = calloc(units, sizeof *b->next);
	b->prev = calloc(units, sizeof *b->prev);
	if (!b->small || !b->next || !b->prev) {
		block_free(b);
		return NULL;
	}
	for (unsigned i = 0; i < SDCARD_UNITS_MAX; i++)
		b->open[i].au = NONE;
	return b;
}

void
block_free(struct block_ftl *b)
{
	if (!b)
		return;
	free(b->small);
	free(b->next);
	free(b->prev);
	free(b);
}

/* ---- the exception cache ---------------------------------------------------
 */

static void
small_drop(struct block_ftl *b, uint32_t au)
{
	uint32_t next = b->next[au], prev = b->prev[au];

	if (!b->small[au])
		return;
	b->small_bytes -= b->small[au];
	b->small[au] = 0;
	if (prev == NONE)
		b->oldest = next;
	else
		b->next[prev] = next;
	if (next == NONE)
		b->newest = prev;
	else
		b->prev[next] = prev;
}

static void
small_put(struct block_ftl *b, uint32_t au, uint32_t bytes)
{
	if (!b->small[au]) {
		b->next[au] = NONE;
		b->prev[au] = b->newest;
		if (b->newest == NONE)
			b->oldest = au;
		else
			b->next[b->newest] = au;
		b->newest = au;
	}
	b->small[au] += bytes;
	b->small_bytes += bytes;
}

/* ---- merges ----------------------------------------------------------------
 */

static void
note(uint32_t *list, unsigned *count, uint32_t au)
{
	if (*count < SDCARD_UNITS_MAX)
		list[(*count)++] = au;
}

static int64_t
copied(struct block_ftl *b, struct sdcard_counts *n, double bytes)
{
	n->copied_bytes += (uint64_t)bytes;
	n->programmed_bytes += (uint64_t)bytes;
	return copy_ns(bytes, b->p->copy_bandwidth);
}

static int64_t
merge_small(struct block_ftl *b, struct sdcard_counts *n,
	    struct sdcard_events *events)
{
	uint32_t au = b->oldest;

	small_drop(b, au);
	note(events->merged_unit, &events->merged, au);
	n->evictions++;
	n->erases++;
	return copied(b, n, b->p->au_bytes) + b->p->erase_us * 1000ll;
}

/* Closes an open unit. A full merge moves the unit once, and takes full_merge
 * times as long as that. */
static int64_t
merge(struct block_ftl *b, struct open_unit *u, struct sdcard_counts *n,
      struct sdcard_events *events)
{
	uint32_t au_bytes = b->p->au_bytes, rest = au_bytes - (u->to - u->from);
	int64_t ns = b->p->erase_us * 1000ll;

	n->erases++;
	if (u->out_of_order) {
		n->full_merges++;
		copied(b, n, au_bytes);
		ns += copy_ns(b->p->full_merge * au_bytes,
			      b->p->copy_bandwidth);
	} else if (rest) {
		n->partial_merges++;
		ns += copied(b, n, rest);
	} else {
		n->switch_merges++;
	}
	note(events->merged_unit, &events->merged, u->au);
	small_drop(b, u->au);
	u->au = NONE;
	return ns;
}

/* ---- writing ---------------------------------------------------------------
 */

/* The unit's entry, or NULL; and in *place where another would go: a free
 * entry, or that of the unit that was used least recently. */
static struct open_unit *
find(struct block_ftl *b, uint32_t au, struct open_unit **place)
{
	struct open_unit *found = NULL, *best = NULL;

	for (unsigned i = 0; i < b->p->open_units; i++) {
		struct open_unit *u = &b->open[i];

		if (u->au == au)
			found = u;
		if (!best || (best->au != NONE &&
			      (u->au == NONE || u->used < best->used)))
			best = u;
	}
	*place = found ? found : best;
	return found;
}

int64_t
block_write(struct block_ftl *b, uint32_t au, uint32_t at, uint32_t len,
	    int in_sequence, struct sdcard_counts *n,
	    struct sdcard_events *events)
{
	const struct sdcard_params *p = b->p;
	struct open_unit *place, *u = find(b, au, &place);
	int64_t ns = 0;

	b->tick++;
	if (u && !u->out_of_order && at == u->to) {
		u->to += len;
		u->used = b->tick;
		return u->to == p->au_bytes ? merge(b, u, n, events) : 0;
	}
	if (len <= p->small_bytes && !in_sequence &&
	    !(at == 0 && p->start_opens)) {
		uint32_t takes = (len + p->small_grain - 1) / p->small_grain *
				 p->small_grain;

		while (b->small_bytes + takes > p->small_capacity)
			ns += merge_small(b, n, events);
		small_put(b, au, takes);
		return ns;
	}
	if (u && p->random_in_open) {
		u->out_of_order = 1;
		u->logged += len;
		u->used = b->tick;
		return u->logged >= p->au_bytes ? merge(b, u, n, events) : 0;
	}
	if (place->au != NONE)
		ns += merge(b, place, n, events);
	*place = (struct open_unit){ .au = au,
				     .from = at,
				     .to = at + len,
				     .logged = len,
				     .used = b->tick };
	if (at == 0 && len == p->au_bytes)
		return ns + merge(b, place, n, events);
	note(events->opened_unit, &events->opened, au);
	return ns;
}

int64_t
block_discard(struct block_ftl *b, uint32_t au, struct sdcard_counts *n)
{
	struct open_unit *place, *u = find(b, au, &place);

	small_drop(b, au);
	if (u)
		u->au = NONE;
	n->erases++;
	return b->p->erase_us * 1000ll;
}

unsigned
block_open_units(const struct block_ftl *b)
{
	unsigned count = 0;

	for (unsigned i = 0; i < b->p->open_units; i++)
		count += b->open[i].au != NONE;
	return count;
}

int
block_open_unit(const struct block_ftl *b, unsigned i, uint32_t *au,
		uint32_t *from, uint32_t *to)
{
	if (i >= b->p->open_units || b->open[i].au == NONE)
		return 0;
	*au = b->open[i].au;
	*from = b->open[i].from;
	*to = b->open[i].to;
	return 1;
}

/* ---- state -----------------------------------------------------------------
 */

/* The exception cache's order as one list of units; the links follow. */
static int
move_small(struct block_ftl *b, const struct sdcard_port *port)
{
	uint32_t count = 0, au = b->oldest, bytes;
	int err;

	for (uint32_t i = au; !port->load && i != NONE; i = b->next[i])
		count++;
	err = port->move(port->ctx, &count, sizeof count);
	if (err || count > b->units)
		return err ? err : -EINVAL;
	for (; count; count--) {
		bytes = port->load ? 0 : b->small[au];
		if ((err = port->move(port->ctx, &au, sizeof au)) ||
		    (err = port->move(port->ctx, &bytes, sizeof bytes)))
			return err;
		if (port->load) {
			if (au >= b->units || b->small[au] || !bytes ||
			    bytes > b->p->small_capacity - b->small_bytes)
				return -EINVAL;
			small_put(b, au, bytes);
		}
		au = b->next[au];
	}
	return 0;
}

static int
sound(const struct block_ftl *b, const struct open_unit *u)
{
	return u->au == NONE ||
	       (u->au < b->units && u->from < u->to &&
		u->to <= b->p->au_bytes && u->logged <= b->p->au_bytes &&
		u->out_of_order <= 1);
}

int
block_state(struct block_ftl *b, const struct sdcard_port *port)
{
	int err = port->move(port->ctx, b->open, sizeof b->open);

	if (!err)
		err = port->move(port->ctx, &b->tick, sizeof b->tick);
	for (unsigned i = 0; !err && i < SDCARD_UNITS_MAX; i++)
		if (!sound(b, &b->open[i]))
			err = -EINVAL;
	return err ? err : move_small(b, port);
}
