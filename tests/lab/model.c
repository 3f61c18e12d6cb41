/*
 * model.c - the guest's view of a disk under cuts. See model.h.
 * The search for k: a block changes only at the requests that touch it, so each
 * of its versions that differs from what was read forbids an interval of k.
 * One difference array collects the intervals of all blocks.
 */
#include "tests/lab/model.h"
#include "tests/lab/simimage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES 65536

struct request {
	enum model_kind kind;
	uint64_t op, offset;
	size_t len;
	uint64_t from, to;	/* what it changes: of a discard whole blocks,
				 * the last one of the disk counts as whole */
};

struct model {
	uint64_t size_bytes;
	uint64_t next_op;
	struct simimage base;		/* after the last flush */
	struct simimage now;		/* after all requests issued */
	struct request *requests;	/* since base, in order */
	size_t request_count, request_room;
	size_t acked;			/* of these: must be there */
	int found_part;
};

struct model *model_new(uint64_t size_bytes)
{
	struct model *m = sim_alloc(sizeof(*m));

	m->size_bytes = size_bytes;
	m->next_op = 1;
	simimage_resize(&m->base, size_bytes);
	simimage_resize(&m->now, size_bytes);
	return m;
}

struct model *model_clone(const struct model *src)
{
	struct model *m = sim_alloc(sizeof(*m));

	*m = *src;
	memset(&m->base, 0, sizeof(m->base));
	memset(&m->now, 0, sizeof(m->now));
	simimage_clone(&m->base, &src->base);
	simimage_clone(&m->now, &src->now);
	m->request_room = src->request_count;
	m->requests = sim_alloc(src->request_count * sizeof(*m->requests));
	if (src->request_count > 0)
		memcpy(m->requests, src->requests,
		       src->request_count * sizeof(*m->requests));
	return m;
}

void model_free(struct model *m)
{
	if (m == NULL)
		return;
	simimage_free(&m->base);
	simimage_free(&m->now);
	free(m->requests);
	free(m);
}

/* Eight bytes of the disk: a place in a block never looks like another but where it
 * nearly vanishes, and there it does not look like the next 512 bytes. */
static uint64_t contents(uint64_t op, uint64_t word)
{
	uint64_t block = word / (MODEL_BLOCK / 8);

	switch (sim_mix(op ^ 0x5a1f, block) % 4) {
	case 0:
		return sim_mix(op, word);
	case 1:
		return sim_mix(op ^ 0x5a20, word / 64);
	default:
		return sim_mix(op ^ 0x5a21, block) << 16 | (word & 0xffff);
	}
}

void model_fill(uint64_t op, uint64_t offset, void *buf, size_t len)
{
	uint8_t *out = buf;
	uint64_t word, at;
	size_t i, n;

	for (i = 0; i < len; i += n) {
		at = offset + i;
		n = 8 - at % 8 < len - i ? 8 - at % 8 : len - i;
		word = contents(op, at / 8) >> (at % 8 * 8);
		memcpy(out + i, &word, n);
	}
}

/* What the request does to a stretch of the disk that is held in buf. */
static void render(const struct request *r, uint64_t offset, uint8_t *buf,
		   size_t len)
{
	uint64_t from = r->from, to = r->to;

	if (from < offset)
		from = offset;
	if (to > offset + len)
		to = offset + len;
	if (from >= to)
		return;
	if (r->kind == MODEL_WRITE)
		model_fill(r->op, from, buf + (from - offset),
			   (size_t)(to - from));
	else
		memset(buf + (from - offset), 0, (size_t)(to - from));
}

static void apply(struct simimage *img, const struct request *r)
{
	uint8_t *buf = sim_alloc(r->len);

	simimage_read(img, buf, r->len, r->offset);
	render(r, r->offset, buf, r->len);
	simimage_write(img, buf, r->len, r->offset);
	free(buf);
}

/* Makes the state after the first n requests the beginning. */
static void advance(struct model *m, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		apply(&m->base, &m->requests[i]);
	if (n)
		memmove(m->requests, m->requests + n,
			(m->request_count - n) * sizeof(*m->requests));
	m->request_count -= n;
	m->acked -= n < m->acked ? n : m->acked;
}

