/*
 * micro.c - how small: what liblbs asks of the card and of internal flash, linked
 * directly. Must never judge: micro.sh sets the targets beside what it saw.
 * Counters come from lbs_store_stat and are exact.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/kit.h"

static uint64_t
file_bytes(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (uint64_t)st.st_size;
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
	fprintf(stderr, "micro lone DIR COUNT | "
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
	kit_init();
	if (!strcmp(what, "lone") && argc == 4)
		lone(argv[2], n[1]);
	else if ((!strcmp(what, "random") || !strcmp(what, "sequential")) &&
		 argc == 6)
		sustained(argv[2], argv[3], n[2], n[3] * MIB,
			  what[0] == 'r');
	else if (!strcmp(what, "replay") && argc == 4)
		replay(argv[2], n[1] * MIB);
	else
		return usage();
	return 0;
}
