/*
 * scan.c - see scan.h. Every length is bounded by the segment before anything
 * is allocated or read; what was read is checked in memory and never read again.
 */
#include "liblbs/log/scan.h"

#include <stdlib.h>
#include <string.h>

#include "liblbs/error.h"
#include "liblbs/format/bytes.h"

#define WINDOW_BYTES (256u << 10)

/* Reads len bytes at offset of a segment; short reads are SCAN_NONE. */
static int
read_segment(struct scan_source *src, uint32_t segment, uint32_t offset,
	     void *buf, uint32_t len)
{
	ssize_t n = src->card->ops->pread(
		src->card, geometry_chunk(src->geometry, segment), buf, len,
		geometry_offset(src->geometry, segment) + offset);

	if (n < 0)
		return code_of_errno((int)n);
	src->bytes_read += (uint64_t)n;
	return (uint32_t)n == len ? SCAN_OK : SCAN_NONE;
}

int
scan_header(struct scan_source *src, uint32_t segment, uint8_t salt[SALT_BYTES],
	    struct segment_sealed *out)
{
	uint8_t page[PAGE_BYTES];
	int rc = read_segment(src, segment, 0, page, sizeof page);

	if (rc)
		return rc;
	return open_header(src->sealer, segment, page, salt, out) ? SCAN_NONE
								   : SCAN_OK;
}

int
scan_index(struct scan_source *src, uint32_t segment, const uint8_t *key,
	   struct index_head *head, struct index_entry **entries)
{
	uint32_t size = src->geometry->segment_bytes, sealed_len;
	uint8_t trailer_bytes[TRAILER_BYTES], *sealed = NULL;
	struct index_entry *list = NULL;
	struct trailer trailer;
	int rc;

	*entries = NULL;
	rc = read_segment(src, segment, size - TRAILER_BYTES, trailer_bytes,
			  TRAILER_BYTES);
	if (rc || trailer_decode(trailer_bytes, size, &trailer))
		return rc ? rc : SCAN_NONE;
	sealed_len = trailer.index_bytes + TAG_BYTES;
	sealed = malloc(sealed_len);
	if (!sealed)
		return LBS_ENOMEM;
	rc = read_segment(src, segment, size - TRAILER_BYTES - sealed_len,
			  sealed, sealed_len);
	if (rc)
		goto out;
	rc = SCAN_NONE;
	if (open_index(src->sealer, key, trailer_bytes, sealed, sealed_len,
		       sealed) ||
	    index_head_decode(sealed, trailer.index_bytes, head) ||
	    head->segment != segment ||
	    head->next_segment >= src->geometry->segment_count)
		goto out;
	list = malloc((head->entry_count + 1ul) * sizeof *list);
	if (!list) {
		rc = LBS_ENOMEM;
		goto out;
	}
	for (uint32_t i = 0; i < head->entry_count; i++)
		if (index_entry_decode(sealed + INDEX_FIXED_BYTES +
					       (size_t)i * INDEX_ENTRY_BYTES,
				       size, &list[i]))
			goto out;
	*entries = list;
	list = NULL;
	rc = SCAN_OK;
out:
	free(list);
	free(sealed);
	return rc;
}

int
scanner_begin(struct scanner *sc, struct scan_source *src, uint32_t segment,
	      const uint8_t *key, uint32_t offset)
{
	memset(sc, 0, offsetof(struct scanner, entries));
	sc->entry_count = 0;
	sc->src = src;
	sc->key = key;
	sc->segment = segment;
	sc->cursor = offset;
	sc->buf_cap = WINDOW_BYTES;
	if (sc->buf_cap > src->geometry->segment_bytes)
		sc->buf_cap = src->geometry->segment_bytes;
	sc->buf = malloc(sc->buf_cap);
	return sc->buf ? 0 : LBS_ENOMEM;
}

void
scanner_end(struct scanner *sc)
{
	free(sc->buf);
	sc->buf = NULL;
}

/* Makes [offset, offset + len) of the segment available at the returned
 * pointer; NULL with *rc when that fails. Within the segment only. */
static const uint8_t *
window(struct scanner *sc, uint32_t offset, uint32_t len, int *rc)
{
	uint32_t size = sc->src->geometry->segment_bytes, want;

	*rc = SCAN_OK;
	if (offset >= sc->buf_at && offset + len <= sc->buf_at + sc->buf_len)
		return sc->buf + (offset - sc->buf_at);
	if (len > sc->buf_cap) {
		uint8_t *bigger = malloc(len);

		if (!bigger) {
			*rc = LBS_ENOMEM;
			return NULL;
		}
		free(sc->buf);
		sc->buf = bigger;
		sc->buf_cap = len;
	}
	want = size - offset < sc->buf_cap ? size - offset : sc->buf_cap;
	sc->buf_len = 0;
	*rc = read_segment(sc->src, sc->segment, offset, sc->buf, want);
	/* A bad sector further on must not hide a good record before it. */
	if (*rc == LBS_EIO && want > len) {
		want = len;
		*rc = read_segment(sc->src, sc->segment, offset, sc->buf, want);
	}
	if (*rc)
		return NULL;
	sc->buf_at = offset;
	sc->buf_len = want;
	return sc->buf;
}

/* Where records must have ended: frames that vary leave a page. */
static uint32_t
records_limit(const struct scanner *sc)
{
	uint32_t size = sc->src->geometry->segment_bytes;

	return sealer_varies(sc->src->sealer) ? size - PAGE_BYTES : size;
}

