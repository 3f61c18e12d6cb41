/*
 * device.c - see device.h. The medium always has everything that was written;
 * for what a cut may still lose the bytes that were there before are kept. A
 * cut first takes all of that back, newest first, and then applies again, in
 * order, what it does not lose.
 */
#include "bench/sdcard/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIE_MS	   700u /* Ahmadian et al.: loss up to 700 ms after completion */
#define FLASH_PAGE (16u << 10)

struct pending {
	struct pending *next, *prev;
	int64_t durable_at;
	uint64_t offset;
	uint32_t len;
	uint8_t old[]; /* after it is taken back: the new bytes */
};

/* With au_loss: what a unit held before it was opened. */
struct before {
	uint32_t unit;
	int used, merged;
	uint8_t *bytes;
};

struct device {
	struct sdcard *card;
	struct device_medium m;
	struct device_policy policy;
	struct pending *oldest, *newest;
	unsigned pending_count;
	struct before before[SDCARD_UNITS_MAX];
	uint64_t cut_in; /* writes until power fails; 0: it does not */
	int off;
	struct {
		uint64_t random, cuts;
	} s;
};

struct device *
device_new(struct sdcard *card, const struct device_medium *m,
	   const struct device_policy *policy)
{
	struct device *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	d->card = card;
	d->m = *m;
	d->policy = *policy;
	d->s.random = policy->seed;
	if (policy->lying_flush && !policy->ack_loss_ms)
		d->policy.ack_loss_ms = LIE_MS;
	return d;
}

static void
drop_oldest(struct device *d)
{
	struct pending *p = d->oldest;

	d->oldest = p->next;
	if (p->next)
		p->next->prev = NULL;
	else
		d->newest = NULL;
	d->pending_count--;
	free(p);
}

static void
drop_pending(struct device *d)
{
	while (d->oldest)
		drop_oldest(d);
}

void
device_free(struct device *d)
{
	if (!d)
		return;
	drop_pending(d);
	for (unsigned i = 0; i < SDCARD_UNITS_MAX; i++)
		free(d->before[i].bytes);
	sdcard_free(d->card);
	free(d);
}

struct sdcard *
device_card(struct device *d)
{
	return d->card;
}

