/*
 * simdisk_int.h - the state behind simdisk.h, shared by its sources (simstate.c
 * life and clock, simdisk.c operations, simpower.c cuts, simtamper.c tampering)
 * and no others.
 */
#ifndef LBS_TESTS_SIMDISK_INT_H
#define LBS_TESTS_SIMDISK_INT_H

#include "tests/lab/simdisk.h"
#include "tests/lab/simimage.h"

#include <pthread.h>
#include <stdatomic.h>

/* One creation of a name: an unlinked and recreated name is another file. */
struct simfile {
	char name[SIM_NAME_BYTES];
	enum sim_side side;
	int linked, linked_durable;
	struct simimage now;		/* what reads see */
	struct simimage durable;	/* bytes on the disk, known or synced */
	uint64_t durable_size;		/* of the file; bytes may lie beyond */
	int shared, reserved, exclusive;	/* lock holders */
	struct sim_count count;
};

enum sim_change { CHANGE_LINK, CHANGE_UNLINK, CHANGE_SIZE, CHANGE_DATA };

struct simbytes;

/* One pending change, in the order of time. */
struct simpending {
	enum sim_change kind;
	uint32_t file;
	int ready;		/* card: its file was synced, the directory not */
	/* A sync confirmed it, the medium still has it in a cache that needs
	 * power: until the clock says until_us (0 = not confirmed). */
	uint64_t until_us;
	uint64_t offset;	/* CHANGE_SIZE: the new size */
	size_t len;
	struct simbytes *data;
};

/* What a pending write holds; shared by the clones of a disk. */
struct simbytes {
	atomic_uint refs;
	uint8_t bytes[];
};

#define FOR_EVER UINT64_MAX

struct simfault {
	enum sim_side side;
	enum sim_op op;
	unsigned after, times, flags;	/* times 0 = for ever */
	int err, spent;
};

#define SIM_FAULTS 8

struct simdisk {
	pthread_mutex_t lock;	/* guards everything below */
	uint64_t ticks, cut_at;
	uint64_t clock_us;
	uint32_t boot[SIM_SIDES];	/* counts what ends handles */
	int off, gone[SIM_SIDES];
	struct simfile *files;
	uint32_t file_count;
	struct simpending *pending;
	size_t pending_count, pending_room;
	struct simfault faults[SIM_FAULTS];
	int fault_count;
	uint64_t fault_hits;
	uint64_t capacity[SIM_SIDES];
	int lying[SIM_SIDES];
	uint64_t cache_us[SIM_SIDES];
	struct sim_count count[SIM_SIDES];
	uint64_t torn_pages, stray_bytes, lost;
	uint64_t hits[SIM_SIDES][SIM_OPS][SIM_FAULT_FLAGS];
	uint64_t refused[SIM_SIDES];
	void (*watch)(void *ctx);
	void *watch_ctx;
};

/* All below: the caller holds the lock. */
struct simfile *simfile_find(struct simdisk *d, enum sim_side side,
			     const char *name);
/* The file behind a handle, or NULL when the handle outlived its boot. */
struct simfile *simfile_get(struct simdisk *d, struct sim_fd fd);
/* What the files of a side take. */
uint64_t simfile_used(const struct simdisk *d, enum sim_side side);
/* Applies a pending change to the durable state of its file. */
void simpending_apply(struct simdisk *d, const struct simpending *p);
void simbytes_put(struct simbytes *data);	/* NULL is fine */
/* Forgets the changes whose mark is not zero. */
void simpending_remove(struct simdisk *d, const uint8_t *gone);
/* The clock moves on: what the caches have held long enough becomes durable. */
void simpending_age(struct simdisk *d, uint64_t us);

#endif
