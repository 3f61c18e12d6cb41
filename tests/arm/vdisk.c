/*
 * vdisk.c - a store through the library alone, for machines on which no server
 * runs: reads its whole disk, or writes into it. Must open it as a server does.
 *
 *   vdisk read STORE DIR           the disk, on standard output
 *   vdisk data STORE DIR           of the disk what is no hole, each with its place
 *   vdisk write STORE DIR SEED     pieces of it written, told by SEED; flushed
 *   vdisk kill STORE DIR SEED      the same without a flush, and no close
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lbs.h"

#define PIECE 65536u
#define PIECES 40

static uint8_t piece[PIECE];

static void
must(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "vdisk: %s: %s\n", what, lbs_strerror(rc));
	exit(1);
}

static void
log_line(void *ctx, int level, int code, const char *sentence)
{
	(void)ctx;
	(void)code;
	if (level != LBS_LOG_INFO)
		fprintf(stderr, "vdisk: %s\n", sentence);
}

static void
print(lbs_vdisk *vdisk, uint64_t at, uint64_t end)
{
	for (; at < end; at += PIECE) {
		size_t len = end - at < PIECE ? (size_t)(end - at) : PIECE;

		must(lbs_vdisk_read(vdisk, piece, len, at), "read");
		must(fwrite(piece, len, 1, stdout) != 1, "standard output");
	}
}

static int
print_extent(void *ctx, uint64_t at, uint64_t len, int is_data)
{
	if (is_data) {
		printf("%llu %llu\n", (unsigned long long)at,
		       (unsigned long long)len);
		print(ctx, at, at + len);
	}
	return 0;
}

/* The same on every machine: of any length and alignment. */
static uint32_t
draw(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static uint64_t
draw_long(uint32_t *seed)
{
	uint64_t high = draw(seed);

	return high << 24 | draw(seed);
}

static void
write_some(lbs_vdisk *vdisk, uint32_t seed)
{
	uint64_t size = lbs_vdisk_size(vdisk);

	for (int i = 0; i < PIECES; i++) {
		size_t len = 1 + draw(&seed) % (PIECE - 1);
		uint64_t at = draw_long(&seed) % (size - len);

		for (size_t j = 0; j < len; j++)
			piece[j] = (uint8_t)draw(&seed);
		must(lbs_vdisk_write(vdisk, piece, len, at, 0), "write");
	}
	must(lbs_vdisk_discard(vdisk, 8 * 4096, size / 2 / 4096 * 4096, 0),
	     "discard");
}

int
main(int argc, char **argv)
{
	struct lbs_open_options options = { .struct_size = sizeof options,
					    .owner = "vdisk",
					    .log = log_line };
	lbs_store *store;
	lbs_vdisk *vdisk;
	int reads = argc == 4;

	if (!reads && argc != 5) {
		fprintf(stderr, "Usage: vdisk read|data|write|kill STORE DIR [SEED]\n");
		return 2;
	}
	options.flags = reads ? LBS_RDONLY : 0;
	options.data_dir = argv[3];
	must(lbs_store_open(argv[2], &options, &store), "open");
	must(lbs_vdisk_open(store, NULL, &vdisk), "vdisk");
	if (reads && strcmp(argv[1], "data") == 0)
		must(lbs_vdisk_extents(vdisk, lbs_vdisk_size(vdisk), 0,
				       print_extent, vdisk), "extents");
	else if (reads)
		print(vdisk, 0, lbs_vdisk_size(vdisk));
	else
		write_some(vdisk, (uint32_t)strtoul(argv[4], NULL, 10));
	if (strcmp(argv[1], "kill") == 0)
		_exit(0);
	if (reads)
		must(fflush(stdout), "standard output");
	else
		must(lbs_vdisk_flush(vdisk), "flush");
	lbs_vdisk_close(vdisk);
	must(lbs_store_close(store), "close");
	return 0;
}