/* Opens the head of a record at offset; SCAN_NONE if there is none. */
static int
head_at(struct scanner *sc, uint32_t offset, struct record_prefix *prefix,
	struct record_desc *desc)
{
	uint32_t room = records_limit(sc) - offset;
	uint32_t have = room < RECORD_HEAD_MAX_BYTES ? room
						     : RECORD_HEAD_MAX_BYTES;
	const uint8_t *p;
	int rc;

	if (offset >= records_limit(sc))
		return SCAN_NONE;
	p = window(sc, offset, have, &rc);
	if (!p)
		return rc;
	return open_record_head(sc->src->sealer, sc->key, offset, p, have, room,
				prefix, desc)
		       ? SCAN_NONE
		       : SCAN_OK;
}

/* What an index says of an extent of the record, or where frames vary of a block. The
 * last entry's flags come last. */
static void
add_entry(struct scanner *sc, const struct record_desc *desc, uint32_t offset,
	  const struct extent *extent)
{
	sc->entries[sc->entry_count++] = (struct index_entry){
		offset, desc->kind, RECORD_GROUP_CONTINUES, *extent
	};
}

/* Opens the frames of one extent, which begin at byte *at of the record at p; block
 * counts the record's. */
static int
check_extent(struct scanner *sc, uint32_t offset, const uint8_t *p, uint32_t len,
	     const struct record_desc *desc, const struct extent *x, uint32_t *at,
	     uint32_t *block, const struct scan_blocks *out)
{
	const struct sealer *s = sc->src->sealer;
	int vary = sealer_varies(s);

	if (!vary)
		add_entry(sc, desc, offset + *at, x);
	for (uint32_t i = 0; i < x->count_blocks; i++, ++*block) {
		struct extent one = { x->layer, 1, x->lba + i };
		uint16_t stored;

		if (open_stored(s, sc->key, offset + *at, x->layer, x->lba + i,
				p + *at, len - *at,
				out ? out->at + (size_t)*block * BLOCK_BYTES
				    : sc->block,
				&stored))
			return SCAN_NONE;
		if (vary)
			add_entry(sc, desc, offset + *at, &one);
		if (out)
			out->stored[*block] = stored;
		*at += frame_bytes(vary, stored);
		if (*at > len)
			return SCAN_NONE;
	}
	return SCAN_OK;
}

/* Opens every frame of a record, and makes its entries; with out, keeps the blocks. */
static int
check_frames(struct scanner *sc, uint32_t offset,
	     const struct record_prefix *prefix, const struct record_desc *desc,
	     const struct scan_blocks *out)
{
	uint32_t at = record_frames_at(desc->extent_count), block = 0;
	const uint8_t *p = NULL;
	int rc = SCAN_OK;

	sc->entry_count = 0;
	if (desc->kind == RECORD_DATA)
		p = window(sc, offset, prefix->record_bytes, &rc);
	for (uint32_t e = 0; e < desc->extent_count && rc == 0; e++) {
		if (desc->kind == RECORD_DATA)
			rc = check_extent(sc, offset, p, prefix->record_bytes,
					  desc, &desc->extents[e], &at, &block,
					  out);
		else
			add_entry(sc, desc, offset, &desc->extents[e]);
	}
	if (rc)
		return rc;
	if (at != prefix->record_bytes)
		return SCAN_NONE;
	sc->entries[sc->entry_count - 1].flags = desc->flags;
	return SCAN_OK;
}

static int
record_at(struct scanner *sc, uint32_t offset, uint64_t expected,
	  struct record_desc *desc, const struct scan_blocks *out)
{
	struct record_prefix prefix;
	int rc = head_at(sc, offset, &prefix, desc);

	if (rc == SCAN_OK && expected && desc->recno != expected)
		rc = SCAN_NONE;
	if (rc == SCAN_OK)
		rc = check_frames(sc, offset, &prefix, desc, out);
	if (rc == SCAN_OK)
		sc->cursor = offset + prefix.record_bytes;
	return rc;
}

int
scanner_next(struct scanner *sc, uint64_t expected, struct record_desc *desc,
	     uint32_t *offset)
{
	uint32_t page = (uint32_t)round_up(sc->cursor, PAGE_BYTES);
	int rc;

	*offset = sc->cursor;
	rc = record_at(sc, sc->cursor, expected, desc, NULL);
	if (rc == SCAN_NONE && page != sc->cursor) {
		*offset = page;
		rc = record_at(sc, page, expected, desc, NULL);
	}
	return rc;
}

int
scanner_search(struct scanner *sc, uint64_t recno_from, struct record_desc *desc,
	       uint32_t *offset)
{
	uint32_t size = sc->src->geometry->segment_bytes;
	struct record_prefix prefix;

	for (uint32_t at = sc->cursor; at + RECORD_PREFIX_BYTES < size;
	     at += POSITION_UNIT) {
		int rc = head_at(sc, at, &prefix, desc);

		if (rc == SCAN_OK && desc->recno >= recno_from) {
			*offset = at;
			sc->cursor = at + POSITION_UNIT;
			return SCAN_OK;
		}
		if (rc < 0)
			return rc;
	}
	return SCAN_NONE;
}

int
scan_record(struct scan_source *src, uint32_t segment, const uint8_t *key,
	    uint32_t offset, struct record_desc *desc,
	    const struct scan_blocks *out)
{
	struct scanner sc;
	int rc;

	if (offset < SEGMENT_HEADER_BYTES ||
	    offset >= src->geometry->segment_bytes)
		return SCAN_NONE;
	rc = scanner_begin(&sc, src, segment, key, offset);
	if (rc == 0)
		rc = record_at(&sc, offset, 0, desc, out);
	scanner_end(&sc);
	return rc;
}
