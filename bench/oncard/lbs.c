/*
 * lbs.c - a store on modelled cards: the real engine, whose card is the host's
 * page cache. Its chunk files lie on the card one after the other, aligned to
 * the allocation unit, and were written whole when the store was made
 * (--preallocate). Internal flash is a file in memory: counted, and not part of
 * the card's time.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/idle.h"
#include "bench/oncard/blocks.h"
#include "bench/oncard/target.h"
#include "bench/thin.h"
#include "lbs.h"
#include "liblbs/store/fit.h"
#include "liblbs/store/internal.h"

#define CHUNK_BYTES (1ull << 30)
#define CHUNKS_MAX  64

struct store {
	struct target base;
	struct medium medium;
	struct thin thin;
	uint8_t card_file[CARD_FILE_BYTES];
	uint64_t sizes[CHUNKS_MAX];
	char dir[64];
	lbs_store *lbs;
	lbs_vdisk *vdisk;
	int compress;
	_Atomic uint64_t seed; /* of what is written next */
	uint64_t before[LBS_STAT_COUNT];
};

static struct store *
store_of(struct medium *m)
{
	return (struct store *)((char *)m - offsetof(struct store, medium));
}

static void
must(int rc, const char *what)
{
	if (rc) {
		fprintf(stderr, "oncard: %s: %s\n", what, lbs_strerror(rc));
		exit(1);
	}
}

/* ---- the medium -------------------------------------------------------- */

static int
card_open(struct medium *m, uint32_t file, int flags)
{
	if (file == MEDIUM_CARD_FILE)
		return 0;
	if (file >= CHUNKS_MAX)
		return -ENOSPC;
	return !store_of(m)->sizes[file] && !(flags & MEDIUM_OPEN_CREATE)
		       ? -ENOENT
		       : 0;
}

static int
card_size(struct medium *m, uint32_t file, uint64_t *size)
{
	*size = file == MEDIUM_CARD_FILE ? CARD_FILE_BYTES
					 : store_of(m)->sizes[file];
	return 0;
}

static ssize_t
card_pread(struct medium *m, uint32_t file, void *buf, size_t len, uint64_t at)
{
	struct store *s = store_of(m);

	if (file == MEDIUM_CARD_FILE) {
		memcpy(buf, s->card_file + at, len);
		return (ssize_t)len;
	}
	at += file * CHUNK_BYTES;
	host_read(s->base.host, s->base.host->base + at, len);
	thin_copy(&s->thin, at, buf, len, 0);
	return (ssize_t)len;
}

/* The card answers one command at a time: what was asked for is read at once. */
static void
card_prefetch(struct medium *m, uint32_t file, uint64_t at, size_t len)
{
	struct store *s = store_of(m);

	if (file != MEDIUM_CARD_FILE)
		host_read(s->base.host,
			  s->base.host->base + file * CHUNK_BYTES + at, len);
}

/* One call is one write to the kernel, also of several vectors. */
static int
card_pwritev(struct medium *m, uint32_t file, const struct iovec *iov, int n,
	     uint64_t at)
{
	struct store *s = store_of(m);
	uint64_t base = s->base.host->base + file * CHUNK_BYTES, from = at;

	for (int i = 0; i < n; i++) {
		if (file == MEDIUM_CARD_FILE)
			memcpy(s->card_file + at, iov[i].iov_base,
			       iov[i].iov_len);
		else
			thin_copy(&s->thin, file * CHUNK_BYTES + at,
				  iov[i].iov_base, iov[i].iov_len, 1);
		at += iov[i].iov_len;
	}
	if (file == MEDIUM_CARD_FILE)
		return 0;
	host_write(s->base.host, base + from, at - from);
	if (at > s->sizes[file])
		s->sizes[file] = at;
	return 0;
}

static int
card_sync(struct medium *m, uint32_t file)
{
	struct host *h = store_of(m)->base.host;

	if (file != MEDIUM_CARD_FILE)
		host_sync(h, h->base + file * CHUNK_BYTES, CHUNK_BYTES);
	return 0;
}

static const struct medium_ops card_ops = {
	.open = card_open,
	.size = card_size,
	.pread = card_pread,
	.pwritev = card_pwritev,
	.prefetch = card_prefetch,
	.sync = card_sync,
	.sync_dir = idle_card,
	.lock = idle_card,
	.remove = idle_file,
	.close = idle_close,
};

/* ---- the target -------------------------------------------------------- */

static void
lbs_write(struct target *t, uint64_t offset, uint32_t len)
{
	static __thread uint8_t buf[1 << 20];
	struct store *s = (struct store *)t;
	uint64_t random;

	if (s->compress) {
		random = atomic_fetch_add(&s->seed, 1) << 16;
		blocks_fill(&random, s->compress, buf, len);
	}
	must(lbs_vdisk_write(s->vdisk, buf, len, offset, 0),
	     "write");
}

static void
lbs_read(struct target *t, uint64_t offset, uint32_t len)
{
	static __thread uint8_t buf[1 << 20];

	must(lbs_vdisk_read(((struct store *)t)->vdisk, buf, len, offset),
	     "read");
}

static void
lbs_flush(struct target *t)
{
	must(lbs_vdisk_flush(((struct store *)t)->vdisk), "flush");
}

