/*
 * micro.c - measures liblbs linked directly, one figure a line. Must never
 * judge: a benchmark prints what it saw, micro.sh sets the targets beside it.
 *
 * Output: tab-separated lines "name median low high rounds unit". Rates come
 * from rounds that alternate with the cipher alone, so that both see the same
 * machine; counters come from lbs_store_stat and are exact.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crypto/aead.h"
#include "crypto/secret.h"
#include "lbs.h"

#define BLOCK 4096u
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define ROUNDS_MAX 64

static void
die(const char *what, int rc)
{
	fprintf(stderr, "micro: %s: %s\n", what, lbs_strerror(rc));
	exit(1);
}

static void
must(int rc, const char *what)
{
	if (rc)
		die(what, rc);
}

static void
say(void *ctx, int level, int code, const char *sentence)
{
	(void)ctx;
	(void)code;
	if (level <= LBS_LOG_WARNING)
		fprintf(stderr, "micro: %s\n", sentence);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* xorshift64*: what is drawn is the same in every run. */
static uint64_t seed = 88172645463325252ull;

static uint64_t
draw(uint64_t below)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (seed * 2685821657736338717ull >> 16) % below;
}

/* ---- figures ----------------------------------------------------------- */

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
figure(const char *name, double *v, int n, const char *unit)
{
	qsort(v, (size_t)n, sizeof *v, ascending);
	printf("%s\t%.6g\t%.6g\t%.6g\t%d\t%s\n", name,
	       n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2, v[0],
	       v[n - 1], n, unit);
	fflush(stdout);
}

static void
exact(const char *name, double v, const char *unit)
{
	figure(name, &v, 1, unit);
}

/* ---- a store ----------------------------------------------------------- */

struct bench {
	char meta[4096], wal[4112], data[4096];
	uint64_t size_bytes;
	lbs_store *store;
	lbs_vdisk *disk;
	uint64_t before[LBS_STAT_COUNT];
};

/* The first use of a place must not find an older store there. */
static void
place(struct bench *b, const char *meta_dir, const char *data_dir)
{
	snprintf(b->meta, sizeof b->meta, "%s/bench.lbs", meta_dir);
	snprintf(b->wal, sizeof b->wal, "%s-wal", b->meta);
	snprintf(b->data, sizeof b->data, "%s/card", data_dir);
}

static void
open_store(struct bench *b)
{
	struct lbs_open_options o = { .struct_size = sizeof o,
				      .owner = "micro", .log = say };

	must(lbs_store_open(b->meta, &o, &b->store), "open");
	must(lbs_vdisk_open(b->store, NULL, &b->disk), "open the vdisk");
}

static void
make_store(struct bench *b, uint64_t size, uint64_t capacity, int preallocate)
{
	struct lbs_create_options o = { .struct_size = sizeof o,
					.size_bytes = size,
					.capacity_bytes = capacity,
					.preallocate = preallocate,
					.log = say };

	b->size_bytes = size;
	must(lbs_store_create(b->meta, b->data, &o), "create");
	open_store(b);
}

static void
close_store(struct bench *b)
{
	lbs_vdisk_close(b->disk);
	must(lbs_store_close(b->store), "close");
}

static void
mark(struct bench *b)
{
	lbs_store_stat(b->store, b->before);
}

static uint64_t
since(struct bench *b, int stat)
{
	uint64_t v[LBS_STAT_COUNT];

	lbs_store_stat(b->store, v);
	return v[stat] - b->before[stat];
}

static uint64_t
file_bytes(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (uint64_t)st.st_size;
}

static uint8_t *data_blocks; /* what is written: random, longer than a cache */
#define DATA_BLOCKS 4096u

static const uint8_t *
some_block(uint64_t i)
{
	return data_blocks + i % DATA_BLOCKS * BLOCK;
}

static void
write_random(struct bench *b, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		must(lbs_vdisk_write(b->disk, some_block(i), BLOCK,
				     draw(b->size_bytes / BLOCK) * BLOCK, 0),
		     "write");
}

static void
write_sequential(struct bench *b, uint64_t from, uint64_t len)
{
	for (uint64_t at = 0; at < len; at += MIB)
		must(lbs_vdisk_write(b->disk, data_blocks, MIB, from + at, 0),
		     "write");
}

