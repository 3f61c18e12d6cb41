/*
 * create.c - makes a store. Order: the card file first, synced with its
 * directory, then the metadata; whatever fails, the POSIX caller removes all of
 * it again, so an interrupted create leaves nothing that looks like a store.
 */
#include "liblbs/store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "liblbs/format/bytes.h"
#include "liblbs/grow.h"
#include "liblbs/medium/probe.h"
#include "liblbs/store/fit.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define SIZE_MAX_BYTES (1ull << 44) /* 16 TiB: 2^32 blocks */

/* Bytes of log for bytes of guest data in the worst case, single blocks. */
static uint64_t
bytes_of_log(uint64_t guest_bytes)
{
	uint64_t block = record_bytes(1, 1) + INDEX_ENTRY_BYTES;

	return guest_bytes / BLOCK_BYTES * block;
}

/* Segments of a capacity that hold no data at the least. */
static uint64_t
overhead(uint64_t capacity, const struct lbs_create_options *o)
{
	uint32_t segment = (uint32_t)o->segment_size_bytes;

	return room_overhead((uint32_t)(capacity / segment),
			     store_reserve_segments(
				     store_sync_bytes(0, capacity), segment),
			     segment);
}

static int
is_power_of_two(uint64_t v)
{
	return v && (v & (v - 1)) == 0;
}

/* What kind of store it is. */
static int
settle_kind(struct lbs_create_options *o, const struct logger *log)
{
	if (secret_init()) /* before asking what the processor can do */
		return fail(log, LBS_EINTERNAL, "libsodium cannot run here");
	if (!o->block_size)
		o->block_size = BLOCK_BYTES;
	if (!o->cipher)
		o->cipher = LBS_CIPHER_CHACHA20POLY1305;
	if (!o->freshness)
		o->freshness = LBS_FRESHNESS_FLUSH;
	if (o->block_size != BLOCK_BYTES)
		return fail(log, LBS_EINVAL, "the block size must be 4096");
	if (!o->size_bytes || o->size_bytes % 512 ||
	    o->size_bytes > SIZE_MAX_BYTES)
		return fail(log, LBS_EINVAL,
			    "the size must be a multiple of 512 from 512 bytes "
			    "to 16 TiB");
	if (!aead_available(o->cipher))
		return fail(log, LBS_ENOTSUP,
			    "the cipher %s is not available in this build or on "
			    "this processor: use chacha20poly1305",
			    aead_name(o->cipher));
	if (o->compress < LBS_COMPRESS_NONE || o->compress > LBS_COMPRESS_ZSTD)
		return fail(log, LBS_EINVAL, "no such compression");
	if (o->freshness != LBS_FRESHNESS_FLUSH &&
	    o->freshness != LBS_FRESHNESS_CHECKPOINT)
		return fail(log, LBS_EINVAL, "no such freshness");
	return 0;
}

/* Segments and chunk files. By default a quarter more than the data, for the
 * cleaner. */
static int
settle_segments(struct lbs_create_options *o, uint64_t segment_min,
		const struct card_facts *facts, uint64_t log_bytes,
		const struct logger *log)
{
	struct fit fit;

	fit_choose(facts, o->capacity_bytes ? o->capacity_bytes : log_bytes * 5 / 4,
		   o->segment_size_bytes, &fit);
	o->segment_size_bytes = fit.segment_bytes;
	if (!is_power_of_two(o->segment_size_bytes) ||
	    o->segment_size_bytes < segment_min ||
	    o->segment_size_bytes > SEGMENT_BYTES_MAX)
		return fail(log, LBS_EINVAL,
			    "the segment size must be a power of two from %llu "
			    "KiB to 64 MiB", (unsigned long long)segment_min >> 10);
	if (!o->chunk_size_bytes)
		o->chunk_size_bytes = GIB;
	if (o->chunk_size_bytes % o->segment_size_bytes ||
	    o->chunk_size_bytes > CHUNK_BYTES_MAX)
		return fail(log, LBS_EINVAL,
			    "the chunk size must be a multiple of the segment "
			    "size and below 4 GiB");
	return 0;
}

