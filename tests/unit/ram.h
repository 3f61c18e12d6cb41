/*
 * ram.h - a card that is a piece of memory with a segment or more in chunk file
 * 0, and a builder that writes segments into it with known keys: for tests of
 * what reads the log. Must never be used where durability matters.
 */
#ifndef LBS_TESTS_RAM_H
#define LBS_TESTS_RAM_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/kdf.h"
#include "liblbs/format/bytes.h"
#include "liblbs/log/scan.h"

struct ram {
	struct medium base;
	uint8_t *bytes;
	size_t len;
	int error;		/* reads answer with it if not 0 */
};

static inline ssize_t
ram_pread(struct medium *m, uint32_t file, void *buf, size_t len, uint64_t at)
{
	struct ram *r = (struct ram *)m;

	if (r->error)
		return r->error;
	if (file != 0 || at >= r->len)
		return 0;
	if (len > r->len - at)
		len = r->len - at;
	memcpy(buf, r->bytes + at, len);
	return (ssize_t)len;
}

static const struct medium_ops ram_ops = { .pread = ram_pread };

/* ---- a segment being written ---------------------------------------------- */

#define RAM_SEGMENT_BYTES SEGMENT_BYTES_MIN
#define RAM_SEGMENTS 4u
#define RAM_RECORDS_MAX 64

struct ram_log {
	struct ram card;
	struct sealer sealer;
	struct geometry geometry;
	struct scan_source src;
	uint8_t data_key[AEAD_KEY_BYTES];
	uint8_t key[AEAD_KEY_BYTES]; /* of the segment being written */
	uint8_t salt[SALT_BYTES];
	uint32_t segment, cursor;
	uint64_t first_recno, recno; /* recno: of the next record */
	uint8_t index[INDEX_FIXED_BYTES + RAM_RECORDS_MAX * INDEX_ENTRY_BYTES];
	uint32_t entries;
	uint32_t at[RAM_RECORDS_MAX]; /* where each record begins */
};

static inline void
ram_log_new(struct ram_log *l)
{
	memset(l, 0, sizeof *l);
	l->card.base.ops = &ram_ops;
	l->card.len = (size_t)RAM_SEGMENT_BYTES * RAM_SEGMENTS;
	l->card.bytes = calloc(1, l->card.len);
	memset(l->data_key, 0x5a, sizeof l->data_key);
	l->sealer.cipher = AEAD_CHACHA20POLY1305;
	l->sealer.segment_bytes = RAM_SEGMENT_BYTES;
	memset(l->sealer.store_id, 0x11, STORE_ID_BYTES);
	l->sealer.data_key = l->data_key;
	l->geometry = (struct geometry){ RAM_SEGMENT_BYTES, RAM_SEGMENTS,
					 RAM_SEGMENTS };
	l->src = (struct scan_source){ &l->sealer, &l->geometry, &l->card.base,
				       0 };
}

static inline void
ram_log_free(struct ram_log *l)
{
	free(l->card.bytes);
}

static inline uint8_t *
ram_segment(struct ram_log *l, uint32_t segment)
{
	return l->card.bytes + (size_t)segment * RAM_SEGMENT_BYTES;
}

/* Begins a segment whose first record will be recno. */
static inline void
ram_segment_open(struct ram_log *l, uint32_t segment, uint64_t recno)
{
	struct segment_sealed sealed = { .segment = segment, .serial = 9,
					 .session = 1, .first_recno = recno };

	l->segment = segment;
	l->cursor = SEGMENT_HEADER_BYTES;
	l->entries = 0;
	l->first_recno = l->recno = recno;
	memset(l->salt, (int)(0x70 + segment), SALT_BYTES);
	kdf_segment_key(l->data_key, l->sealer.store_id, segment, l->salt,
			l->key);
	seal_header(&l->sealer, l->key, l->salt, &sealed,
		    ram_segment(l, segment));
}

/* The plaintext of a block: every byte says which record it came from. */
static inline const uint8_t *
ram_block(void *ctx, uint32_t i)
{
	static uint8_t block[BLOCK_BYTES];
	uint64_t recno = *(uint64_t *)ctx;

	memset(block, (int)(recno * 16 + i), sizeof block);
	return block;
}

/* Appends a record of one extent; blocks 0 is an unmap of ten blocks. */
static inline void
ram_append(struct ram_log *l, uint64_t lba, uint32_t blocks)
{
	uint64_t recno = l->recno++;
	struct record_desc d = {
		.recno = recno,
		.durable_to = recno - 1,
		.kind = blocks ? RECORD_DATA : RECORD_UNMAP,
		.extent_count = 1,
		.frame_count = blocks,
		.extents = { { 1, blocks ? blocks : 10, lba } },
	};
	struct index_entry e = {
		.offset = l->cursor + (blocks ? record_frames_at(1) : 0),
		.kind = d.kind,
		.extent = d.extents[0],
	};

	l->at[l->entries] = l->cursor;
	index_entry_encode(&e, l->index + index_bytes(l->entries++));
	l->cursor += seal_record(&l->sealer, l->key, l->cursor, &d, ram_block,
				 &recno, NULL,
				 ram_segment(l, l->segment) + l->cursor);
}

/* As a flush does. */
static inline void
ram_fresh_page(struct ram_log *l)
{
	l->cursor = (uint32_t)round_up(l->cursor, PAGE_BYTES);
}

static inline void
ram_segment_close(struct ram_log *l, uint32_t next)
{
	struct index_head head = {
		.segment = l->segment, .serial = 9,
		.first_recno = l->first_recno, .last_recno = l->recno - 1,
		.next_segment = next, .entry_count = l->entries,
	};

	index_head_encode(&head, l->index);
	seal_index(&l->sealer, l->key, l->index, index_bytes(l->entries),
		   ram_segment(l, l->segment) + RAM_SEGMENT_BYTES -
			   index_tail_bytes(l->entries));
}

#endif
