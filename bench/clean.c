/*
 * clean.c - the cleaner in steady state: the real engine over a card that keeps
 * only what the engine reads back (headers, indexes) and a cipher that does
 * nothing, on a clock that counts what the card is asked to do.
 * Must never judge, and never count what the guest did not ask for as its own:
 * prints write amplification beside theory and simulation.
 *
 *   clean [--json FILE]     QUICK=1: fewer segments and fills
 *                           SEGMENT_MIB=, SEGMENTS=: others than 1500 of 1 MiB
 *
 * Utilisation is live blocks by the blocks that all segments hold, reserves
 * included. A fill is as many writes as there are live blocks; skewed, nine in ten
 * go to a tenth of them. The card's model: a write takes 300 us and 40 ns a byte, a
 * read 200 us and 15 ns, a sync nothing; a write's latency is what was asked of
 * the card during its call. Internal flash is a file in /dev/shm.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/idle.h"
#include "bench/kit.h"
#include "bench/thin.h"
#include "lbs.h"
#include "liblbs/store/internal.h"

#define CHUNK (64u * MIB)

static uint32_t segment_bytes = MIB;

/* ---- the card ------------------------------------------------------------ */

struct thin_card {
	struct medium base;
	struct thin thin;
	uint8_t card_file[CARD_FILE_BYTES];
	uint64_t sizes[4096];
	uint64_t clock_ns;
};

static int
thin_open(struct medium *m, uint32_t file, int flags)
{
	struct thin_card *t = (struct thin_card *)m;

	if (file != MEDIUM_CARD_FILE && !t->sizes[file] &&
	    !(flags & MEDIUM_OPEN_CREATE))
		return -ENOENT;
	return 0;
}

static int
thin_size(struct medium *m, uint32_t file, uint64_t *size)
{
	*size = ((struct thin_card *)m)->sizes[file];
	return 0;
}

static ssize_t
thin_pread(struct medium *m, uint32_t file, void *buf, size_t len,
	   uint64_t offset)
{
	struct thin_card *t = (struct thin_card *)m;

	if (file == MEDIUM_CARD_FILE) {
		memcpy(buf, t->card_file + offset, len);
		return (ssize_t)len;
	}
	t->clock_ns += 200000 + 15 * len;
	thin_copy(&t->thin, file * (uint64_t)CHUNK + offset, buf, len, 0);
	return (ssize_t)len;
}

static int
thin_pwritev(struct medium *m, uint32_t file, const struct iovec *iov, int n,
	     uint64_t offset)
{
	struct thin_card *t = (struct thin_card *)m;

	t->clock_ns += file == MEDIUM_CARD_FILE ? 0 : 300000;
	for (int i = 0; i < n; i++) {
		if (file == MEDIUM_CARD_FILE) {
			memcpy(t->card_file + offset, iov[i].iov_base,
			       iov[i].iov_len);
		} else {
			t->clock_ns += 40 * iov[i].iov_len;
			thin_copy(&t->thin, file * (uint64_t)CHUNK + offset,
				  iov[i].iov_base, iov[i].iov_len, 1);
			if (offset + iov[i].iov_len > t->sizes[file])
				t->sizes[file] = offset + iov[i].iov_len;
		}
		offset += iov[i].iov_len;
	}
	return 0;
}

static const struct medium_ops thin_ops = {
	.open = thin_open, .size = thin_size, .pread = thin_pread,
	.pwritev = thin_pwritev, .sync = idle_file, .sync_dir = idle_card,
	.lock = idle_card, .remove = idle_file, .close = idle_close,
};

/* ---- a run --------------------------------------------------------------- */

struct run {
	uint32_t segments;
	double utilisation;
	int skewed, warm, measured;
	/* results */
	double blocks, bytes;	/* write amplification, of either */
	double median_us, p999_us, max_us, p999_wall_us;
	double internal;	/* bytes to internal flash by the guest's */
	double read_aged, read_cleaned; /* MB/s in sequence, on the clock */
	double seconds;
};

static uint64_t seed;

static uint64_t
wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t
next_block(const struct run *r, uint64_t blocks)
{
	uint64_t hot = blocks / 10;

	if (!r->skewed)
		return draw_from(&seed, blocks);
	return draw_from(&seed, 10) ? draw_from(&seed, hot) : hot + draw_from(&seed, blocks - hot);
}

