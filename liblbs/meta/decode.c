/*
 * decode.c - a row of a small table of the metadata file as numbers: does it make
 * sense? For reading a store and for salvage, so the two cannot disagree. FORMAT.md
 * section 8.
 * Must never give out a number that its column may not hold.
 */
#include <string.h>

#include "liblbs/format/bytes.h"
#include "liblbs/meta/internal.h"

static uint64_t
u64(sqlite3_stmt *st, int column)
{
	return (uint64_t)sqlite3_column_int64(st, column);
}

/* May a record have borne this number? Then the next session's can be told from
 * it, and its numbers go on. */
static int
recno_valid(uint64_t recno)
{
	return recno >> 32 <= SESSION_MAX;
}

static int
get_salt(sqlite3_stmt *st, int column, uint8_t salt[SALT_BYTES])
{
	const void *blob = sqlite3_column_blob(st, column);

	if (!blob || sqlite3_column_bytes(st, column) != SALT_BYTES)
		return -1;
	memcpy(salt, blob, SALT_BYTES);
	return 0;
}

int
decode_state(sqlite3_stmt *st, int at, struct meta_state *out)
{
	*out = (struct meta_state){ u64(st, at), u64(st, at + 1),
				    u64(st, at + 2) };
	return out->session <= SESSION_MAX && recno_valid(out->checkpoint_recno)
		       ? 0
		       : -1;
}

int
decode_anchor(const struct meta_store *store, sqlite3_stmt *st, int at,
	      struct meta_anchor *out)
{
	uint64_t segment = u64(st, at + 1), offset = u64(st, at + 2);

	*out = (struct meta_anchor){ u64(st, at), (uint32_t)segment,
				     (uint32_t)offset };
	return recno_valid(out->recno) && segment < store->capacity_segments &&
			       offset < store->segment_size &&
			       offset % POSITION_UNIT == 0
		       ? 0
		       : -1;
}

int
decode_segment(const struct meta_store *store, sqlite3_stmt *st, int at,
	       struct meta_segment *out)
{
	uint64_t segment = u64(st, at);

	out->segment = (uint32_t)segment;
	out->serial = u64(st, at + 1);
	return segment < store->capacity_segments ? get_salt(st, at + 2, out->salt)
						  : -1;
}

int
decode_live(sqlite3_stmt *st, int at, uint32_t live[META_LIVE_GROUP])
{
	const uint8_t *p = sqlite3_column_blob(st, at);

	if (!p || sqlite3_column_bytes(st, at) != META_LIVE_GROUP * 4)
		return -1;
	for (uint32_t i = 0; i < META_LIVE_GROUP; i++)
		live[i] = get32(p + 4 * i);
	return 0;
}

int
decode_chunk(const struct meta_store *store, sqlite3_stmt *st, int at,
	     uint32_t *chunk, uint32_t *filled)
{
	uint64_t per_chunk = store->chunk_size / store->segment_size;
	uint64_t index = u64(st, at), segments = u64(st, at + 1);

	*chunk = (uint32_t)index;
	*filled = (uint32_t)segments;
	return segments <= per_chunk &&
			       index <= store->capacity_segments / per_chunk
		       ? 0
		       : -1;
}

int
decode_piece(const struct meta_store *store, sqlite3_stmt *st, int at,
	     struct meta_piece *out)
{
	uint64_t segment = u64(st, at + 2), offset = u64(st, at + 3);

	out->first_recno = u64(st, at);
	out->end_recno = u64(st, at + 1);
	out->segment = (uint32_t)segment;
	out->offset = (uint32_t)offset;
	out->serial = u64(st, at + 4);
	return recno_valid(out->first_recno) && recno_valid(out->end_recno) &&
			       segment < store->capacity_segments &&
			       offset >= SEGMENT_HEADER_BYTES &&
			       offset <= store->segment_size &&
			       offset % POSITION_UNIT == 0
		       ? get_salt(st, at + 5, out->salt)
		       : -1;
}

int
decode_vdisk(sqlite3_stmt *st, int at, struct meta_vdisk *out)
{
	const char *name = (const char *)sqlite3_column_text(st, at + 1);
	uint64_t layer = u64(st, at + 3);

	out->id = (uint32_t)u64(st, at);
	out->size_bytes = u64(st, at + 2);
	out->layer = (uint32_t)layer;
	if (!name || strlen(name) >= sizeof out->name || layer < 1 ||
	    layer > LAYER_MAX ||
	    /* A layer's last block is no vdisk's (store/shrink.c unmaps it). */
	    out->size_bytes > LBA_MAX * BLOCK_BYTES ||
	    out->size_bytes % 512)
		return -1;
	strcpy(out->name, name);
	return 0;
}