static void
read_random(struct bench *b, uint64_t count)
{
	uint8_t block[BLOCK];

	for (uint64_t i = 0; i < count; i++)
		must(lbs_vdisk_read(b->disk, block, BLOCK,
				    draw(b->size_bytes / BLOCK) * BLOCK),
		     "read");
}

/* ---- how fast ---------------------------------------------------------- */

/* Blocks a second of the cipher alone, sealing or opening 4 KiB. */
static double
cipher_rate(uint64_t count, int opening)
{
	static uint8_t sealed[BLOCK + AEAD_TAG_BYTES], plain[BLOCK];
	uint8_t key[AEAD_KEY_BYTES] = { 1 }, ad[16] = { 2 };
	uint8_t nonce[AEAD_NONCE_BYTES] = { 3 };
	double begun;

	aead_seal(LBS_CIPHER_CHACHA20POLY1305, key, nonce, ad, sizeof ad,
		  some_block(0), BLOCK, sealed);
	begun = now();
	for (uint64_t i = 0; i < count; i++)
		if (opening
			    ? aead_open(LBS_CIPHER_CHACHA20POLY1305, key, nonce,
					ad, sizeof ad, sealed, sizeof sealed,
					plain)
			    : aead_seal(LBS_CIPHER_CHACHA20POLY1305, key, nonce,
					ad, sizeof ad, some_block(i), BLOCK,
					sealed))
			die("the cipher", LBS_EINTERNAL);
	return (double)count / (now() - begun);
}

/* Random writes and reads against the cipher, in alternating rounds. */
static void
speed(const char *dir, int rounds, uint64_t count)
{
	static double wr[ROUNDS_MAX], rd[ROUNDS_MAX], seal[ROUNDS_MAX];
	static double open[ROUNDS_MAX], ws[ROUNDS_MAX], rs[ROUNDS_MAX];
	struct bench b;
	double begun;

	place(&b, dir, dir);
	make_store(&b, GIB, 2 * GIB + (uint64_t)(rounds + 2) * count * 4300, 1);
	write_sequential(&b, 0, GIB);
	write_random(&b, count);
	must(lbs_store_checkpoint(b.store), "checkpoint");
	for (int r = 0; r < rounds; r++) {
		seal[r] = cipher_rate(count, 0);
		begun = now();
		write_random(&b, count);
		wr[r] = (double)count / (now() - begun);
		open[r] = cipher_rate(count, 1);
		begun = now();
		read_random(&b, count);
		rd[r] = (double)count / (now() - begun);
		ws[r] = 100 * wr[r] / seal[r];
		rs[r] = 100 * rd[r] / open[r];
	}
	close_store(&b);
	figure("write_share", ws, rounds, "% of the cipher");
	figure("read_share", rs, rounds, "% of the cipher");
	figure("write_rate", wr, rounds, "blocks/s");
	figure("seal_rate", seal, rounds, "blocks/s");
	figure("read_rate", rd, rounds, "blocks/s");
	figure("open_rate", open, rounds, "blocks/s");
}

/* ---- how small ---------------------------------------------------------- */

/* Writes of one block, each with its flush. */
static void
lone(const char *dir, uint64_t count)
{
	struct bench b;

	place(&b, dir, dir);
	make_store(&b, GIB, 0, 0);
	write_random(&b, 1);
	must(lbs_vdisk_flush(b.disk), "flush");
	mark(&b);
	for (uint64_t i = 0; i < count; i++) {
		write_random(&b, 1);
		must(lbs_vdisk_flush(b.disk), "flush");
	}
	exact("lone_card_bytes",
	      (double)since(&b, LBS_STAT_CARD_LOG_BYTES) / (double)count,
	      "bytes");
	exact("lone_card_syncs",
	      (double)since(&b, LBS_STAT_CARD_SYNCS) / (double)count, "syncs");
	exact("lone_meta_commits",
	      (double)since(&b, LBS_STAT_META_ANCHORS) / (double)count,
	      "commits");
	exact("lone_meta_bytes",
	      (double)since(&b, LBS_STAT_META_ANCHOR_BYTES) / (double)count,
	      "bytes");
	close_store(&b);
}

