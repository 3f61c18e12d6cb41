/*
 * make.c - makes the stores of tests/golden: "closed" ended cleanly, "killed" has
 * a log to roll forward by index and by frames, and an unflushed tail. Segments
 * of 64 KiB, smaller than lbs create makes, so that a few hundred KiB show every
 * structure of FORMAT.md. Beside each it writes what its disk holds.
 * Must be run once for a format version: the files it made are what counts.
 *
 *   golden_make DIR [lz4|zstd]   DIR/closed, DIR/killed, and
 *                                DIR/{closed,killed}.disk
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lbs.h"
#include "liblbs/medium/medium.h"
#include "liblbs/store/env.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
#define DISK (4 * MIB + 1536)
#define BLOCK 4096u

static uint8_t *disk;
static lbs_store *store;
static lbs_vdisk *vdisk;
static int compress;

static void
must(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "golden_make: %s: %s\n", what, lbs_strerror(rc));
	exit(1);
}

static void
create(void)
{
	struct lbs_create_options o = { .struct_size = sizeof o,
					.size_bytes = DISK,
					.capacity_bytes = 16 * MIB,
					.segment_size_bytes = 64 * KIB,
					.chunk_size_bytes = 4 * MIB,
					.compress = compress };
	struct store_env env = { .meta_path = "corp.lbs", .threads = 0 };
	int fd = creat("corp.lbs", 0600);

	must(fd < 0, "creat");
	close(fd);
	must(medium_posix_open("card", 1, &env.card), "card");
	must(store_create_env(&env, "/media/card/corp", &o), "create");
	env.card->ops->close(env.card);
}

static void
begin(void)
{
	struct lbs_open_options o = { .struct_size = sizeof o,
				      .data_dir = "card" };

	must(lbs_store_open("corp.lbs", &o, &store), "open");
	must(lbs_vdisk_open(store, NULL, &vdisk), "vdisk");
}

static void
end(void)
{
	lbs_vdisk_close(vdisk);
	must(lbs_store_close(store), "close");
}

static void
put(unsigned seed, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1103515245 + 12345;
		disk[at + i] = (uint8_t)(seed >> 16);
		/* Of two blocks in three a part compresses. */
		if (compress && (at + i) % BLOCK > (at + i) / BLOCK % 3 * 900 &&
		    (at + i) / BLOCK % 3)
			disk[at + i] = (uint8_t)((at + i) / BLOCK);
	}
	must(lbs_vdisk_write(vdisk, disk + at, len, at, 0), "write");
}

static void
zero(uint64_t at, size_t len)
{
	memset(disk + at, 0, len);
	must(lbs_vdisk_write_zeroes(vdisk, len, at, 0), "zero");
}

static void
discard(uint64_t block, uint64_t blocks)
{
	memset(disk + block * BLOCK, 0, blocks * BLOCK);
	must(lbs_vdisk_discard(vdisk, blocks * BLOCK, block * BLOCK, 0),
	     "discard");
}

static void
flush(void)
{
	must(lbs_vdisk_flush(vdisk), "flush");
}

static void
live(void)
{
	/* A group that spans segments; then all of it dies. */
	begin();
	put(1, 100 * BLOCK, 30 * BLOCK);
	end();
	begin();
	discard(0, 1024);
	end();
	/* Segments used again, several checkpoints, every kind of record. */
	begin();
	put(2, 0, 20 * BLOCK);
	put(3, 200 * BLOCK + 700, 512);
	put(4, DISK - 1000, 1000);
	flush();
	must(lbs_store_checkpoint(store), "checkpoint");
	for (unsigned i = 0; i < 10; i++)
		put(10 + i, (300 + 7 * i) * BLOCK, BLOCK);
	zero(3 * BLOCK + 100, 2 * BLOCK);
	discard(10, 5);
	must(lbs_store_checkpoint(store), "checkpoint");
	/* So many deltas of the map that they are folded into a page. */
	for (unsigned i = 0; i < 17; i++) {
		put(20 + i, (900 + i) * BLOCK, BLOCK);
		must(lbs_store_checkpoint(store), "checkpoint");
		discard(900 + i, 1);
		must(lbs_store_checkpoint(store), "checkpoint");
	}
	put(5, 2 * BLOCK - 300, 600);
	flush();
	end();
}

/* Log behind the last checkpoint: closed segments, flushed records, others. */
static void
die(void)
{
	begin();
	put(6, 500 * BLOCK, 20 * BLOCK);
	put(7, 500 * BLOCK + 1, 3);
	discard(12, 2);
	discard(600, 300);
	flush();
	put(8, 700 * BLOCK, 3 * BLOCK);
	zero(300 * BLOCK, BLOCK);
	put(9, 0, BLOCK);
	_exit(0);
}

static void
write_disk(const char *name)
{
	FILE *f = fopen(name, "w");

	must(!f || fwrite(disk, DISK, 1, f) != 1 || fclose(f), name);
}

int
main(int argc, char **argv)
{
	int status;

	/* Shared, so that what the one that dies wrote is known. */
	disk = mmap(NULL, DISK, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(disk == MAP_FAILED, "memory");
	if (argc == 3)
		compress = strcmp(argv[2], "lz4") ? LBS_COMPRESS_ZSTD
						  : LBS_COMPRESS_LZ4;
	must(argc < 2 || argc > 3 || mkdir(argv[1], 0700) || chdir(argv[1]) ||
		     mkdir("closed", 0700) || chdir("closed"), "DIR");
	create();
	live();
	must(chdir("..") || system("cp -a closed killed"), "copy");
	write_disk("closed.disk");
	if (fork() == 0) {
		must(chdir("killed"), "killed");
		die();
	}
	must(wait(&status) < 0 || status, "the killed one");
	write_disk("killed.disk");
	return 0;
}