static int
settle_capacity(struct lbs_create_options *o, uint64_t log_bytes,
		const struct logger *log)
{
	uint64_t least;

	if (!o->capacity_bytes) {
		uint64_t base = round_up(log_bytes * 5 / 4, o->segment_size_bytes);

		o->capacity_bytes = base + overhead(base * 9 / 8, o) *
						   o->segment_size_bytes;
	}
	o->capacity_bytes =
		o->capacity_bytes / o->segment_size_bytes * o->segment_size_bytes;
	least = (overhead(o->capacity_bytes, o) + 1) * o->segment_size_bytes;
	if (o->capacity_bytes < least)
		return fail(log, LBS_EINVAL,
			    "the capacity must be at least %llu MiB with "
			    "segments of %llu KiB",
			    (unsigned long long)((least + MIB - 1) / MIB),
			    (unsigned long long)o->segment_size_bytes >> 10);
	if (o->capacity_bytes / o->segment_size_bytes > SEGMENTS_MAX ||
	    o->capacity_bytes / o->chunk_size_bytes >= 65535)
		return fail(log, LBS_EINVAL,
			    "the capacity is too large for such segments and "
			    "chunk files");
	return 0;
}

/* Fills in what was left open and checks what was given. */
static int
settle(struct lbs_create_options *o, uint64_t segment_min,
       const struct card_facts *facts, const struct logger *log)
{
	uint64_t bytes;
	int rc = settle_kind(o, log);

	if (rc)
		return rc;
	bytes = bytes_of_log(round_up(o->size_bytes, BLOCK_BYTES));
	rc = settle_segments(o, segment_min, facts, bytes, log);
	return rc ? rc : settle_capacity(o, bytes, log);
}

/* A disk may be larger than what its card holds: thin. Said once, here. */
static void
warn_if_thin(const struct lbs_create_options *o, const struct logger *log)
{
	uint32_t segment = (uint32_t)o->segment_size_bytes;
	uint64_t fits = room_live_max((uint32_t)(o->capacity_bytes / segment),
				      store_reserve_segments(
					      store_sync_bytes(0, o->capacity_bytes),
					      segment),
				      segment);

	if (fits * BLOCK_BYTES < o->size_bytes)
		warn(log, LBS_ENOSPC,
		     "a capacity of %llu MiB holds %llu MiB of data, less than "
		     "the disk: new blocks get \"no space\" beyond that, what is "
		     "there can be written over",
		     (unsigned long long)(o->capacity_bytes / MIB),
		     (unsigned long long)(fits * BLOCK_BYTES / MIB));
}

static int
make_card_file(const struct store_env *env, const struct sealer *sealer,
	       const struct logger *log)
{
	uint8_t zeroes[CARD_FILE_BYTES] = { 0 };
	struct iovec iov = { zeroes, sizeof zeroes };
	const struct card_sealed fresh = { 0, 0, 0 };
	struct medium *card = env->card;
	int err = card->ops->open(card, MEDIUM_CARD_FILE, MEDIUM_OPEN_CREATE);

	if (!err)
		err = card->ops->pwritev(card, MEDIUM_CARD_FILE, &iov, 1, 0);
	if (!err)
		err = card_file_write(sealer, card, &fresh);
	if (!err)
		err = card->ops->sync_dir(card);
	if (err)
		return fail(log, code_of_errno(err) == LBS_ENOSPC ? LBS_ENOSPC
								  : LBS_EIO,
			    "the card cannot be written (%s): check it",
			    strerror(-err));
	return 0;
}

