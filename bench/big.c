/*
 * big.c - the bounds on a big volume, measured: the whole engine on real files in
 * memory (/dev/shm), of which only what is read back stays: headers, indexes, and
 * the segments written last. The cipher does nothing.
 * Must never judge: it prints what it saw.
 *
 *   big DIR VDISK_GIB WRITE_GIB
 *
 * One process makes a store, writes single blocks at random, and dies just before a
 * checkpoint is due, with nothing flushed; another opens the store. Of both the
 * memory is told. Lines are "what, value, unit".
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lbs.h"
#include "liblbs/store/internal.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define SEGMENT (16u << 20)
#define WHOLE 4u		/* segments that are kept whole */
#define TAIL (128u << 10)	/* of the others, for the index */

/* ---- the card ------------------------------------------------------------ */

struct big_card {
	struct medium base, *real;
	const char *dir;
	struct place {
		uint32_t file;
		uint64_t at;
	} last[WHOLE];
	unsigned next;
};

static struct big_card *
card_of(struct medium *m)
{
	return (struct big_card *)m;
}

/* Of a segment that is full: what nobody reads back. */
static void
forget(struct big_card *c, const struct place *p)
{
	char name[MEDIUM_NAME_BYTES], path[4200];
	int fd;

	medium_file_name(p->file, name);
	snprintf(path, sizeof path, "%s/%s", c->dir, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)(p->at + PAGE_BYTES),
				SEGMENT - PAGE_BYTES - TAIL)) {
		perror(path);
		exit(1);
	}
	close(fd);
}

/* A segment that is begun makes the one begun some time ago forgotten. */
static void
begin_segment(struct big_card *c, uint32_t file, uint64_t at)
{
	struct place *p = &c->last[c->next++ % WHOLE];

	if (c->next > WHOLE)
		forget(c, p);
	*p = (struct place){ file, at };
}

static int
big_pwritev(struct medium *m, uint32_t file, const struct iovec *iov, int n,
	    uint64_t at)
{
	struct big_card *c = card_of(m);
	static uint8_t zero;
	struct iovec last = { &zero, 1 };
	size_t len = 0;

	/* Filling: zeroes, again and again the same; the file's end will do. */
	if (n > 1 && iov[0].iov_base == iov[1].iov_base) {
		for (int i = 0; i < n; i++)
			len += iov[i].iov_len;
		return c->real->ops->pwritev(c->real, file, &last, 1,
					     at + len - 1);
	}
	if (file != MEDIUM_CARD_FILE && at % SEGMENT == 0)
		begin_segment(c, file, at);
	return c->real->ops->pwritev(c->real, file, iov, n, at);
}

static int
big_open(struct medium *m, uint32_t file, int flags)
{
	return card_of(m)->real->ops->open(card_of(m)->real, file, flags);
}

static int
big_size(struct medium *m, uint32_t file, uint64_t *size)
{
	return card_of(m)->real->ops->size(card_of(m)->real, file, size);
}

static ssize_t
big_pread(struct medium *m, uint32_t file, void *buf, size_t len, uint64_t at)
{
	return card_of(m)->real->ops->pread(card_of(m)->real, file, buf, len, at);
}

static int
big_sync(struct medium *m, uint32_t file)
{
	(void)m, (void)file;
	return 0;
}

static int
big_nothing(struct medium *m)
{
	(void)m;
	return 0;
}

static int
big_remove(struct medium *m, uint32_t file)
{
	return card_of(m)->real->ops->remove(card_of(m)->real, file);
}

static void
big_close(struct medium *m)
{
	card_of(m)->real->ops->close(card_of(m)->real);
}

static const struct medium_ops big_ops = {
	.open = big_open, .size = big_size, .pread = big_pread,
	.pwritev = big_pwritev, .sync = big_sync, .sync_dir = big_nothing,
	.lock = big_nothing, .remove = big_remove, .close = big_close,
};

/* ---- the two processes --------------------------------------------------- */

static char meta[4200], card_dir[4200];

static void
must(int rc, const char *what)
{
	if (rc) {
		fprintf(stderr, "big: %s: %s\n", what, lbs_strerror(rc));
		exit(1);
	}
}

static void
say(void *ctx, int level, int code, const char *sentence)
{
	(void)ctx, (void)code;
	if (level <= LBS_LOG_WARNING)
		fprintf(stderr, "big: %s\n", sentence);
}

static void
tell(const char *what, double value, const char *unit)
{
	printf("%-28s %12.6g  %s\n", what, value, unit);
	fflush(stdout);
}

static void
begin(struct big_card *card, struct store_env *env)
{
	*card = (struct big_card){ .base = { &big_ops }, .dir = card_dir };
	*env = (struct store_env){ .card = &card->base, .meta_path = meta };
	must(medium_posix_open(card_dir, 1, &card->real) ? LBS_EIO : 0, "card");
}

static double
held_mib(void)
{
	char wal[4210];
	struct stat a, b = { 0 };

	snprintf(wal, sizeof wal, "%s-wal", meta);
	must(stat(meta, &a) ? LBS_EIO : 0, "metadata");
	(void)stat(wal, &b);
	return (double)(a.st_size + b.st_size) / (double)MIB;
}

static uint64_t
draw(uint64_t below)
{
	static uint64_t seed = 88172645463325252ull;

	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (seed * 2685821657736338717ull >> 16) % below;
}

