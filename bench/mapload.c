/*
 * mapload.c - what the block map costs internal flash, over any number of GiB,
 * with the data left out: the whole engine runs as it is, but nothing is sealed
 * and the card swallows what is written to it, so that only the metadata is
 * real. Must never judge: it prints what it saw.
 *
 *   mapload random|sequential|mixed DIR VDISK_GIB WRITE_GIB [TABLE]
 *
 * random: single blocks, uniformly, from an empty vdisk on. sequential: 1 MiB
 * writes from end to end, again and again. mixed: once sequential, then random.
 * TABLE gets a line for each GiB written; figures as bench/micro prints them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/swallow.h"
#include "crypto/secret.h"
#include "liblbs/format/layout.h"
#include "liblbs/meta/mapstore.h"
#include "liblbs/store/env.h"
#include "liblbs/store/internal.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define HELD_PER_GIB 2.2 /* MiB: what is promised */
#define LOADS 100u /* pages loaded after each window, to be timed */

static void
must(int rc, const char *what)
{
	if (rc) {
		fprintf(stderr, "mapload: %s: %s\n", what, lbs_strerror(rc));
		exit(1);
	}
}

static void
say(void *ctx, int level, int code, const char *sentence)
{
	(void)ctx;
	(void)code;
	/* Warnings are of a card that keeps nothing. */
	if (level == LBS_LOG_ERROR)
		fprintf(stderr, "mapload: %s\n", sentence);
}

static double
seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- what is measured ---------------------------------------------------- */

static struct {
	char path[2][4200];	/* the metadata file and its WAL */
	uint64_t mapped;	/* blocks written at least once */
	double peak_mib, peak_per_gib;	/* in this window */
	double fixed_mib;	/* beyond HELD_PER_GIB, at most */
	double cpu, wall;	/* seconds in checkpoints, in this window */
	double load_cpu;	/* seconds loading pages */
	uint64_t loads;
} seen;

static void
look(void)
{
	struct stat st;
	double mib = 0, gib = (double)seen.mapped * BLOCK_BYTES / GIB;

	for (int i = 0; i < 2; i++)
		if (seen.path[i][0] && stat(seen.path[i], &st) == 0)
			mib += (double)st.st_size / MIB;
	if (mib > seen.peak_mib)
		seen.peak_mib = mib;
	if (gib >= 1 && mib / gib > seen.peak_per_gib)
		seen.peak_per_gib = mib / gib;
	if (mib - HELD_PER_GIB * gib > seen.fixed_mib)
		seen.fixed_mib = mib - HELD_PER_GIB * gib;
}

/* SQLite calls these: the log is at its longest when a commit syncs it, and
 * file and log together when a fold syncs the file. */
__attribute__((visibility("default"))) int
fdatasync(int fd)
{
	(void)fd;
	look();
	return 0;
}

__attribute__((visibility("default"))) int
fsync(int fd)
{
	return fdatasync(fd);
}

int __real_store_checkpoint(lbs_store *s);
int __wrap_store_checkpoint(lbs_store *s);
int __real_mapstore_page(struct meta *m, uint32_t layer, uint64_t page,
			 uint64_t *entries);
int __wrap_mapstore_page(struct meta *m, uint32_t layer, uint64_t page,
			 uint64_t *entries);

int
__wrap_store_checkpoint(lbs_store *s)
{
	double cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
	double wall = seconds(CLOCK_MONOTONIC);
	int rc = __real_store_checkpoint(s);

	seen.cpu += seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
	seen.wall += seconds(CLOCK_MONOTONIC) - wall;
	return rc;
}

int
__wrap_mapstore_page(struct meta *m, uint32_t layer, uint64_t page,
		     uint64_t *entries)
{
	double cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
	int rc = __real_mapstore_page(m, layer, page, entries);

	seen.load_cpu += seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
	seen.loads++;
	return rc;
}

/* ---- the load ------------------------------------------------------------ */