/* Enough segments for the reserve and a start; with preallocate all. */
static int
fill_first(lbs_store *s, const struct lbs_create_options *o)
{
	uint32_t all = s->geometry.segment_count;
	uint32_t want = o->preallocate ? all
				       : room_overhead(all, s->reserve_segments,
						       s->geometry.segment_bytes) + 1;
	uint32_t filled, free;
	int rc = 0;

	segtab_room(s->segtab, &filled, &free);
	while (filled < want && rc == 0) {
		rc = store_fill_one(s);
		/* The store's own thread may be filling, too. */
		segtab_room(s->segtab, &filled, &free);
		if (rc == LBS_ENOSPC && filled >= want)
			rc = 0;
		if (rc == LBS_ENOSPC)
			rc = fail(&s->log, rc,
				  "the card has no room for the first %u "
				  "segments: make room, or choose a smaller "
				  "capacity", want);
		if (rc == 0 && o->progress &&
		    o->progress(o->progress_ctx,
				(uint64_t)filled * s->geometry.segment_bytes,
				(uint64_t)want * s->geometry.segment_bytes))
			rc = fail(&s->log, LBS_ECANCELLED, "interrupted");
	}
	return rc;
}

/* What the metadata file says of such a store; its id and its place are still to come. */
static struct meta_store
row_of(const struct lbs_create_options *o)
{
	return (struct meta_store){
		.format_version = FORMAT_VERSION,
		.features_must = o->compress == LBS_COMPRESS_LZ4    ? FEATURE_LZ4
				 : o->compress == LBS_COMPRESS_ZSTD ? FEATURE_ZSTD
								    : 0,
		.cipher = o->cipher,
		.freshness = o->freshness,
		.block_size = o->block_size,
		.segment_size = (uint32_t)o->segment_size_bytes,
		.chunk_size = o->chunk_size_bytes,
		.capacity_segments =
			(uint32_t)(o->capacity_bytes / o->segment_size_bytes),
		.created_unix = time(NULL),
	};
}

static int
create_settled(const struct store_env *env, const char *data_dir,
	       const struct lbs_create_options *o)
{
	struct logger log = { o->log, o->log_ctx };
	struct lbs_open_options open = { .struct_size = sizeof open,
					 .log = o->log,
					 .log_ctx = o->log_ctx,
					 .owner = "lbs create" };
	struct meta_store row = row_of(o);
	struct meta_vdisk vdisk = { .name = "disk", .id = 1, .layer = 1,
				    .size_bytes = o->size_bytes };
	struct sealer sealer = { .cipher = o->cipher,
				 .segment_bytes = row.segment_size };
	struct meta *meta = NULL;
	uint8_t *key = NULL;
	lbs_store *s = NULL;
	int rc;

	if (secret_init() || !(key = secret_alloc(DATA_KEY_BYTES)))
		return fail(&log, LBS_ENOMEM, "out of memory");
	if (strlen(data_dir) >= sizeof row.data_dir) {
		rc = fail(&log, LBS_EINVAL, "the data directory's path is too "
			  "long");
		goto out;
	}
	strcpy(row.data_dir, data_dir);
	secret_random(row.store_id, STORE_ID_BYTES);
	secret_random(key, DATA_KEY_BYTES);
	memcpy(sealer.store_id, row.store_id, STORE_ID_BYTES);
	sealer.data_key = key;
	rc = make_card_file(env, &sealer, &log);
	if (rc == 0)
		rc = meta_create(env->meta_path, env->vfs, &row, key, &log,
				 &meta);
	if (rc == 0)
		rc = meta_vdisk_add(meta, &vdisk);
	meta_close(meta);
	if (rc)
		goto out;
	rc = store_open_env(env, &open, &s);
	if (rc == 0)
		rc = fill_first(s, o);
	if (s) {
		int closed = lbs_store_close(s);

		rc = rc ? rc : closed;
	}
out:
	secret_free(key);
	return rc;
}

int
store_create_env(const struct store_env *env, const char *data_dir,
		 const struct lbs_create_options *options)
{
	const struct card_facts unknown = { .fs = CARD_FS_OTHER };
	struct lbs_create_options o = *options;
	struct logger log = { o.log, o.log_ctx };
	int rc = settle(&o, SEGMENT_BYTES_MIN, &unknown, &log);

	return rc ? rc : create_settled(env, data_dir, &o);
}

