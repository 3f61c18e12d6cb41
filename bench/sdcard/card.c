/*
 * card.c - see card.h: one request at a time through the curves, the
 * translation layer and the volatile cache. README.md beside this file has the
 * rules in words.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/sdcard/card_int.h"

#define BUS_BYTES_PER_US 90 /* into a volatile cache */
#define DISCARD_NS	 500000
#define NOWHERE		 UINT64_MAX

struct sdcard *
sdcard_new(const struct sdcard_params *p, uint64_t size_bytes)
{
	struct sdcard *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->p = p;
	c->size = (size_bytes ? size_bytes : p->capacity_bytes) / p->au_bytes *
		  p->au_bytes;
	c->s.write_end = c->s.read_end = NOWHERE;
	curve_init(&c->seq_write, p->seq_write);
	curve_init(&c->random_write, p->random_write);
	curve_init(&c->seq_read, p->seq_read);
	curve_init(&c->random_read, p->random_read);
	c->piece = c->seq_write;
	if (p->mapping == SDCARD_BLOCK)
		c->block = block_new(p, (uint32_t)(c->size / p->au_bytes));
	else
		c->page = page_new(p, c->size);
	if (!c->size || (!c->block && !c->page)) {
		sdcard_free(c);
		return NULL;
	}
	return c;
}

void
sdcard_free(struct sdcard *c)
{
	if (!c)
		return;
	block_free(c->block);
	page_free(c->page);
	free(c);
}

void
sdcard_prefill(struct sdcard *c)
{
	if (c->page)
		page_prefill(c->page);
}

/* ---- requests --------------------------------------------------------------
 */

static void
check_request(const struct sdcard *c, uint64_t offset, uint64_t len)
{
	assert(len && offset <= c->size && len <= c->size - offset);
	(void)c, (void)offset, (void)len;
}

/* The pieces of a write in their units; what they cost beside the request. */
static int64_t
write_units(struct sdcard *c, uint64_t offset, uint32_t len, int in_sequence)
{
	const struct sdcard_params *p = c->p;
	int64_t ns = 0;

	while (len) {
		uint32_t au = (uint32_t)(offset / p->au_bytes);
		uint32_t at = (uint32_t)(offset % p->au_bytes);
		uint32_t n = p->au_bytes - at < len ? p->au_bytes - at : len;

		if (au < p->fat_units)
			ns += (int64_t)((p->fat_cost - 1) *
					(double)curve_ns(&c->piece, n));
		else
			ns += block_write(c->block, au, at, n, in_sequence,
					  &c->counts, &c->events);
		in_sequence = 1;
		offset += n;
		len -= n;
	}
	return ns;
}

/* The request is acknowledged when it is in the cache, which drains meanwhile;
 * a writer waits for room in it. media_ns is what the flash takes. */
static int64_t
into_cache(struct sdcard *c, uint32_t len, int64_t media_ns)
{
	const struct sdcard_params *p = c->p;
	double media = (double)media_ns / p->cache_gain;
	double fastest =
		(double)curve_ns(&c->piece, 1u << 20) * len / (1u << 20);
	int64_t ack =
		p->cache_ack_us * 1000ll + len * 1000ll / BUS_BYTES_PER_US;
	int64_t behind, room;

	if (media < fastest)
		media = fastest;
	if (c->s.drained_at < c->s.now)
		c->s.drained_at = c->s.now;
	c->s.drained_at += (int64_t)media;
	behind = c->s.drained_at - c->s.now;
	room = (int64_t)((double)p->cache_bytes / len * media);
	return behind - ack > room ? behind - room : ack;
}

int64_t
sdcard_write(struct sdcard *c, uint64_t offset, uint32_t len)
{
	int in_sequence = offset == c->s.write_end;
	int64_t ns, stalled;

	check_request(c, offset, len);
	c->s.write_end = offset + len;
	c->events.merged = c->events.opened = 0;
	if (c->block) {
		ns = curve_ns(&c->seq_write, len);
		stalled = write_units(c, offset, len, in_sequence);
		c->counts.programmed_bytes += len;
	} else {
		ns = curve_ns(in_sequence ? &c->seq_write : &c->random_write,
			      len);
		stalled = page_write(c->page, offset, len, &c->counts);
	}
	c->counts.stalled_ns += stalled;
	ns += stalled;
	if (c->p->cache_bytes)
		ns = into_cache(c, len, ns);
	c->s.now += ns;
	count_request(&c->counts, SDCARD_WRITES, len, ns);
	return ns;
}