struct load {
	lbs_store *store;
	lbs_vdisk *disk;
	uint64_t size, sequential;	/* bytes; those still to be in order */
	uint64_t at;
	uint8_t *written;		/* a bit for each block */
};

static void
note(struct load *l, uint64_t lba)
{
	uint8_t bit = (uint8_t)(1u << lba % 8);

	seen.mapped += !(l->written[lba / 8] & bit);
	l->written[lba / 8] |= bit;
}

static uint64_t
write_some(struct load *l)
{
	static const uint8_t data[MIB];
	uint64_t lba = (swallow_draw() >> 16) % (l->size / BLOCK_BYTES);

	if (!l->sequential) {
		note(l, lba);
		must(lbs_vdisk_write(l->disk, data, BLOCK_BYTES,
				     lba * BLOCK_BYTES, 0), "write");
		return BLOCK_BYTES;
	}
	l->at %= l->size;
	for (uint64_t b = 0; b < MIB / BLOCK_BYTES; b++)
		note(l, l->at / BLOCK_BYTES + b);
	must(lbs_vdisk_write(l->disk, data, MIB, l->at, 0), "write");
	l->at += MIB;
	l->sequential -= MIB;
	return MIB;
}

static int
any_extent(void *ctx, uint64_t offset, uint64_t len, int is_data)
{
	(void)ctx, (void)offset, (void)len, (void)is_data;
	return 1;
}

/* Asks for the state of random blocks, which loads their pages. */
static void
load_pages(struct load *l)
{
	seen.load_cpu = 0;
	seen.loads = 0;
	for (uint32_t i = 0; i < LOADS * 4 && seen.loads < LOADS; i++)
		must(lbs_vdisk_extents(l->disk, BLOCK_BYTES,
				       (swallow_draw() >> 16) % (l->size / BLOCK_BYTES) *
					       BLOCK_BYTES,
				       any_extent, NULL),
		     "block status");
}

struct totals {
	double percent_max, per_gib_max, load_max, cpu_max;
	uint64_t flash, guest;
	double cpu, wall;
};

static void
window(struct load *l, uint64_t flash, uint64_t guest, struct totals *t,
       FILE *table)
{
	double percent = 100 * (double)flash / (double)guest;
	double blocks = (double)guest / BLOCK_BYTES, load;

	load_pages(l);
	/* Once nearly all pages are in memory, there is little to time. */
	load = seen.loads >= LOADS / 4
		       ? 1e6 * seen.load_cpu / (double)seen.loads
		       : 0;
	t->flash += flash;
	t->guest += guest;
	t->cpu += seen.cpu;
	t->wall += seen.wall;
	if (percent > t->percent_max)
		t->percent_max = percent;
	if (seen.peak_per_gib > t->per_gib_max)
		t->per_gib_max = seen.peak_per_gib;
	if (load > t->load_max)
		t->load_max = load;
	if (1e6 * seen.cpu / blocks > t->cpu_max)
		t->cpu_max = 1e6 * seen.cpu / blocks;
	if (table) {
		fprintf(table, "%.3f %.3f %.3f %.3f %.2f %.3f %.3f %.1f\n",
			(double)t->guest / GIB,
			(double)seen.mapped * BLOCK_BYTES / GIB, percent,
			seen.peak_per_gib, seen.peak_mib,
			1e6 * seen.cpu / blocks, 1e6 * seen.wall / blocks,
			load);
		fflush(table);
	}
	seen.peak_mib = seen.peak_per_gib = seen.cpu = seen.wall = 0;
}

static void
run(struct load *l, uint64_t bytes, struct totals *t, FILE *table)
{
	uint64_t v[LBS_STAT_COUNT], before = 0, done = 0, begun = 0, flash;

	lbs_store_stat(l->store, v);
	before = v[LBS_STAT_META_BYTES] - v[LBS_STAT_META_ANCHOR_BYTES];
	while (done < bytes) {
		done += write_some(l);
		if (done - begun < GIB && done < bytes)
			continue;
		lbs_store_stat(l->store, v);
		flash = v[LBS_STAT_META_BYTES] - v[LBS_STAT_META_ANCHOR_BYTES];
		look();
		window(l, flash - before, done - begun, t, table);
		before = flash;
		begun = done;
	}
}