static int
ascending(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double
read_in_sequence(struct thin_card *t, lbs_vdisk *v, uint64_t blocks)
{
	static uint8_t buf[MIB];
	uint64_t begun = t->clock_ns, at, n;

	for (at = 0; at < blocks * BLOCK_BYTES; at += n) {
		n = blocks * BLOCK_BYTES - at < MIB ? blocks * BLOCK_BYTES - at
						    : MIB;
		must(lbs_vdisk_read(v, buf, n, at), "read");
	}
	return (double)blocks * BLOCK_BYTES * 1e3 /
	       (double)(t->clock_ns - begun);
}

static void
work(struct run *r, struct thin_card *t, lbs_store *s, lbs_vdisk *v,
     uint64_t blocks)
{
	static uint8_t block[BLOCK_BYTES];
	uint64_t n = blocks * (uint64_t)r->measured, before[LBS_STAT_COUNT];
	uint64_t after[LBS_STAT_COUNT], guest = n * BLOCK_BYTES;
	uint32_t *us = malloc(n * sizeof *us), *wall = malloc(n * sizeof *wall);

	if (!us || !wall)
		must(LBS_ENOMEM, "memory");
	for (uint64_t i = 0; i < blocks; i++)
		must(lbs_vdisk_write(v, block, sizeof block, i * BLOCK_BYTES, 0),
		     "fill");
	for (uint64_t i = 0; i < blocks * (uint64_t)r->warm; i++)
		must(lbs_vdisk_write(v, block, sizeof block,
				     next_block(r, blocks) * BLOCK_BYTES, 0),
		     "write");
	lbs_store_stat(s, before);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t lba = next_block(r, blocks), clock = t->clock_ns;
		uint64_t w = wall_ns();

		must(lbs_vdisk_write(v, block, sizeof block, lba * BLOCK_BYTES,
				     0), "write");
		us[i] = (uint32_t)((t->clock_ns - clock) / 1000);
		wall[i] = (uint32_t)((wall_ns() - w) / 1000);
	}
	lbs_store_stat(s, after);
#define DELTA(k) ((double)(after[LBS_STAT_##k] - before[LBS_STAT_##k]))
	r->blocks = 1 + DELTA(CLEANED_BLOCKS) / (double)n;
	r->bytes = (DELTA(CARD_LOG_BYTES) + DELTA(CARD_CLEAN_BYTES)) /
		   (double)guest;
	r->internal = DELTA(META_BYTES) / (double)guest;
	qsort(us, n, sizeof *us, ascending);
	qsort(wall, n, sizeof *wall, ascending);
	r->median_us = us[n / 2];
	r->p999_us = us[n - n / 1000 - 1];
	r->max_us = us[n - 1];
	r->p999_wall_us = wall[n - n / 1000 - 1];
	free(us);
	free(wall);
	r->read_aged = read_in_sequence(t, v, blocks);
	must(lbs_store_clean(s, 0, NULL, NULL), "clean");
	r->read_cleaned = read_in_sequence(t, v, blocks);
}

static void
remove_dir(const char *dir)
{
	char command[64];

	snprintf(command, sizeof command, "rm -r %s", dir);
	if (system(command))
		fprintf(stderr, "clean: %s is left behind\n", dir);
}

static void
run(struct run *r)
{
	struct thin_card *t = calloc(1, sizeof *t);
	char dir[] = "/dev/shm/lbs-clean.XXXXXX", path[64];
	struct store_env env = { .card = &t->base, .sync_bytes = MIB };
	struct lbs_create_options create = { .struct_size = sizeof create,
					     .log = say };
	struct lbs_open_options open = { .struct_size = sizeof open,
					 .log = say };
	uint64_t blocks = (uint64_t)(r->utilisation * r->segments *
				     room_segment_blocks(segment_bytes)), begun;
	uint64_t stat[LBS_STAT_COUNT];
	lbs_store *s;
	lbs_vdisk *v;

	begun = wall_ns();
	seed = 88172645463325252ull;
	t->base.ops = &thin_ops;
	if (thin_init(&t->thin, (uint64_t)r->segments * segment_bytes,
		      segment_bytes, 0) ||
	    !mkdtemp(dir))
		must(LBS_ENOMEM, "make room for the card");
	snprintf(path, sizeof path, "%s/corp.lbs", dir);
	env.meta_path = path;
	create.size_bytes = blocks * BLOCK_BYTES;
	create.segment_size_bytes = segment_bytes;
	create.chunk_size_bytes = CHUNK;
	create.capacity_bytes = (uint64_t)r->segments * segment_bytes;
	create.preallocate = 1;
	must(store_create_env(&env, "/thin", &create), "create");
	must(store_open_env(&env, &open, &s), "open");
	lbs_store_stat(s, stat);
	if (stat[LBS_STAT_LIVE_BLOCKS_MAX] < blocks) {
		fprintf(stderr,
			"clean: %u segments are too few for a utilisation of "
			"%.2f: beside the reserve they hold %" PRIu64
			" live blocks, not %" PRIu64 ": give more with SEGMENTS=\n",
			r->segments, r->utilisation,
			stat[LBS_STAT_LIVE_BLOCKS_MAX], blocks);
		remove_dir(dir);
		exit(1);
	}
	must(lbs_vdisk_open(s, NULL, &v), "open the vdisk");
	work(r, t, s, v, blocks);
	lbs_vdisk_close(v);
	must(lbs_store_close(s), "close");
	thin_free(&t->thin);
	free(t);
	remove_dir(dir);
	r->seconds = (double)(wall_ns() - begun) * 1e-9;
}

