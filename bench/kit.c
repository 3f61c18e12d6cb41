/*
 * kit.c - see kit.h.
 */
#include "bench/kit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/secret.h"


void
die(const char *what, int rc)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
		lbs_strerror(rc));
	exit(1);
}

void
must(int rc, const char *what)
{
	if (rc)
		die(what, rc);
}

void
say(void *ctx, int level, int code, const char *sentence)
{
	(void)ctx;
	(void)code;
	if (level <= LBS_LOG_WARNING)
		fprintf(stderr, "%s: %s\n",
			program_invocation_short_name, sentence);
}

double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

uint64_t
draw_from(uint64_t *state, uint64_t below)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * 2685821657736338717ull >> 16) % below;
}

uint64_t
draw(uint64_t below)
{
	static uint64_t seed = 88172645463325252ull;

	return draw_from(&seed, below);
}

/* ---- figures ----------------------------------------------------------- */

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

void
figure(const char *name, double *v, int n, const char *unit)
{
	qsort(v, (size_t)n, sizeof *v, ascending);
	printf("%s\t%.6g\t%.6g\t%.6g\t%d\t%s\n", name,
	       n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2, v[0],
	       v[n - 1], n, unit);
	fflush(stdout);
}

void
exact(const char *name, double v, const char *unit)
{
	figure(name, &v, 1, unit);
}

/* ---- a store ----------------------------------------------------------- */

/* The first use of a place must not find an older store there. */
void
place(struct bench *b, const char *meta_dir, const char *data_dir)
{
	snprintf(b->meta, sizeof b->meta, "%s/bench.lbs", meta_dir);
	snprintf(b->wal, sizeof b->wal, "%s-wal", b->meta);
	snprintf(b->data, sizeof b->data, "%s/card", data_dir);
}

void
open_store(struct bench *b)
{
	struct lbs_open_options o = { .struct_size = sizeof o,
				      .owner = "bench", .log = say };

	must(lbs_store_open(b->meta, &o, &b->store), "open");
	must(lbs_vdisk_open(b->store, NULL, &b->disk), "open the vdisk");
}

void
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

void
close_store(struct bench *b)
{
	lbs_vdisk_close(b->disk);
	must(lbs_store_close(b->store), "close");
}

void
mark(struct bench *b)
{
	lbs_store_stat(b->store, b->before);
}

uint64_t
since(struct bench *b, int stat)
{
	uint64_t v[LBS_STAT_COUNT];

	lbs_store_stat(b->store, v);
	return v[stat] - b->before[stat];
}

static uint8_t *data_blocks;
#define DATA_BLOCKS 4096u

void
kit_init(void)
{
	must(secret_init() ? LBS_EINTERNAL : 0, "libsodium");
	data_blocks = malloc(DATA_BLOCKS * BLOCK);
	if (!data_blocks)
		die("memory", LBS_ENOMEM);
	secret_random(data_blocks, DATA_BLOCKS * BLOCK);
}

const uint8_t *
some_block(uint64_t i)
{
	return data_blocks + i % DATA_BLOCKS * BLOCK;
}

void
write_random(struct bench *b, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		must(lbs_vdisk_write(b->disk, some_block(i), BLOCK,
				     draw(b->size_bytes / BLOCK) * BLOCK, 0),
		     "write");
}

void
write_sequential(struct bench *b, uint64_t from, uint64_t len)
{
	for (uint64_t at = 0; at < len; at += MIB)
		must(lbs_vdisk_write(b->disk, data_blocks, MIB, from + at, 0),
		     "write");
}

void
read_random(struct bench *b, uint64_t count)
{
	uint8_t block[BLOCK];

	for (uint64_t i = 0; i < count; i++)
		must(lbs_vdisk_read(b->disk, block, BLOCK,
				    draw(b->size_bytes / BLOCK) * BLOCK),
		     "read");
}