static void
exact(const char *what, const char *kind, uint64_t gib, double v,
      const char *unit)
{
	printf("map_%s_%" PRIu64 "_%s\t%.6g\t%.6g\t%.6g\t1\t%s\n", kind, gib,
	       what, v, v, v, unit);
}

int
main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	uint64_t gib = argc > 4 ? strtoull(argv[3], NULL, 10) : 0;
	uint64_t bytes = argc > 4 ? strtoull(argv[4], NULL, 10) * GIB : 0;
	struct medium card = { &swallow_ops };
	struct run_page page = { { 0 }, { 0 }, 0, 0 };
	struct store_env env = { .card = &card, .meta_path = seen.path[0],
				 .run = &page };
	struct lbs_create_options create = { .struct_size = sizeof create,
					     .size_bytes = gib * GIB,
					     .log = say };
	struct lbs_open_options open = { .struct_size = sizeof open,
					 .owner = "mapload", .log = say };
	struct load l = { .size = gib * GIB };
	struct totals t = { .percent_max = 0 };
	FILE *table = argc > 5 ? fopen(argv[5], "w") : NULL;
	double guest_blocks;

	if (argc < 5 || argc > 6 || !gib || !bytes || (argc > 5 && !table) ||
	    (strcmp(kind, "random") && strcmp(kind, "sequential") &&
	     strcmp(kind, "mixed"))) {
		fprintf(stderr, "mapload random|sequential|mixed DIR VDISK_GIB "
				"WRITE_GIB [TABLE]\n");
		return 2;
	}
	l.sequential = !strcmp(kind, "sequential") ? bytes
		       : !strcmp(kind, "mixed")	   ? l.size
						   : 0;
	snprintf(seen.path[0], sizeof seen.path[0], "%s/map.lbs", argv[2]);
	snprintf(seen.path[1], sizeof seen.path[1], "%s/map.lbs-wal", argv[2]);
	l.written = calloc(l.size / BLOCK_BYTES / 8 + 1, 1);
	must(l.written ? 0 : LBS_ENOMEM, "memory");
	must(secret_init() ? LBS_EINTERNAL : 0, "libsodium");
	/* Nothing is freed but what died whole: room for all that is written. */
	create.capacity_bytes = bytes / 32 * 33 + GIB;
	must(store_create_env(&env, "/swallowed", &create), "create");
	must(store_open_env(&env, &open, &l.store), "open");
	must(lbs_vdisk_open(l.store, NULL, &l.disk), "open the vdisk");
	if (table)
		fprintf(table, "# GiB written, GiB mapped, %% of the guest's "
			       "bytes to flash, MiB held per GiB mapped at "
			       "most, MiB held at most,\n# us of CPU and of "
			       "time in checkpoints per block written, us of "
			       "CPU per page load\n");
	run(&l, bytes, &t, table);
	guest_blocks = (double)t.guest / BLOCK_BYTES;
	exact("flash_max", kind, gib, t.percent_max,
	      "% of the guest's bytes, worst GiB");
	exact("flash_mean", kind, gib, 100 * (double)t.flash / (double)t.guest,
	      "% of the guest's bytes");
	exact("held_max", kind, gib, t.per_gib_max,
	      "MiB per GiB mapped, from 1 GiB on");
	exact("held_fixed", kind, gib, seen.fixed_mib,
	      "MiB beyond 2.2 per GiB mapped, at any moment");
	exact("checkpoint_cpu", kind, gib, 1e6 * t.cpu / guest_blocks,
	      "us of CPU per block written");
	exact("checkpoint_cpu_max", kind, gib, t.cpu_max,
	      "us of CPU per block, worst GiB");
	exact("load_max", kind, gib, t.load_max, "us of CPU per page load");
	lbs_vdisk_close(l.disk);
	must(lbs_store_close(l.store), "close");
	free(l.written);
	if (table)
		fclose(table);
	return 0;
}