static void rebuild_now(struct model *m)
{
	size_t i;

	simimage_free(&m->now);
	simimage_clone(&m->now, &m->base);
	for (i = 0; i < m->request_count; i++)
		apply(&m->now, &m->requests[i]);
}

static void issue(struct model *m, enum model_kind kind, uint64_t op,
		  uint64_t offset, size_t len)
{
	struct request *r;

	if (m->request_count == m->request_room) {
		m->request_room = m->request_room * 2 + 16;
		m->requests = sim_realloc(m->requests,
					  m->request_room * sizeof(*r));
	}
	r = &m->requests[m->request_count++];
	r->kind = kind;
	r->op = op;
	r->offset = offset;
	r->len = len;
	r->from = offset;
	r->to = offset + len;
	if (kind == MODEL_DISCARD) {
		r->from = (r->from + MODEL_BLOCK - 1) / MODEL_BLOCK * MODEL_BLOCK;
		if (r->to != m->size_bytes)
			r->to = r->to / MODEL_BLOCK * MODEL_BLOCK;
	}
	apply(&m->now, r);
}

uint64_t model_issue(struct model *m, enum model_kind kind, uint64_t offset,
		     size_t len)
{
	uint64_t op = m->next_op++, end = offset + len, at, next;

	if (len <= MODEL_ATOMIC_BYTES || kind == MODEL_DISCARD) {
		issue(m, kind, op, offset, len);
		return op;
	}
	for (at = offset; at < end; at = next) {
		next = (at / MODEL_BLOCK + 1) * MODEL_BLOCK;
		next = next < end ? next : end;
		issue(m, kind, op, at, (size_t)(next - at));
	}
	return op;
}

/* Where the requests begin that the last one, not counting what was refused, is. */
static size_t last_begins(const struct model *m)
{
	size_t i = m->request_count;
	uint64_t op = i > 0 ? m->requests[i - 1].op : 0;

	while (i > 0 && m->requests[i - 1].op == op)
		i--;
	return i;
}

int model_is_long(const struct model *m)
{
	return m->request_count - last_begins(m) > 1;
}

void model_acked(struct model *m)
{
	m->acked = m->request_count;
}

void model_refused(struct model *m)
{
	m->request_count = last_begins(m);
	rebuild_now(m);
}

int model_refused_midway(struct model *m, const void *got,
			 const uint8_t *unreadable)
{
	size_t first = last_begins(m), count = m->request_count - first;
	const struct request *r = &m->requests[first];
	size_t i, done = 0, all = count;
	uint8_t want[MODEL_BLOCK];
	const uint8_t *is;

	model_refused(m);
	/* all: none before it was left out; done: none behind it was done. */
	for (i = 0; i < count; i++) {
		if (unreadable != NULL && unreadable[i])
			continue;
		is = (const uint8_t *)got + (r[i].offset - r->offset);
		simimage_read(&m->now, want, r[i].len, r[i].offset);
		if (memcmp(is, want, r[i].len) != 0)
			done = i + 1;
		render(&r[i], r[i].offset, want, r[i].len);
		if (memcmp(is, want, r[i].len) != 0 && all == count)
			all = i;
	}
	if (done > all)
		return -1;
	for (i = 0; i < done; i++)
		apply(&m->now, &r[i]);
	m->request_count = first + done;
	if (done > 0)
		m->acked = m->request_count;
	return (int)done;
}

void model_flushed(struct model *m)
{
	advance(m, m->acked);
}

void model_lost_power(struct model *m)
{
	m->acked = 0;
}

void model_read(const struct model *m, void *buf, size_t len, uint64_t offset)
{
	simimage_read(&m->now, buf, len, offset);
}

void model_read_acked(const struct model *m, void *buf, size_t len,
		      uint64_t offset)
{
	size_t i;

	simimage_read(&m->base, buf, len, offset);
	for (i = 0; i < m->acked; i++)
		render(&m->requests[i], offset, buf, len);
}

uint64_t model_unflushed(const struct model *m)
{
	return m->acked;
}

