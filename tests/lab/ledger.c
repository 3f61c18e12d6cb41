/*
 * ledger.c - see ledger.h.
 */
#include "tests/lab/ledger.h"
#include "tests/lab/simimage.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 4096u
#define BLOCK_SECTORS (BLOCK / LEDGER_SECTOR)
#define WORDS (LEDGER_SECTOR / 8)
#define WHOLE_SECTORS ((1u << 20) / LEDGER_SECTOR)
#define MARK 0x4c42534c65646765u
#define HOLE 0
#define FOREIGN UINT32_MAX

struct op {
	enum ledger_kind kind;
	int fua;
	uint64_t from, to;	/* sectors that it changes */
	/* 0 = not yet; submitted is set when all above is */
	atomic_uint_fast64_t submitted, told;
	int found;		/* by the judge */
};

struct ledger {
	uint64_t size_bytes;
	atomic_uint_fast64_t clock;
	atomic_uint_fast32_t count;
	uint32_t room;
	struct op *ops;		/* from 1 */
	uint64_t parts, lost;
};

struct ledger *ledger_new(uint64_t size_bytes, uint32_t room)
{
	struct ledger *l = sim_alloc(sizeof(*l));

	l->size_bytes = size_bytes;
	l->room = room;
	l->ops = sim_alloc((room + 1) * sizeof(*l->ops));
	return l;
}

void ledger_free(struct ledger *l)
{
	free(l->ops);
	free(l);
}

uint64_t ledger_now(struct ledger *l)
{
	return atomic_fetch_add(&l->clock, 1) + 1;
}

uint32_t ledger_issue(struct ledger *l, enum ledger_kind kind, uint64_t offset,
		      uint64_t len, int fua)
{
	uint32_t n = (uint32_t)atomic_fetch_add(&l->count, 1) + 1;
	uint64_t end = offset + len;
	struct op *op = &l->ops[n];

	if (n > l->room)
		abort();
	op->kind = kind;
	op->fua = fua;
	/* Whole blocks; the last one counts as whole. */
	if (kind == LEDGER_DISCARD) {
		offset = (offset + BLOCK - 1) / BLOCK * BLOCK;
		if (end != l->size_bytes)
			end = end / BLOCK * BLOCK;
	}
	op->from = offset / LEDGER_SECTOR;
	op->to = (end > offset ? end : offset) / LEDGER_SECTOR;
	atomic_store(&op->submitted, ledger_now(l));
	return n;
}

void ledger_told(struct ledger *l, uint32_t op)
{
	atomic_store(&l->ops[op].told, ledger_now(l));
}

static void fill_sector(uint32_t op, uint64_t sector, uint64_t words[WORDS])
{
	int i;

	words[0] = ((uint64_t)op << 32 | sector) ^ MARK;
	/* One in three does not compress. */
	for (i = 1; i < WORDS; i++)
		words[i] = op % 3 ? words[0] : sim_mix(words[0], (uint64_t)i);
}

void ledger_fill(const struct ledger *l, uint32_t op, void *buf)
{
	uint64_t words[WORDS], s;
	uint8_t *p = buf;

	for (s = l->ops[op].from; s < l->ops[op].to; s++, p += sizeof(words)) {
		fill_sector(op, s, words);
		memcpy(p, words, sizeof(words));
	}
}

/* ---- looking ---------------------------------------------------------------- */

/* What is read, and what must be there. */
struct look {
	struct ledger *l;
	uint64_t first, count;	/* sectors */
	uint32_t *shows;	/* by sector: which request, HOLE or FOREIGN */
	uint64_t floor;		/* what was told before this must be there */
	int judging;		/* the disk as it is now: what was found counts */
	char *why;
	size_t why_len;
};

/* First of all: of what is not submitted yet nothing may be looked at. */
static int covers(const struct op *op, uint64_t sector)
{
	return op->submitted != 0 && op->kind != LEDGER_FLUSH &&
	       op->from <= sector && sector < op->to;
}

