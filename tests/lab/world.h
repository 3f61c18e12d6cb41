/*
 * world.h - one machine with a store on it, for tests: a simulated card and
 * internal flash, the run page, the boot it is in, the guest's model, and the
 * store when it is open.
 * Must never touch a real file. Starts no thread unless the shape says so.
 */
#ifndef LBS_TESTS_WORLD_H
#define LBS_TESTS_WORLD_H

#include <pthread.h>

#include "liblbs/store/env.h"
#include "tests/lab/model.h"
#include "tests/lab/simdisk.h"

struct vfs_sim;

#define WORLD_META "corp.lbs"
#define WORLD_WAL "corp.lbs-wal"

struct world_shape {
	uint64_t vdisk_bytes, capacity_bytes, segment_bytes, chunk_bytes;
	uint64_t base_bytes;	/* before what the guest uses of the vdisk and the
				 * model knows; whole blocks, all holes */
	uint64_t checkpoint_log_bytes, sync_bytes, fill_ahead_bytes;
	uint32_t slice_bytes;	/* see store_env */
	uint64_t flash_bytes;	/* size of internal flash; 0 = without limit, and
				 * the store does not look how much is free */
	int freshness;		/* LBS_FRESHNESS_..., 0 = the default */
	int compress;		/* LBS_COMPRESS_... */
	int threads;		/* the store's own, as in production */
	unsigned sync_seconds;	/* see store_env */
};

struct world {
	struct world_shape shape;
	struct simdisk *disk;
	struct model *model;
	struct vfs_sim *vfs;
	struct medium *card;
	struct run_page run;
	struct store_env env;
	uint8_t boot;
	lbs_store *store;	/* NULL when closed */
	int rdonly;		/* how it was opened */
	lbs_vdisk *vdisk;
	pthread_mutex_t log_lock;
	int log_code;		/* of the last error told, and its sentence */
	char log_text[300];	/* read when no thread is at work */
};

/* A machine without a store; then one with a store, closed. */
struct world *world_new(const struct world_shape *shape);
int world_create(struct world *w);
/* The same machine once more, its process gone: the copy's store is closed. */
struct world *world_clone(const struct world *w);
/* The same in another boot. */
struct world *world_elsewhere(const struct world *w);
void world_free(struct world *w);

/* Results are lbs codes. */
int world_open(struct world *w, unsigned flags);
int world_close(struct world *w);
/* The process, or the machine with it, is gone; see simdisk_power_cycle. Except
 * for SIM_KEEP_ALL it is another boot, and the run page holds what it held or,
 * by the seed, nothing. */
void world_cut(struct world *w, enum sim_variant v, uint64_t seed);
/* A power cut, each side in a variant of its own; see simdisk_lose_power. */
void world_cut_sides(struct world *w, const enum sim_variant v[SIM_SIDES],
		     uint64_t seed);
/* The machine boots again with all that it had written; the store is closed. */
void world_reboot(struct world *w);

/* A guest's requests, told to the model; buf-less: the model fills them. */
int world_write(struct world *w, uint64_t offset, size_t len, unsigned flags);
int world_zero(struct world *w, uint64_t offset, size_t len, unsigned flags);
int world_discard(struct world *w, uint64_t offset, size_t len, unsigned flags);
int world_flush(struct world *w);
/* Reads and compares with the model: 0, an lbs code, or 1 for wrong bytes. */
int world_read(struct world *w, uint64_t offset, size_t len);
/* model_check of the open store, and that its live counts are those of the map as
 * it lies in the metadata file. */
int world_check(struct world *w, char *why, size_t why_len);
uint64_t world_stat(struct world *w, enum lbs_stat stat);

#endif