/* ---- on real file systems ----------------------------------------------- */

static uint64_t
free_bytes(const char *path)
{
	struct statvfs vfs;

	return statvfs(path, &vfs) ? UINT64_MAX
				   : (uint64_t)vfs.f_bavail * vfs.f_frsize;
}

/* Internal flash must have room for the map's worst case (condition 13): 2.2
 * MiB for each GiB of guest data, and the WAL. */
static int
check_room(const char *meta_dir, const char *data_dir,
	   const struct lbs_create_options *o, const struct logger *log)
{
	uint64_t need = o->size_bytes / GIB * 2306867 + 32 * MIB;

	if (free_bytes(meta_dir) < need)
		return fail(log, LBS_EMETAFULL,
			    "internal flash has less than the %llu MiB free that "
			    "the block map may need: make room there",
			    (unsigned long long)(need / MIB));
	if (o->preallocate && free_bytes(data_dir) < o->capacity_bytes)
		return fail(log, LBS_ENOSPC,
			    "the card has less than the capacity of %llu MiB "
			    "free: make room, or choose a smaller one",
			    (unsigned long long)(o->capacity_bytes / MIB));
	if (free_bytes(data_dir) < o->capacity_bytes)
		warn(log, LBS_ENOSPC,
		     "the card has less than the capacity of %llu MiB free: "
		     "writes may get \"no space\" before it is used up",
		     (unsigned long long)(o->capacity_bytes / MIB));
	return 0;
}

struct created {
	char meta[4096], dir[4096];
	int made_dir, made_meta, made_card, made_mark;
};

/* Leaves nothing behind. */
static void
undo(struct created *c, struct medium *card, uint32_t chunks)
{
	static const char *const beside[] = { "", "-wal", "-shm", "-journal",
					      ".run", ".ctl" };
	char path[4200];

	for (size_t i = 0; c->made_meta && i < sizeof beside / sizeof *beside;
	     i++) {
		snprintf(path, sizeof path, "%s%s", c->meta, beside[i]);
		unlink(path);
	}
	if (card && c->made_card) {
		for (uint32_t i = 0; i < chunks; i++)
			if (card->ops->remove(card, i) == -ENOENT)
				break;
		card->ops->remove(card, MEDIUM_CARD_FILE);
	}
	if (c->made_mark) {
		snprintf(path, sizeof path, "%s/.nomedia", c->dir);
		unlink(path);
	}
	if (c->made_dir)
		rmdir(c->dir);
}

static int
code_of_making(int err)
{
	return err == EACCES || err == EPERM || err == EROFS ? LBS_EROFS : LBS_EIO;
}

/* The metadata file's place and an empty file there: SQLite would make it readable
 * by others. */