static uint32_t recognise(const struct ledger *l, uint64_t sector,
			  const uint8_t *p)
{
	static const uint64_t zeroes[WORDS];
	uint64_t words[WORDS], n;

	memcpy(words, p, sizeof(words));
	if (memcmp(words, zeroes, sizeof(words)) == 0)
		return HOLE;
	n = (words[0] ^ MARK) >> 32;
	if (n == 0 || n > atomic_load(&l->count) ||
	    !covers(&l->ops[n], sector) || l->ops[n].kind != LEDGER_WRITE)
		return FOREIGN;
	fill_sector((uint32_t)n, sector, words);
	return memcmp(words, p, sizeof(words)) == 0 ? (uint32_t)n : FOREIGN;
}

static int is_earlier(const struct op *a, const struct op *b)
{
	return a->told != 0 && a->told < b->submitted;
}

/* Is it found in the block of that sector? */
static int in_block(const struct look *k, uint32_t n, uint64_t sector)
{
	uint64_t s = sector / BLOCK_SECTORS * BLOCK_SECTORS, end;

	end = s + BLOCK_SECTORS;
	for (s = s > k->first ? s : k->first;
	     s < end && s < k->first + k->count; s++)
		if (k->shows[s - k->first] == n)
			return 1;
	return 0;
}

static int must_be_there(const struct look *k, uint32_t n, uint64_t sector)
{
	const struct op *op = &k->l->ops[n];

	if (op->told != 0 && op->told < k->floor)
		return 1;
	if (k->judging && ((op->told != 0 && op->fua) ||
			   (op->found && op->to - op->from <= WHOLE_SECTORS)))
		return 1;
	return op->kind == LEDGER_WRITE && in_block(k, n, sector);
}

/* A request that must be there and hides that one in the sector; 0 if none. op 0: what
 * was there before all. */
static uint32_t hidden_by(const struct look *k, uint32_t op, uint64_t sector)
{
	uint32_t n, count = (uint32_t)atomic_load(&k->l->count);

	for (n = 1; n <= count; n++)
		if (n != op && covers(&k->l->ops[n], sector) &&
		    (op == 0 || is_earlier(&k->l->ops[op], &k->l->ops[n])) &&
		    must_be_there(k, n, sector))
			return n;
	return 0;
}

static int wrong(const struct look *k, uint64_t sector, const char *what,
		 uint32_t a, uint32_t b)
{
	snprintf(k->why, k->why_len, "sector %llu %s (requests %u and %u)",
		 (unsigned long long)sector, what, a, b);
	return -1;
}

static int look_at_hole(const struct look *k, uint64_t sector)
{
	uint32_t n, count = (uint32_t)atomic_load(&k->l->count), by;

	by = hidden_by(k, 0, sector);
	if (by == 0)
		return 0;
	for (n = 1; n <= count; n++)
		if (covers(&k->l->ops[n], sector) &&
		    k->l->ops[n].kind != LEDGER_WRITE &&
		    hidden_by(k, n, sector) == 0)
			return 0;
	return wrong(k, sector, "is zeroes, and should not be", 0, by);
}

/* In the rest of the block: another that is there, too, and lies in the other order. */
static int look_at_order(const struct look *k, uint64_t sector, uint32_t n)
{
	uint64_t t = sector + 1;
	uint32_t other;

	for (; t % BLOCK_SECTORS != 0 && t < k->first + k->count; t++) {
		other = k->shows[t - k->first];
		if (other == n || other == HOLE)
			continue;
		if (covers(&k->l->ops[n], t) && covers(&k->l->ops[other], sector))
			return wrong(k, sector, "lies in a block with two orders",
				     n, other);
	}
	return 0;
}