/* splitmix64. */
static uint64_t
draw(struct device *d)
{
	uint64_t z = d->s.random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* ---- what may still be lost
 * -------------------------------------------------- */

/* Forgets what has become durable by itself: the oldest, always in order. */
static void
settle(struct device *d)
{
	int64_t limit = sdcard_now(d->card) - d->policy.ack_loss_ms * 1000000ll;

	while (d->oldest && d->oldest->durable_at <= limit)
		drop_oldest(d);
}

/* Keeps what [offset, offset + len) holds, if a cut may want it back. Called
 * after the card has timed the write and before its bytes are laid down. */
static int
keep(struct device *d, uint64_t offset, uint32_t len)
{
	struct pending *p;
	int err;

	if (!d->policy.ack_loss_ms && !sdcard_params_of(d->card)->cache_bytes)
		return 0;
	p = malloc(sizeof *p + len);
	if (!p)
		return -ENOMEM;
	err = d->m.read(d->m.ctx, p->old, len, offset);
	if (err) {
		free(p);
		return err;
	}
	p->durable_at = sdcard_durable_at(d->card);
	p->offset = offset;
	p->len = len;
	p->next = NULL;
	p->prev = d->newest;
	if (d->newest)
		d->newest->next = p;
	else
		d->oldest = p;
	d->newest = p;
	d->pending_count++;
	return 0;
}

/* Units that the write opened are kept as they are; those that it merged are at
 * risk until the next write. */
static int
keep_units(struct device *d)
{
	const struct sdcard_events *e = sdcard_events(d->card);
	uint32_t au_bytes = sdcard_params_of(d->card)->au_bytes;

	if (!d->policy.au_loss)
		return 0;
	for (unsigned k = 0; k < SDCARD_UNITS_MAX; k++) {
		struct before *b = &d->before[k];

		if (b->merged)
			b->used = b->merged = 0;
		for (unsigned i = 0; i < e->merged; i++)
			b->merged |= b->used && b->unit == e->merged_unit[i];
	}
	for (unsigned i = 0; i < e->opened; i++) {
		struct before *b = d->before;
		int err;

		while (b < d->before + SDCARD_UNITS_MAX && b->used)
			b++;
		if (b == d->before + SDCARD_UNITS_MAX)
			break;
		if (!b->bytes && !(b->bytes = malloc(au_bytes)))
			return -ENOMEM;
		err = d->m.read(d->m.ctx, b->bytes, au_bytes,
				(uint64_t)e->opened_unit[i] * au_bytes);
		if (err)
			return err;
		b->unit = e->opened_unit[i];
		b->used = 1;
	}
	return 0;
}

/* ---- requests
 * ---------------------------------------------------------------- */

int
device_read(struct device *d, void *buf, uint32_t len, uint64_t offset)
{
	if (d->off)
		return -EIO;
	sdcard_read(d->card, offset, len);
	settle(d);
	return d->m.read(d->m.ctx, buf, len, offset);
}

/* Some of the request's sectors: a beginning, or any. */
static int
tear(struct device *d, const uint8_t *buf, uint32_t len, uint64_t offset)
{
	uint64_t how = draw(d);
	uint32_t sectors = len / SDCARD_SECTOR;
	uint32_t kept = (uint32_t)((how >> 8) % (sectors + 1));

	if (d->policy.untorn)
		return how & 1 ? d->m.write(d->m.ctx, buf, len, offset) : 0;
	if (how & 1)
		return kept ? d->m.write(d->m.ctx, buf, kept * SDCARD_SECTOR,
					 offset)
			    : 0;
	for (uint32_t at = 0; at < len; at += SDCARD_SECTOR) {
		int err = draw(d) & 1 ? d->m.write(d->m.ctx, buf + at,
						   SDCARD_SECTOR, offset + at)
				      : 0;

		if (err)
			return err;
	}
	return 0;
}

static int power_fails(struct device *d, int writing);

int
device_write(struct device *d, const void *buf, uint32_t len, uint64_t offset)
{
	int cut = d->cut_in && --d->cut_in == 0, err;

	if (d->off)
		return -EIO;
	sdcard_write(d->card, offset, len);
	err = keep_units(d);
	/* What is torn is never taken back: it lies on top of what is. */
	if (!err && cut) {
		err = power_fails(d, 1);
		if (!err)
			err = tear(d, buf, len, offset);
		return err ? err : -EIO;
	}
	if (!err)
		err = keep(d, offset, len);
	settle(d);
	return err ? err : d->m.write(d->m.ctx, buf, len, offset);
}

int
device_flush(struct device *d)
{
	if (d->off)
		return -EIO;
	if (!d->policy.lying_flush) {
		sdcard_flush(d->card);
		drop_pending(d);
	}
	return 0;
}

int
device_discard(struct device *d, uint64_t offset, uint64_t len)
{
	if (d->off)
		return -EIO;
	drop_pending(d);
	sdcard_discard(d->card, offset, len);
	return d->m.erase(d->m.ctx, offset, len);
}

/* ---- the cut
 * ------------------------------------------------------------------- */

/* Exchanges what a record keeps with what the medium has. */
static int
exchange(struct device *d, struct pending *p, uint8_t *room)
{
	int err = d->m.read(d->m.ctx, room, p->len, p->offset);

	if (!err)
		err = d->m.write(d->m.ctx, p->old, p->len, p->offset);
	memcpy(p->old, room, p->len);
	return err;
}

static int
lost(struct device *d)
{
	switch (d->policy.lose) {
	case DEVICE_LOSE_ALL:
		return 1;
	case DEVICE_LOSE_NONE:
		return 0;
	default:
		return (int)(draw(d) & 1);
	}
}

static int
lose_pending(struct device *d)
{
	uint8_t *room = malloc(SDCARD_REQUEST_MAX);
	int err = room ? 0 : -ENOMEM;

	for (struct pending *p = d->newest; p && !err; p = p->prev)
		err = exchange(d, p, room);
	for (struct pending *p = d->oldest; p && !err; p = p->next)
		if (!lost(d))
			err = d->m.write(d->m.ctx, p->old, p->len, p->offset);
	free(room);
	drop_pending(d);
	return err;
}

static int
spoil(struct device *d, uint64_t offset, uint32_t len)
{
	uint64_t garbage[FLASH_PAGE / 8];

	for (uint32_t i = 0; i < len / 8; i++)
		garbage[i] = draw(d);
	return d->m.write(d->m.ctx, garbage, len, offset);
}

static int
lose_neighbours(struct device *d)
{
	uint64_t offsets[4];
	uint32_t len;
	unsigned n = sdcard_neighbours(d->card, draw(d), offsets, &len);
	int err = 0;

	for (unsigned i = 0; i < n && !err; i++)
		err = spoil(d, offsets[i], len);
	return err;
}

/* A unit that was being merged: what it should be, what it was before it was
 * opened (if that is known), or garbage in some of its pages. */
static int
lose_unit(struct device *d, uint32_t unit)
{
	uint32_t au_bytes = sdcard_params_of(d->card)->au_bytes;
	uint64_t at = (uint64_t)unit * au_bytes, fate = draw(d) % 3;
	int err = 0;

	for (unsigned k = 0; fate == 1 && k < SDCARD_UNITS_MAX; k++)
		if (d->before[k].merged && d->before[k].unit == unit)
			return d->m.write(d->m.ctx, d->before[k].bytes,
					  au_bytes, at);
	for (uint32_t i = 0; fate == 2 && i < au_bytes && !err; i += FLASH_PAGE)
		if (draw(d) & 1)
			err = spoil(d, at + i, FLASH_PAGE);
	return err;
}

static int
power_fails(struct device *d, int writing)
{
	const struct sdcard_events *e = sdcard_events(d->card);
	int err = lose_pending(d);

	d->off = 1;
	d->cut_in = 0;
	d->s.cuts++;
	for (unsigned i = 0;
	     d->policy.au_loss && writing && i < e->merged && !err; i++)
		err = lose_unit(d, e->merged_unit[i]);
	if (d->policy.paired_page && !err)
		err = lose_neighbours(d);
	for (unsigned k = 0; k < SDCARD_UNITS_MAX; k++)
		d->before[k].used = d->before[k].merged = 0;
	return err;
}

int
device_cut(struct device *d)
{
	return d->off ? 0 : power_fails(d, 0);
}

void
device_cut_in(struct device *d, uint64_t n)
{
	d->cut_in = n;
}

void
device_power_on(struct device *d)
{
	d->off = 0;
}

int
device_has_power(const struct device *d)
{
	return !d->off;
}

uint64_t
device_cuts(const struct device *d)
{
	return d->s.cuts;
}

unsigned
device_pending(const struct device *d)
{
	return d->pending_count;
}

int
device_state(struct device *d, const struct sdcard_port *port)
{
	int err = port->move(port->ctx, &d->s, sizeof d->s);

	return err ? err : sdcard_state(d->card, port);
}