void model_adopt(struct model *m, const void *disk)
{
	simimage_write(&m->base, disk, (size_t)m->size_bytes, 0);
	m->request_count = m->acked = 0;
	rebuild_now(m);
}

int model_found_part(const struct model *m)
{
	return m->found_part;
}

int model_plausible(const struct model *m, const void *buf, size_t len,
		    uint64_t offset)
{
	uint64_t word, last = 1, op;
	size_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		memcpy(&word, (const uint8_t *)buf + i, 8);
		if (word == 0 || word == contents(last, (offset + i) / 8))
			continue;
		for (op = 1; op < m->next_op; op++)
			if (word == contents(op, (offset + i) / 8))
				break;
		if (op == m->next_op)
			return 0;
		last = op;
	}
	return 1;
}

uint64_t model_issued(const struct model *m)
{
	return m->next_op - 1;
}

uint64_t model_flushed_op(const struct model *m)
{
	return m->request_count ? m->requests[0].op - 1 : m->next_op - 1;
}

/* ---- the check ----------------------------------------------------------- */

/* Requests in order by the block they touch: lists chained through next. */
struct touch {
	size_t request;
	struct touch *next;
};

struct check {
	const struct model *m;
	uint8_t *unreadable;	/* by block; NULL = none may be */
	int64_t *diff;		/* blocks that forbid k, as differences */
	struct touch **first, *touches;
};

static void chain(struct check *c)
{
	const struct model *m = c->m;
	size_t blocks = (size_t)(m->size_bytes / MODEL_BLOCK + 1), total = 0;
	struct touch *t;
	uint64_t b, end;
	size_t i;

	for (i = 0; i < m->request_count; i++)
		total += m->requests[i].len / MODEL_BLOCK + 2;
	c->touches = t = sim_alloc(total * sizeof(*t));
	c->first = sim_alloc(blocks * sizeof(*c->first));
	/* From the last to the first, so that the lists are in order. */
	for (i = m->request_count; i-- > 0;) {
		const struct request *r = &m->requests[i];

		if (r->len == 0)
			continue;
		end = (r->offset + r->len - 1) / MODEL_BLOCK;
		for (b = r->offset / MODEL_BLOCK; b <= end; b++) {
			t->request = i;
			t->next = c->first[b];
			c->first[b] = t++;
		}
	}
}

/* Forbids each k for which the block should not look as it does. */
static void judge_block(struct check *c, uint64_t block, const uint8_t *got,
			size_t len)
{
	const struct model *m = c->m;
	uint8_t want[MODEL_BLOCK];
	const struct touch *t = c->first[block];
	size_t from = 0, to;

	if (c->unreadable != NULL && c->unreadable[block])
		return;
	simimage_read(&m->base, want, len, block * MODEL_BLOCK);
	for (;;) {
		to = t ? t->request : m->request_count;
		if (memcmp(want, got, len) != 0) {
			c->diff[from]++;
			c->diff[to + 1]--;
		}
		if (t == NULL)
			break;
		render(&m->requests[t->request], block * MODEL_BLOCK, want, len);
		from = t->request + 1;
		t = t->next;
	}
}

/* Which request a block looks like; 0 = zeroes, UINT64_MAX = none. */
static uint64_t recognise(const struct model *m, uint64_t block,
			  const uint8_t *got)
{
	static const uint8_t zeroes[8];
	uint64_t op, word;

	if (memcmp(got, zeroes, 8) == 0)
		return 0;
	for (op = m->next_op - 1; op > 0; op--) {
		word = contents(op, block * (MODEL_BLOCK / 8));
		if (memcmp(got, &word, 8) == 0)
			return op;
	}
	return UINT64_MAX;
}

/* Reads a piece block by block. */
static void read_around(const struct check *c, model_read_fn *read, void *ctx,
			uint8_t *disk, uint64_t at, uint64_t end)
{
	for (; at < end; at += MODEL_BLOCK)
		c->unreadable[at / MODEL_BLOCK] =
			read(ctx, disk + at,
			     end - at < MODEL_BLOCK ? (size_t)(end - at)
						    : MODEL_BLOCK,
			     at) != 0;
}

