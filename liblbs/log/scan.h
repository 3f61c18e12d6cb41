/*
 * scan.h - reads a segment of the log back: its header, its index, its records
 * one by one. The one place that says what a valid record is, for opening as
 * for lbsck, so the two cannot disagree. Total on hostile input.
 */
#ifndef LBS_LOG_SCAN_H
#define LBS_LOG_SCAN_H

#include "liblbs/log/seal.h"
#include "liblbs/medium/medium.h"

/* Where segments lie. Constant. */
struct geometry {
	uint32_t segment_bytes;
	uint32_t segments_per_chunk;
	uint32_t segment_count;
};

static inline uint32_t
geometry_chunk(const struct geometry *g, uint32_t segment)
{
	return segment / g->segments_per_chunk;
}

static inline uint64_t
geometry_offset(const struct geometry *g, uint32_t segment)
{
	return (uint64_t)(segment % g->segments_per_chunk) * g->segment_bytes;
}

/* How many chunk files there may be. */
static inline uint32_t
geometry_chunks(const struct geometry *g)
{
	return geometry_chunk(g, g->segment_count - 1) + 1;
}

/* What a scan reads with; counts what it read. */
struct scan_source {
	const struct sealer *sealer;
	const struct geometry *geometry;
	struct medium *card;
	uint64_t bytes_read;
};

/* Results: SCAN_OK; SCAN_NONE: not there or not authentic; LBS_E... (I/O). */
enum { SCAN_OK = 0, SCAN_NONE = 1 };

/* What the header on the card says of itself: see open_header. */
int scan_header(struct scan_source *src, uint32_t segment,
		uint8_t salt[SALT_BYTES], struct segment_sealed *out);

/* The index of a closed segment; entries is malloc'd and the caller's. */
int scan_index(struct scan_source *src, uint32_t segment, const uint8_t *key,
	       struct index_head *head, struct index_entry **entries);

/* Record by record. */
struct scanner {
	struct scan_source *src;
	const uint8_t *key;
	uint32_t segment;
	uint32_t cursor;	/* where the next record is looked for */
	uint8_t *buf;		/* a window of the segment */
	uint32_t buf_at, buf_len, buf_cap;
	/* Of the last record: what an index says of it. */
	struct index_entry entries[RECORD_BLOCKS_MAX];
	uint32_t entry_count;
	uint8_t block[BLOCK_BYTES]; /* the last frame opened */
};

/* Begins at offset of a segment; src and key outlive the scanner, and sc need not be
 * initialised. 0 or LBS_ENOMEM; scanner_end frees what it holds, in either case. */
int scanner_begin(struct scanner *sc, struct scan_source *src, uint32_t segment,
		  const uint8_t *key, uint32_t offset);
void scanner_end(struct scanner *sc);
/* The next record: at the cursor, else on the next page. It must have recno
 * expected (0: any) and each frame must authenticate. SCAN_OK moves the cursor
 * behind it, and gives where it began and its entries. */
int scanner_next(struct scanner *sc, uint64_t expected,
		 struct record_desc *desc, uint32_t *offset);
/* Looks for an authentic record head with at least that number, from the cursor to
 * the end of the segment, wherever one may begin (each multiple of POSITION_UNIT):
 * evidence of what follows damage. SCAN_OK moves the cursor on. */
int scanner_search(struct scanner *sc, uint64_t recno_from,
		   struct record_desc *desc, uint32_t *offset);

/* The blocks of a record as they are stored: with room for RECORD_BLOCKS_MAX, a
 * block each, however short. */
struct scan_blocks {
	uint8_t *at;
	uint16_t *stored;	/* their lengths */
};
/* Reads one record that should lie at offset; all frames must authenticate.
 * With out, all its blocks go there. */
int scan_record(struct scan_source *src, uint32_t segment, const uint8_t *key,
		uint32_t offset, struct record_desc *desc,
		const struct scan_blocks *out);

#endif