static void
write_block(lbs_vdisk *v, uint64_t blocks)
{
	static const uint8_t block[BLOCK_BYTES];

	must(lbs_vdisk_write(v, block, sizeof block,
			     draw(blocks) * BLOCK_BYTES, 0),
	     "write");
}

static void
work(uint64_t vdisk, uint64_t bytes)
{
	struct lbs_create_options create = { .struct_size = sizeof create,
					     .size_bytes = vdisk,
					     .segment_size_bytes = SEGMENT,
					     .log = say };
	struct lbs_open_options open = { .struct_size = sizeof open, .log = say };
	uint64_t s[LBS_STAT_COUNT], flash = 0, done, count;
	double worst = 0, held = 0;
	struct big_card card;
	struct store_env env;
	lbs_store *store;
	lbs_vdisk *v;

	begin(&card, &env);
	must(store_create_env(&env, card_dir, &create), "create");
	must(store_open_env(&env, &open, &store), "open");
	must(lbs_vdisk_open(store, NULL, &v), "open the vdisk");
	for (done = 0; done < bytes; done += BLOCK_BYTES) {
		write_block(v, vdisk / BLOCK_BYTES);
		if (done % (16 * MIB) == 0 && held_mib() > held)
			held = held_mib();
		if (done % GIB != GIB - BLOCK_BYTES)
			continue;
		lbs_store_stat(store, s);
		if (100. * (double)(s[LBS_STAT_META_BYTES] - flash) / GIB > worst)
			worst = 100. * (double)(s[LBS_STAT_META_BYTES] - flash) /
				GIB;
		flash = s[LBS_STAT_META_BYTES];
	}
	/* As far from a checkpoint as can be. */
	lbs_store_stat(store, s);
	tell("internal flash, mean", 100. * (double)flash / (double)bytes,
	     "% of the guest's bytes");
	tell("internal flash, worst GiB", worst, "%");
	count = s[LBS_STAT_CHECKPOINTS];
	do {
		write_block(v, vdisk / BLOCK_BYTES);
		lbs_store_stat(store, s);
	} while (s[LBS_STAT_CHECKPOINTS] == count);
	tell("mapped", (double)s[LBS_STAT_LIVE_BLOCKS] * BLOCK_BYTES / GIB, "GiB");
	tell("held by internal flash", held, "MiB, at most");
	tell("the same, per GiB mapped", held_mib() * GIB / BLOCK_BYTES /
	     (double)s[LBS_STAT_LIVE_BLOCKS], "MiB, at the end");
	for (done = 0; done < 510 * MIB; done += FRAME_BYTES + 88 + INDEX_ENTRY_BYTES)
		write_block(v, vdisk / BLOCK_BYTES);
	lbs_store_stat(store, s);
	must(s[LBS_STAT_CHECKPOINTS] == count + 1 ? 0 : LBS_EINTERNAL,
	     "a checkpoint came too early");
	tell("map, at most", (double)s[LBS_STAT_MAP_BYTES_PEAK] / MIB, "MiB");
	tell("map, limit", (double)s[LBS_STAT_MAP_LIMIT_BYTES] / MIB, "MiB");
	tell("segments", (double)s[LBS_STAT_SEGMENTS_TOTAL], "of 16 MiB");
	store_abandon(store);
}

static double
seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void
open_again(void)
{
	struct lbs_open_options open = { .struct_size = sizeof open, .log = say };
	double wall = seconds(CLOCK_MONOTONIC);
	double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	uint64_t s[LBS_STAT_COUNT];
	struct big_card card;
	struct store_env env;
	lbs_store *store;

	begin(&card, &env);
	must(store_open_env(&env, &open, &store), "open again");
	tell("opening", seconds(CLOCK_MONOTONIC) - wall, "s, on files in memory");
	tell("opening, CPU", seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu,
	     "s, without the cipher");
	lbs_store_stat(store, s);
	tell("records rolled forward", (double)s[LBS_STAT_REPLAY_RECORDS], "");
	tell("of these written again",
	     (double)s[LBS_STAT_REPLAY_REWRITTEN_RECORDS], "");
	tell("read from the card", (double)s[LBS_STAT_REPLAY_BYTES_READ] / MIB,
	     "MiB");
	tell("map, opening", (double)s[LBS_STAT_MAP_BYTES_PEAK] / MIB, "MiB");
	store_abandon(store);
}

/* In a process of its own, so that its memory can be told. */
static void
apart(const char *what, uint64_t vdisk, uint64_t bytes)
{
	struct rusage used;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (bytes)
			work(vdisk, bytes);
		else
			open_again();
		exit(0);
	}
	if (pid < 0 || wait4(pid, &status, 0, &used) != pid || status) {
		fprintf(stderr, "big: %s failed\n", what);
		exit(1);
	}
	tell(what, (double)used.ru_maxrss / 1024, "MiB resident, at most");
}

int
main(int argc, char **argv)
{
	uint64_t vdisk = argc == 4 ? strtoull(argv[2], NULL, 10) * GIB : 0;
	uint64_t bytes = argc == 4 ? strtoull(argv[3], NULL, 10) * GIB : 0;

	if (!vdisk || !bytes) {
		fprintf(stderr, "usage: big DIR VDISK_GIB WRITE_GIB\n");
		return 2;
	}
	snprintf(meta, sizeof meta, "%s/corp.lbs", argv[1]);
	snprintf(card_dir, sizeof card_dir, "%s/card", argv[1]);
	apart("memory while writing", vdisk, bytes);
	apart("memory while opening", vdisk, 0);
	return 0;
}