static int read_all(const struct check *c, model_read_fn *read, void *ctx,
		    uint8_t *disk, char *why, size_t why_len)
{
	const struct model *m = c->m;
	uint64_t at;
	size_t n;
	int rc;

	for (at = 0; at < m->size_bytes; at += n) {
		n = m->size_bytes - at < READ_BYTES
			    ? (size_t)(m->size_bytes - at)
			    : READ_BYTES;
		rc = read(ctx, disk + at, n, at);
		if (rc == 0)
			continue;
		if (c->unreadable != NULL) {
			read_around(c, read, ctx, disk, at, at + n);
			continue;
		}
		snprintf(why, why_len, "reading %zu bytes at %llu gave %d", n,
			 (unsigned long long)at, rc);
		return -1;
	}
	return 0;
}

/* Says what is wrong with the k that fits best. */
static void explain(const struct check *c, const uint8_t *disk, size_t best,
		    int64_t bad, char *why, size_t why_len)
{
	const struct model *m = c->m;
	uint64_t first_op = m->request_count ? m->requests[0].op : m->next_op;
	uint64_t at, looks;
	uint8_t want[MODEL_BLOCK];
	struct simimage img;
	size_t i, len;

	memset(&img, 0, sizeof(img));
	simimage_clone(&img, &m->base);
	for (i = 0; i < best; i++)
		apply(&img, &m->requests[i]);
	for (at = 0; at < m->size_bytes; at += MODEL_BLOCK) {
		len = simimage_read(&img, want, MODEL_BLOCK, at);
		if (memcmp(want, disk + at, len) != 0 &&
		    (c->unreadable == NULL || !c->unreadable[at / MODEL_BLOCK]))
			break;
	}
	looks = at < m->size_bytes ? recognise(m, at / MODEL_BLOCK, disk + at)
				   : 0;
	snprintf(why, why_len,
		 "no state of requests %llu to %llu fits (since the flush: %zu, "
		 "held to %zu); after %zu of them %lld blocks differ, "
		 "first block %llu, which begins like request %lld",
		 (unsigned long long)(m->acked ? m->requests[m->acked - 1].op
					       : first_op - 1),
		 (unsigned long long)(m->next_op - 1), m->request_count,
		 m->acked, best, (long long)bad,
		 (unsigned long long)(at / MODEL_BLOCK), (long long)looks);
	simimage_free(&img);
}

int model_check(struct model *m, model_read_fn *read, void *ctx, char *why,
		size_t why_len)
{
	return model_check_around(m, read, ctx, NULL, why, why_len);
}

int model_check_around(struct model *m, model_read_fn *read, void *ctx,
		       uint8_t *unreadable, char *why, size_t why_len)
{
	uint8_t *disk = sim_alloc((size_t)m->size_bytes);
	struct check c = { .m = m, .unreadable = unreadable };
	int64_t bad = 0, least = INT64_MAX;
	size_t k, best = 0, len;
	uint64_t at;
	int rc = -1;

	c.diff = sim_alloc((m->request_count + 2) * sizeof(*c.diff));
	if (read_all(&c, read, ctx, disk, why, why_len) < 0)
		goto out;
	chain(&c);
	for (at = 0; at < m->size_bytes; at += MODEL_BLOCK) {
		len = m->size_bytes - at < MODEL_BLOCK
			      ? (size_t)(m->size_bytes - at)
			      : MODEL_BLOCK;
		judge_block(&c, at / MODEL_BLOCK, disk + at, len);
	}
	for (k = 0; k <= m->request_count; k++) {
		bad += c.diff[k];
		if (k < m->acked || bad >= least)
			continue;
		least = bad;
		best = k;
	}
	if (least != 0) {
		explain(&c, disk, best, least, why, why_len);
		goto out;
	}
	m->found_part = best > 0 && best < m->request_count &&
			m->requests[best - 1].op == m->requests[best].op;
	/* The rest never happened; its numbers are not used again. */
	advance(m, best);
	m->request_count = m->acked = 0;
	rebuild_now(m);
	rc = 0;
out:
	free(c.touches);
	free(c.first);
	free(c.diff);
	free(disk);
	return rc;
}
