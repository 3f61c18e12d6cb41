/*
 * runs.c - FORMAT.md section 9.
 *
 * run: varint(count << 2 | has_gap << 1 | mapped)
 *      [varint gap] [zigzag varint of the linear position less the linear
 *      position where the last mapped run ended]
 * varint: seven bits a byte, least significant first, top bit = more follow.
 */
#include "liblbs/format/runs.h"

#include <stdlib.h>
#include <string.h>

#include "liblbs/format/bytes.h"

static uint64_t
linear(uint64_t position, int shift)
{
	return ((uint64_t)position_segment(position) << shift) +
	       (uint32_t)position;
}

static void
put_varint(struct runs_writer *w, uint64_t v)
{
	if (w->failed)
		return;
	if (w->cap - w->len < 10) {
		size_t cap = w->cap ? w->cap * 2 : 512;
		uint8_t *buf = realloc(w->buf, cap);

		if (!buf) {
			w->failed = 1;
			return;
		}
		w->buf = buf;
		w->cap = cap;
	}
	while (v >= 0x80) {
		w->buf[w->len++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	w->buf[w->len++] = (uint8_t)v;
}

static void
pack_open(struct runs_writer *w)
{
	const struct run *r = &w->open;
	uint64_t gap = r->start - w->end;

	if (!r->count)
		return;
	put_varint(w, r->count << 2 | (uint64_t)(gap != 0) << 1 |
			      (r->position != 0));
	if (gap)
		put_varint(w, gap);
	if (r->position) {
		int64_t d = (int64_t)(linear(r->position, w->segment_shift) -
				      w->last);

		put_varint(w, (uint64_t)d << 1 ^ (uint64_t)(d >> 63));
		w->last = linear(position_next(r->position, r->count),
				 w->segment_shift);
	}
	w->end = r->start + r->count;
	w->open.count = 0;
}

void
runs_begin(struct runs_writer *w, int segment_shift)
{
	memset(w, 0, sizeof *w);
	w->segment_shift = segment_shift;
}

void
runs_put(struct runs_writer *w, uint64_t start, uint64_t count,
	 uint64_t position)
{
	struct run *r = &w->open;

	if (r->count && start == r->start + r->count &&
	    (position ? r->position &&
				position == position_next(r->position, r->count)
		      : !r->position)) {
		r->count += count;
		return;
	}
	pack_open(w);
	r->start = start;
	r->count = count;
	r->position = position;
}

int
runs_end(struct runs_writer *w)
{
	pack_open(w);
	if (!w->failed)
		return 0;
	free(w->buf);
	w->buf = NULL;
	w->len = 0;
	return -1;
}

void
runs_read(struct runs_reader *r, const uint8_t *buf, size_t len, uint64_t span,
	  int segment_shift)
{
	r->p = buf;
	r->limit = len ? buf + len : buf; /* an empty blob is NULL */
	r->end = r->last = 0;
	r->span = span;
	r->segment_shift = segment_shift;
}

/* Reads a number of up to eight bytes at once, where so many are left: a
 * checkpoint reads as many numbers as the map has entries. 0 if it is longer. */
static inline int
get_word(struct runs_reader *r, uint64_t *out)
{
	uint64_t w = get64(r->p), last = ~w & 0x8080808080808080ull;

	if (!last)
		return 0;
	last &= -last; /* the top bit of the number's last byte */
	r->p += (__builtin_ctzll(last) + 1) / 8;
	w &= (last - 1) & 0x7f7f7f7f7f7f7f7full;
	/* Groups of 7 bits in each 8, then of 14 in 16, of 28 in 32. */
	w = (w & 0x007f007f007f007full) | (w & 0x7f007f007f007f00ull) >> 1;
	w = (w & 0x00003fff00003fffull) | (w & 0x3fff00003fff0000ull) >> 2;
	*out = (w & 0x0fffffffull) | (w & 0x0fffffff00000000ull) >> 4;
	return 1;
}

static int
get_bytes(struct runs_reader *r, uint64_t *out)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 64; shift += 7) {
		if (r->p == r->limit)
			return -1;
		uint8_t b = *r->p++;

		if (shift == 63 && b > 1)
			return -1;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*out = v;
			return 0;
		}
	}
	return -1;
}

static inline int
get_varint(struct runs_reader *r, uint64_t *out)
{
	if (r->limit - r->p >= 8 && get_word(r, out))
		return 0;
	return get_bytes(r, out);
}

int
runs_next(struct runs_reader *r, struct run *out)
{
	uint64_t head, gap = 0, z;

	if (r->p == r->limit)
		return 0;
	if (get_varint(r, &head) || (head & 2 && get_varint(r, &gap)))
		return -1;
	out->count = head >> 2;
	if (!out->count || gap > r->span - r->end ||
	    out->count > r->span - r->end - gap)
		return -1;
	out->start = r->end + gap;
	out->position = 0;
	r->end = out->start + out->count;
	if (head & 1) {
		if (get_varint(r, &z))
			return -1;
		uint64_t at = r->last + (z >> 1 ^ -(z & 1));
		uint64_t unit = at & ((1ull << r->segment_shift) - 1);
		uint64_t units = out->count * (FRAME_BYTES / POSITION_UNIT);

		if (at >> r->segment_shift > UINT32_MAX ||
		    out->count > RECORD_BLOCKS_MAX || unit < 1 ||
		    unit + units > 1ull << r->segment_shift)
			return -1;
		out->position = (at >> r->segment_shift) << 32 | unit;
		r->last = at + units;
	}
	return 1;
}