int64_t
sdcard_read(struct sdcard *c, uint64_t offset, uint32_t len)
{
	int64_t ns;

	check_request(c, offset, len);
	ns = curve_ns(offset == c->s.read_end ? &c->seq_read : &c->random_read,
		      len);
	c->s.read_end = offset + len;
	c->s.now += ns;
	count_request(&c->counts, SDCARD_READS, len, ns);
	return ns;
}

int64_t
sdcard_flush(struct sdcard *c)
{
	int64_t ns = sdcard_durable_at(c) - c->s.now;

	c->s.now += ns;
	count_request(&c->counts, SDCARD_FLUSHES, 0, ns);
	return ns;
}

int64_t
sdcard_discard(struct sdcard *c, uint64_t offset, uint64_t len)
{
	uint64_t au_bytes = c->p->au_bytes;
	int64_t ns = DISCARD_NS;

	check_request(c, offset, len);
	if (c->page)
		page_discard(c->page, offset, len);
	else
		for (uint64_t au = (offset + au_bytes - 1) / au_bytes;
		     au < (offset + len) / au_bytes; au++)
			ns += block_discard(c->block, (uint32_t)au, &c->counts);
	c->counts.discards++;
	c->counts.discarded_bytes += len;
	c->counts.discard_ns += ns;
	c->s.now += ns;
	return ns;
}

void
sdcard_idle(struct sdcard *c, int64_t ns)
{
	c->s.now += ns;
	c->counts.idle_ns += ns;
}

int64_t
sdcard_now(const struct sdcard *c)
{
	return c->s.now;
}

int64_t
sdcard_durable_at(const struct sdcard *c)
{
	return c->s.drained_at > c->s.now ? c->s.drained_at : c->s.now;
}

uint64_t
sdcard_size(const struct sdcard *c)
{
	return c->size;
}

const struct sdcard_params *
sdcard_params_of(const struct sdcard *c)
{
	return c->p;
}

const struct sdcard_events *
sdcard_events(const struct sdcard *c)
{
	return &c->events;
}

/* ---- neighbours in flash ----------------------------------------------------
 */

#define FLASH_PAGE (16u << 10)

unsigned
sdcard_neighbours(const struct sdcard *c, uint64_t draw, uint64_t offsets[4],
		  uint32_t *len)
{
	uint32_t au, from, to, pages, count = 0;

	if (c->page) {
		*len = PAGE_UNIT_BYTES;
		return page_neighbours(c->page, draw, 4, offsets);
	}
	*len = FLASH_PAGE;
	for (unsigned i = 0; i < c->p->open_units && !count; i++) {
		if (!block_open_unit(c->block,
				     (unsigned)(draw + i) % c->p->open_units,
				     &au, &from, &to))
			continue;
		from = (from + FLASH_PAGE - 1) / FLASH_PAGE;
		pages = to / FLASH_PAGE > from ? to / FLASH_PAGE - from : 0;
		if (pages)
			offsets[count++] =
				(uint64_t)au * c->p->au_bytes +
				(from + (draw >> 8) % pages) * FLASH_PAGE;
	}
	return count;
}

/* ---- state -----------------------------------------------------------------
 */

int
sdcard_state(struct sdcard *c, const struct sdcard_port *port)
{
	int err = port->move(port->ctx, &c->s, sizeof c->s);

	if (!err)
		err = port->move(port->ctx, &c->counts, sizeof c->counts);
	if (!err && (c->s.now < 0 || c->s.drained_at < 0))
		err = -EINVAL;
	if (!err)
		err = c->page ? page_state(c->page, port)
			      : block_state(c->block, port);
	return err;
}