static int
make_meta_file(struct created *c, const char *path, const struct logger *log)
{
	char copy[4096], name[4096];
	int fd;

	if (strlen(path) >= sizeof copy)
		return fail(log, LBS_EINVAL, "the path is too long");
	strcpy(copy, path);
	strcpy(name, path);
	if (!realpath(dirname(copy), c->meta))
		return fail(log, LBS_ENOENT,
			    "the directory of the metadata file cannot be "
			    "found (%s): make it first", strerror(errno));
	if (strlen(c->meta) + strlen(basename(name)) + 2 > sizeof c->meta)
		return fail(log, LBS_EINVAL, "the path is too long");
	strcat(c->meta, "/");
	strcat(c->meta, basename(name));
	fd = open(c->meta, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(log, errno == EEXIST ? LBS_EEXIST : code_of_making(errno),
			    errno == EEXIST
				    ? "the metadata file exists already: choose "
				      "another name, or remove it"
				    : "the metadata file cannot be made (%s)",
			    strerror(errno));
	close(fd);
	c->made_meta = 1;
	return 0;
}

/* The data directory, made if it is missing; it must hold no store. */
static int
make_data_dir(struct created *c, const char *data_dir, const struct logger *log,
	      struct medium **card)
{
	char mark[4112];
	int err;

	if (strlen(data_dir) >= sizeof c->dir)
		return fail(log, LBS_EINVAL, "the path is too long");
	c->made_dir = access(data_dir, F_OK) != 0;
	snprintf(mark, sizeof mark, "%s/.nomedia", data_dir);
	c->made_mark = access(mark, F_OK) != 0;
	err = medium_posix_open(data_dir, 1, card);
	if (err || !realpath(data_dir, c->dir)) {
		c->made_dir = c->made_dir && !err;
		c->made_mark = c->made_mark && !err;
		err = err ? -err : errno;
		return fail(log, code_of_making(err),
			    "the data directory %s cannot be made or opened "
			    "(%s): %s", data_dir, strerror(err),
			    err == ENOENT ? "mount the card, or make the "
					    "directory above it"
					  : "check the card");
	}
	err = (*card)->ops->open(*card, MEDIUM_CARD_FILE, MEDIUM_OPEN_RDONLY);
	/* Chunk files without a card file are a store's, too. */
	if (err == -ENOENT)
		err = (*card)->ops->open(*card, 0, MEDIUM_OPEN_RDONLY);
	if (err == 0)
		return fail(log, LBS_EEXIST,
			    "the data directory already holds a store: choose "
			    "another directory");
	if (err != -ENOENT)
		return fail(log, LBS_EIO, "the data directory cannot be used "
			    "(%s): check the card", strerror(-err));
	c->made_card = 1;
	return 0;
}

/* Now that the card is there: what it is like, and what follows from that for
 * what was left open. */
static int
fit_card(const struct created *c, const struct lbs_create_options *options,
	 struct lbs_create_options *o, const struct logger *log)
{
	struct card_facts facts;
	char meta_dir[4096];
	struct fit fit;
	int rc;

	medium_probe(c->dir, "/sys", &facts);
	facts.aligned = medium_align(c->dir, &facts, fit_unit(&facts),
				     CARD_FILE_BYTES);
	*o = *options;
	rc = settle(o, MIB, &facts, log);
	if (rc)
		return rc;
	fit_choose(&facts, o->capacity_bytes, options->segment_size_bytes, &fit);
	for (size_t i = 0; i < fit.advice_count; i++)
		warn(log, 0, "%s", fit.advice[i]);
	warn_if_thin(o, log);
	strcpy(meta_dir, c->meta);
	return check_room(dirname(meta_dir), c->dir, o, log);
}

API int
lbs_store_create(const char *path, const char *data_dir,
		 const struct lbs_create_options *options)
{
	const struct card_facts unknown = { .fs = CARD_FS_OTHER };
	struct lbs_create_options o, given;
	struct created c = { .made_dir = 0 };
	struct medium *card = NULL;
	struct logger log;
	int rc;

	if (!path || !data_dir || !options ||
	    grow_in(&o, sizeof o, GROW_CREATE, options))
		return LBS_EINVAL;
	given = o;
	log = (struct logger){ o.log, o.log_ctx };
	/* What is wrong whatever the card is like is told before it is touched. */
	rc = settle(&o, MIB, &unknown, &log);
	if (rc)
		return rc;
	rc = make_meta_file(&c, path, &log);
	if (rc == 0)
		rc = make_data_dir(&c, data_dir, &log, &card);
	if (rc == 0)
		rc = fit_card(&c, &given, &o, &log);
	if (rc == 0) {
		struct store_env env = { .card = card, .meta_path = c.meta };

		rc = create_settled(&env, c.dir, &o);
	}
	if (c.made_card)
		medium_align_end(c.dir);
	if (rc == 0 && o.fill) {
		/* Whoever fills it opens it: the card is not ours meanwhile. */
		card->ops->close(card);
		rc = o.fill(o.fill_ctx);
		if (medium_posix_open(c.dir, 0, &card))
			card = NULL;
	}
	if (rc)
		undo(&c, card, (uint32_t)(o.capacity_bytes /
					  o.chunk_size_bytes + 1));
	if (card)
		card->ops->close(card);
	return rc;
}