/* bytes of guest data written to a vdisk of so many GiB, randomly or in order:
 * what the card and internal flash take for it. */
static void
sustained(const char *meta_dir, const char *data_dir, uint64_t vdisk_gib,
	  uint64_t bytes, int random)
{
	struct bench b;
	char name[64];
	double guest = (double)bytes;

	place(&b, meta_dir, data_dir);
	make_store(&b, vdisk_gib * GIB, bytes / 16 * 17 + 512 * MIB, 0);
	mark(&b);
	if (random)
		write_random(&b, bytes / BLOCK);
	else
		write_sequential(&b, 0, bytes);
	must(lbs_store_checkpoint(b.store), "checkpoint");
	snprintf(name, sizeof name, "%s_%" PRIu64 "_card",
		 random ? "random" : "sequential", vdisk_gib);
	exact(name, (double)since(&b, LBS_STAT_CARD_LOG_BYTES) / guest,
	      "bytes per guest byte");
	snprintf(name, sizeof name, "%s_%" PRIu64 "_flash",
		 random ? "random" : "sequential", vdisk_gib);
	exact(name,
	      100 * ((double)since(&b, LBS_STAT_META_BYTES) -
		     (double)since(&b, LBS_STAT_META_ANCHOR_BYTES)) / guest,
	      "% of the guest's bytes");
	snprintf(name, sizeof name, "%s_%" PRIu64 "_held",
		 random ? "random" : "sequential", vdisk_gib);
	exact(name,
	      (double)(file_bytes(b.meta) + file_bytes(b.wal)) / (double)MIB /
		      (guest / (double)GIB),
	      "MiB on flash per GiB written");
	close_store(&b);
}

/* A process that dies after writing bytes: what the next opening reads. */
static void
replay(const char *dir, uint64_t bytes)
{
	uint64_t v[LBS_STAT_COUNT];
	struct bench b;
	pid_t child;
	int status;

	place(&b, dir, dir);
	make_store(&b, 8 * GIB, bytes * 2 + GIB, 0);
	close_store(&b);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		open_store(&b);
		write_random(&b, bytes / BLOCK);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		die("the writer", LBS_EINTERNAL);
	open_store(&b);
	lbs_store_stat(b.store, v);
	exact("replay_log", (double)bytes / (double)MIB, "MiB written before");
	exact("replay_read",
	      (double)v[LBS_STAT_REPLAY_BYTES_READ] / (double)MIB, "MiB read");
	exact("replay_records", (double)v[LBS_STAT_REPLAY_RECORDS], "records");
	exact("replay_rewritten",
	      (double)v[LBS_STAT_REPLAY_REWRITTEN_RECORDS], "records");
	close_store(&b);
}

static int
usage(void)
{
	fprintf(stderr, "micro speed DIR ROUNDS COUNT | lone DIR COUNT | "
			"random|sequential META_DIR DATA_DIR VDISK_GIB MIB | "
			"replay DIR MIB\n");
	return 2;
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	uint64_t n[6] = { 0 };

	for (int i = 2; i < argc && i < 8; i++)
		n[i - 2] = strtoull(argv[i], NULL, 10);
	must(secret_init() ? LBS_EINTERNAL : 0, "libsodium");
	data_blocks = malloc(DATA_BLOCKS * BLOCK);
	if (!data_blocks)
		die("memory", LBS_ENOMEM);
	secret_random(data_blocks, DATA_BLOCKS * BLOCK);
	if (!strcmp(what, "speed") && argc == 5 && n[1] && n[1] <= ROUNDS_MAX)
		speed(argv[2], (int)n[1], n[2]);
	else if (!strcmp(what, "lone") && argc == 4)
		lone(argv[2], n[1]);
	else if ((!strcmp(what, "random") || !strcmp(what, "sequential")) &&
		 argc == 6)
		sustained(argv[2], argv[3], n[2], n[3] * MIB,
			  what[0] == 'r');
	else if (!strcmp(what, "replay") && argc == 4)
		replay(argv[2], n[1] * MIB);
	else
		return usage();
	free(data_blocks);
	return 0;
}