static void
lbs_settle(struct target *t)
{
	must(lbs_store_clean(((struct store *)t)->lbs, 0, NULL, NULL), "clean");
}

/* Everything that is counted from now on, beside the gauges. */
static void
lbs_report(struct target *t, json_t *to)
{
	struct store *s = (struct store *)t;
	uint64_t now[LBS_STAT_COUNT];

	lbs_store_stat(s->lbs, now);
	/* Frames that the cleaner could not use: then this measures nothing. */
	must(now[LBS_STAT_INTEGRITY_ERRORS] ? LBS_EDAMAGED : 0, "clean");
	for (int i = 0; i < LBS_STAT_SEGMENTS_TOTAL; i++)
		json_object_set_new(
			to, lbs_stat_name(i),
			json_integer((json_int_t)(now[i] - s->before[i])));
	for (int i = LBS_STAT_SEGMENTS_TOTAL; i <= LBS_STAT_LIVE_BLOCKS_MAX;
	     i++)
		json_object_set_new(to, lbs_stat_name(i),
				    json_integer((json_int_t)now[i]));
	json_object_set_new(to, "segment_bytes",
			    json_integer(s->thin.segment_bytes));
	memcpy(s->before, now, sizeof now);
}

static void
lbs_close(struct target *t)
{
	struct store *s = (struct store *)t;
	char command[96];

	lbs_vdisk_close(s->vdisk);
	must(lbs_store_close(s->lbs), "close");
	snprintf(command, sizeof command, "rm -r %s", s->dir);
	if (system(command))
		fprintf(stderr, "oncard: %s is left behind\n", s->dir);
	thin_free(&s->thin);
	free(s);
}

static void
say(void *ctx, int level, int code, const char *sentence)
{
	(void)ctx, (void)code;
	if (level <= LBS_LOG_WARNING)
		fprintf(stderr, "oncard: %s\n", sentence);
}

/* As `lbs create` chooses it for a log of that capacity, as root, who is told where
 * files lie. */
static uint32_t
auto_segment(const struct host *h, uint64_t capacity)
{
	struct card_facts facts = {
		.fs = CARD_FS_VFAT,
		.has_partition = 1,
		.card_bytes = sdcard_size(h->card[0]),
		.unit_bytes = sdcard_params_of(h->card[0])->au_bytes,
	};
	struct fit fit;

	facts.aligned = h->base % facts.unit_bytes == 0;
	fit_choose(&facts, capacity, 0, &fit);
	return (uint32_t)fit.segment_bytes;
}

/* So many segments that the disk's blocks are their utilisation. */
static uint64_t
capacity_for(const struct host *h, const struct target_lbs *how,
	     uint32_t *segment)
{
	double blocks = (double)how->disk_bytes / BLOCK_BYTES, segments;

	*segment = (uint32_t)how->segment_bytes;
	if (!*segment)
		*segment = auto_segment(h, (uint64_t)((double)how->disk_bytes *
						      1.03 / how->utilisation));
	segments = blocks / how->utilisation / room_segment_blocks(*segment);
	return (uint64_t)(segments + 0.5) * *segment;
}

struct target *
target_lbs(struct host *h, const struct target_lbs *how)
{
	struct store *s = calloc(1, sizeof *s);
	struct store_env env = { .threads = how->threads };
	struct lbs_create_options create = { .struct_size = sizeof create,
					     .log = say,
					     .preallocate = 1,
					     .size_bytes = how->disk_bytes,
					     .chunk_size_bytes = CHUNK_BYTES };
	struct lbs_open_options open = { .struct_size = sizeof open,
					 .log = say };
	uint32_t segment;
	char path[80];

	if (!s)
		must(LBS_ENOMEM, "memory");
	s->base = (struct target){ .write = lbs_write,
				   .read = lbs_read,
				   .flush = lbs_flush,
				   .settle = lbs_settle,
				   .report = lbs_report,
				   .close = lbs_close,
				   .host = h };
	s->medium.ops = &card_ops;
	create.capacity_bytes = capacity_for(h, how, &segment);
	create.segment_size_bytes = segment;
	if (h->base + create.capacity_bytes > sdcard_size(h->card[0]) ||
	    create.capacity_bytes > CHUNKS_MAX * CHUNK_BYTES) {
		fprintf(stderr, "oncard: the card is too small for a disk of "
				"this size at this utilisation\n");
		exit(1);
	}
	/* The cleaner needs to be told the lengths of frames. */
	s->compress = create.compress = how->compress;
	if (thin_init(&s->thin, create.capacity_bytes, segment,
		      how->compress != LBS_COMPRESS_NONE))
		must(LBS_ENOMEM, "memory");
	snprintf(s->dir, sizeof s->dir, "/dev/shm/lbs-oncard.XXXXXX");
	if (!mkdtemp(s->dir))
		must(LBS_EIO, s->dir);
	snprintf(path, sizeof path, "%s/corp.lbs", s->dir);
	env.card = &s->medium;
	env.meta_path = path;
	must(store_create_env(&env, "/card", &create), "create");
	must(store_open_env(&env, &open, &s->lbs), "open");
	must(lbs_vdisk_open(s->lbs, NULL, &s->vdisk), "open the vdisk");
	return &s->base;
}