/* ---- all of them --------------------------------------------------------- */

/* At each utilisation: theory and the greedy optimum under uniform writes; two
 * heads with cost-benefit choice, simulated, and the ideal split of hot and cold,
 * under skewed ones. */
static const struct {
	double utilisation, theory[2];
	const char *ideal;
} beside[] = {
	{ 0.5, { 1.26, 1.25 }, "1.05" },
	{ 0.7, { 1.88, 1.45 }, "1.22" },
	{ 0.8, { 2.69, 1.93 }, "1.48" },
	{ 0.9, { 5.18, 3.37 }, "2.33" },
};

int
main(int argc, char **argv)
{
	int quick = getenv("QUICK") && *getenv("QUICK");
	const char *only = getenv("ONLY"); /* e.g. 0.8: one utilisation */
	FILE *json = NULL;
	const char *mib = getenv("SEGMENT_MIB"), *number = getenv("SEGMENTS");
	int first = 1;

	if (mib)
		segment_bytes = (uint32_t)atoi(mib) * MIB;
	if (argc == 3 && !strcmp(argv[1], "--json")) {
		json = fopen(argv[2], "w");
		if (!json) {
			perror(argv[2]);
			return 1;
		}
		fprintf(json, "[");
	} else if (argc != 1) {
		fprintf(stderr, "usage: clean [--json FILE]\n");
		return 2;
	}
	printf("%-8s %4s  %6s %6s %6s %6s  %7s %8s %8s  %9s  %7s  %6s %6s %6s\n",
	       "writes", "util", "WA", "theory", "ideal", "bytes", "median",
	       "p99.9", "max", "p99.9", "flash", "seq", "seq", "time");
	printf("%-8s %4s  %6s %6s %6s %6s  %7s %8s %8s  %9s  %7s  %6s %6s %6s\n",
	       "", "", "blocks", "", "", "", "us", "us", "us", "us, wall",
	       "%", "aged", "clean", "s");
	for (int skewed = 0; skewed < 2; skewed++)
		for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
			struct run r = { .segments = number ? (uint32_t)atoi(number)
							     : quick ? 500 : 1500,
					 .utilisation = beside[i].utilisation,
					 .skewed = skewed,
					 .warm = quick ? 2 : 8,
					 .measured = quick ? 2 : 6 };

			if (only && atof(only) != r.utilisation)
				continue;
			run(&r);
			printf("%-8s %4.1f  %6.2f %6.2f %6s %6.2f  %7.0f %8.0f "
			       "%8.0f  %9.0f  %7.2f  %6.1f %6.1f %6.0f\n",
			       skewed ? "10/90" : "uniform", r.utilisation,
			       r.blocks, beside[i].theory[skewed],
			       skewed ? beside[i].ideal : "-", r.bytes,
			       r.median_us, r.p999_us, r.max_us, r.p999_wall_us,
			       r.internal * 100, r.read_aged, r.read_cleaned,
			       r.seconds);
			fflush(stdout);
			if (!json)
				continue;
			fprintf(json,
				"%s\n{\"skewed\":%d,\"utilisation\":%.1f,"
				"\"segments\":%u,\"write_amplification\":%.4f,"
				"\"theory\":%.2f,\"bytes\":%.4f,"
				"\"median_us\":%.0f,\"p999_us\":%.0f,"
				"\"max_us\":%.0f,\"p999_wall_us\":%.0f,"
				"\"internal_flash\":%.5f,\"read_aged_mbs\":%.2f,"
				"\"read_cleaned_mbs\":%.2f}",
				first ? "" : ",", skewed, r.utilisation,
				r.segments, r.blocks, beside[i].theory[skewed],
				r.bytes, r.median_us, r.p999_us, r.max_us,
				r.p999_wall_us, r.internal, r.read_aged,
				r.read_cleaned);
			first = 0;
		}
	if (json) {
		fprintf(json, "\n]\n");
		fclose(json);
	}
	return 0;
}
