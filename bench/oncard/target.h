/*
 * target.h - what a workload writes to: a file on the card, or a store whose
 * data directory is there. Errors end the program: a benchmark has no way to go
 * on.
 */
#ifndef LBS_BENCH_ONCARD_TARGET_H
#define LBS_BENCH_ONCARD_TARGET_H

#include <jansson.h>

#include "bench/oncard/host.h"

struct target {
	void (*write)(struct target *t, uint64_t offset, uint32_t len);
	void (*read)(struct target *t, uint64_t offset, uint32_t len);
	void (*flush)(struct target *t);
	/* Makes what can be made ready in quiet: the cleaner's work. May be
	 * NULL. */
	void (*settle)(struct target *t);
	/* Adds what it counted since the last call. May be NULL. */
	void (*report)(struct target *t, json_t *to);
	void (*close)(struct target *t);
	struct host *host;
};

/* A raw file of any size. buffered_bytes: dirty pages that the host collects
 * before it writes them; 0: none, every request goes to the card as it comes.
 * gocryptfs: laid out as that program does, which needs the host's pages. */
struct target *target_raw(struct host *h, uint64_t buffered_bytes,
			  int gocryptfs);

struct target_lbs {
	uint64_t disk_bytes;
	uint64_t segment_bytes; /* 0: as lbs create chooses */
	double utilisation;	/* live blocks by what all segments hold */
	int threads; /* as when it is served; else all in the caller's */
	int compress; /* LBS_COMPRESS_...; then the whole log is kept in memory */
};
/* A store with one vdisk; its cipher does nothing (bench/nocipher.c). */
struct target *target_lbs(struct host *h, const struct target_lbs *how);

#endif
