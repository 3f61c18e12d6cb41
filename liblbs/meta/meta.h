/*
 * meta.h - the metadata file on internal flash: the only SQLite code.
 * It is the truth about keys, freshness and where the map stood at the last
 * checkpoint; the log is the truth about data since. Where they disagree about
 * how far the log got, the anchor wins (a shorter log is refused). FORMAT.md
 * section 8.
 *
 * One connection, never shared with another process; its caller serialises all
 * calls (the store's "db" lock).
 */
#ifndef LBS_META_H
#define LBS_META_H

#include "liblbs/error.h"
#include "liblbs/format/segment.h"

struct meta;

#define DATA_KEY_BYTES 32
/* What a store may have at most: vdisks, and pieces of the log. */
#define VDISKS_MAX 64
#define PIECES_MAX 64

/* Feature bits a store may carry: FORMAT.md section 10. */
#define FEATURE_LZ4 0x10ull
#define FEATURE_ZSTD 0x20ull
#define FEATURES_MUST_KNOWN (FEATURE_LZ4 | FEATURE_ZSTD)
#define FEATURES_MAY_KNOWN 0ull

/* Constant from creation on. */
struct meta_store {
	uint32_t format_version;
	uint64_t features_must, features_may;
	uint8_t store_id[STORE_ID_BYTES];
	int cipher, freshness;
	uint32_t block_size, segment_size;
	uint64_t chunk_size;
	uint32_t capacity_segments;
	int64_t created_unix;
	char data_dir[4096];
};

/* How its blocks are compressed: LBS_COMPRESS_..., of which the features tell. */
int meta_compress(const struct meta_store *store);

/* Changes with sessions and checkpoints. */
struct meta_state {
	uint64_t session;	/* of the last opening for writing */
	uint64_t checkpoint;	/* completed checkpoints */
	uint64_t checkpoint_recno; /* the map agrees with the log up to here */
};

/* The last record acknowledged as durable, and where it lies; recno 0: none. */
struct meta_anchor {
	uint64_t recno;
	uint32_t segment, offset;
};

struct meta_segment {
	uint32_t segment;
	uint64_t serial;
	uint8_t salt[SALT_BYTES];
};

/* A stretch of the log that is still to be replayed: it starts in a segment
 * and follows the trailers. end_recno 0: open, goes as far as it goes. */
struct meta_piece {
	uint64_t first_recno, end_recno;
	uint32_t segment, offset;
	uint64_t serial;
	uint8_t salt[SALT_BYTES];
};

struct meta_counters {
	uint64_t bytes, syncs, commits;
};

enum { META_RDONLY = 1 };

/* Makes the tables in the file at path, which is missing or empty (the caller's, then,
 * with mode 0600). data_key is copied. 0 or an error; the sentence has been logged. */
int meta_create(const char *path, const char *vfs, const struct meta_store *store,
		const uint8_t data_key[DATA_KEY_BYTES],
		const struct logger *log, struct meta **out);
/* Opens and checks it: LBS_ENOTSTORE, LBS_EVERSION, LBS_ECORRUPT, LBS_EBUSY,
 * LBS_ENOENT, LBS_EIO. The sentence has been logged. */
int meta_open(const char *path, const char *vfs, int flags,
	      const struct logger *log, struct meta **out);
/* Reads only what is constant (state: as it was when SQLite's log was last folded in),
 * without a lock; for looking at a store that another process holds. */
int meta_peek(const char *path, const char *vfs, const struct logger *log,
	      struct meta_store *store, struct meta_state *state);
/* Folds SQLite's log into the file, unless it was opened read-only. NULL is allowed, as
 * for the next. */
void meta_close(struct meta *m);
/* As the death of the process: the connection is dropped without writing. */
void meta_abandon(struct meta *m);

/* SQLite's own check of the whole file. 0 or LBS_ECORRUPT with the first
 * complaint in text. */
int meta_integrity(struct meta *m, char *text, size_t text_len);

void meta_counters(struct meta *m, struct meta_counters *out);
const struct meta_store *meta_store_row(struct meta *m);
/* Copies the data key into memory of the caller's, which is secret. */
int meta_data_key(struct meta *m, uint8_t key[DATA_KEY_BYTES]);

/* All that follows returns 0 or LBS_EIO, LBS_EMETAFULL, LBS_ECORRUPT, LBS_ENOMEM;
 * after an error the caller rolls the transaction back (a failed commit has done so)
 * and stops the store. Writes outside a transaction commit by themselves. */
int meta_begin(struct meta *m);
int meta_commit(struct meta *m);
void meta_rollback(struct meta *m);
/* Folds SQLite's log into the file and empties it: outside a transaction, when
 * much was written, so that internal flash does not hold it twice. If that
 * fails nothing is lost: the log is still there. */
void meta_fold(struct meta *m);

int meta_state_get(struct meta *m, struct meta_state *out);
int meta_state_set(struct meta *m, const struct meta_state *state);
int meta_anchor_get(struct meta *m, struct meta_anchor *out);
int meta_anchor_set(struct meta *m, const struct meta_anchor *anchor);

/* A row: the segment is in use. No row: it is free. */
int meta_segment_put(struct meta *m, const struct meta_segment *segment);
int meta_segment_delete(struct meta *m, uint32_t segment);
int meta_segment_each(struct meta *m,
		      int (*fn)(void *ctx, const struct meta_segment *), void *ctx);

/* Live blocks of META_LIVE_GROUP segments, packed. Missing: all zero. */
#define META_LIVE_GROUP 512u
int meta_live_get(struct meta *m, uint32_t group, uint32_t live[META_LIVE_GROUP]);
int meta_live_put(struct meta *m, uint32_t group,
		  const uint32_t live[META_LIVE_GROUP]);

/* Segments of a chunk file that are filled, synced and so count as room. */
int meta_chunk_put(struct meta *m, uint32_t chunk, uint32_t filled_segments);
/* Chunk files from this one on are no room any more. */
int meta_chunks_cut(struct meta *m, uint32_t from);
int meta_chunk_each(struct meta *m,
		    int (*fn)(void *ctx, uint32_t chunk, uint32_t filled),
		    void *ctx);

/* Replaces the list of pieces, in log order. */
int meta_pieces_set(struct meta *m, const struct meta_piece *pieces, int count);
/* Reads up to max; *count is how many there are. */
int meta_pieces_get(struct meta *m, struct meta_piece *pieces, int max,
		    int *count);

/* Since the store was made, for people only: what guests wrote, and what went to
 * the card for it. A file that has no such table keeps none. */
struct meta_total {
	uint64_t guest_bytes, log_bytes, clean_bytes, fill_bytes;
};
int meta_total_get(struct meta *m, struct meta_total *out);
int meta_total_set(struct meta *m, const struct meta_total *total);

struct meta_vdisk {
	char name[64];
	uint64_t size_bytes;
	uint32_t id, layer;
};
/* With its layer. */
int meta_vdisk_add(struct meta *m, const struct meta_vdisk *vdisk);
int meta_vdisk_each(struct meta *m,
		    int (*fn)(void *ctx, const struct meta_vdisk *), void *ctx);

#endif