static int look_at_all(const struct look *k)
{
	uint64_t i, s;
	uint32_t n, by;
	int rc = 0;

	for (i = 0; i < k->count; i++)
		if (k->shows[i] == FOREIGN)
			return wrong(k, k->first + i, "holds what nobody wrote "
				     "there", 0, 0);
	for (i = 0; i < k->count && rc == 0; i++) {
		s = k->first + i;
		n = k->shows[i];
		if (n == HOLE) {
			rc = look_at_hole(k, s);
			continue;
		}
		by = hidden_by(k, n, s);
		if (by != 0)
			return wrong(k, s, "holds older data than it must", n, by);
		rc = look_at_order(k, s, n);
	}
	return rc;
}

static void look_begin(struct look *k, const void *buf)
{
	uint64_t i;

	k->shows = sim_alloc(k->count * sizeof(*k->shows));
	for (i = 0; i < k->count; i++)
		k->shows[i] = recognise(k->l, k->first + i,
					(const uint8_t *)buf + i * LEDGER_SECTOR);
}

int ledger_read(struct ledger *l, uint64_t submitted, const void *buf, size_t len,
		uint64_t offset, char *why, size_t why_len)
{
	struct look k = { .l = l, .first = offset / LEDGER_SECTOR,
			  .count = len / LEDGER_SECTOR, .floor = submitted,
			  .why = why, .why_len = why_len };
	int rc;

	look_begin(&k, buf);
	rc = look_at_all(&k);
	free(k.shows);
	return rc;
}

/* ---- the end ------------------------------------------------------------------ */

static uint64_t flushed_until(const struct ledger *l)
{
	uint64_t floor = 0;
	uint32_t n;

	for (n = 1; n <= l->count; n++)
		if (l->ops[n].told != 0 && l->ops[n].submitted > floor &&
		    (l->ops[n].fua || l->ops[n].kind == LEDGER_FLUSH))
			floor = l->ops[n].submitted;
	return floor;
}

/* Nothing is found without what is earlier. */
static void find(struct look *k)
{
	uint64_t i;

	for (i = 0; i < k->count; i++) {
		struct op *op;

		if (k->shows[i] == HOLE || k->shows[i] == FOREIGN)
			continue;
		op = &k->l->ops[k->shows[i]];
		op->found = 1;
		if (op->submitted > k->floor)
			k->floor = op->submitted;
	}
}

/* Of long ones, and of what a cut took. */
static void count_parts(struct look *k)
{
	struct ledger *l = k->l;
	uint32_t n;
	uint64_t s;

	for (n = 1; n <= l->count; n++) {
		const struct op *op = &l->ops[n];

		l->lost += op->kind == LEDGER_WRITE && op->told > k->floor;
		if (!op->found || op->to - op->from <= WHOLE_SECTORS)
			continue;
		for (s = op->from; s < op->to; s++)
			if (k->shows[s] != HOLE &&
			    is_earlier(&l->ops[k->shows[s]], op))
				break;
		l->parts += s < op->to;
	}
}

int ledger_judge(struct ledger *l, const void *disk, enum ledger_end end,
		 char *why, size_t why_len)
{
	struct look k = { .l = l, .count = l->size_bytes / LEDGER_SECTOR,
			  .judging = 1, .why = why, .why_len = why_len };
	int rc;

	k.floor = end == LEDGER_ALIVE ? UINT64_MAX : flushed_until(l);
	look_begin(&k, disk);
	find(&k);
	rc = look_at_all(&k);
	if (rc == 0)
		count_parts(&k);
	free(k.shows);
	return rc;
}

void ledger_count(const struct ledger *l, struct ledger_seen *seen)
{
	uint32_t a, b;

	seen->parts += l->parts;
	seen->lost += l->lost;
	for (a = 1; a <= l->count; a++)
		for (b = 1; b < a; b++) {
			const struct op *x = &l->ops[a], *y = &l->ops[b];

			seen->pairs += x->kind != LEDGER_FLUSH &&
				       y->kind != LEDGER_FLUSH &&
				       x->from < y->to && y->from < x->to &&
				       !is_earlier(x, y) && !is_earlier(y, x);
		}
}
