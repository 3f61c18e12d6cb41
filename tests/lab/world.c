/*
 * world.c - see world.h.
 */
#include "tests/lab/world.h"
#include "liblbs/meta/mapstore.h"
#include "liblbs/store/internal.h"
#include "tests/lab/medium_sim.h"
#include "tests/lab/simimage.h"
#include "tests/lab/vfs_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void note(void *ctx, int level, int code, const char *sentence)
{
	struct world *w = ctx;

	if (level != LBS_LOG_ERROR)
		return;
	pthread_mutex_lock(&w->log_lock);
	w->log_code = code;
	snprintf(w->log_text, sizeof(w->log_text), "%s", sentence);
	pthread_mutex_unlock(&w->log_lock);
}

static uint64_t flash_room(void *ctx)
{
	return simdisk_room(ctx, SIM_FLASH);
}

/* The side of the store that a process brings: handles, VFS, environment. */
static void start_process(struct world *w)
{
	w->vfs = vfs_sim_new(w->disk);
	w->card = medium_sim_new(w->disk);
	memset(&w->env, 0, sizeof(w->env));
	w->env.card = w->card;
	w->env.vfs = vfs_sim_name(w->vfs);
	w->env.meta_path = WORLD_META;
	w->env.run = &w->run;
	memset(w->env.boot_id, w->boot, sizeof(w->env.boot_id));
	w->env.checkpoint_log_bytes = w->shape.checkpoint_log_bytes;
	w->env.sync_bytes = w->shape.sync_bytes;
	w->env.fill_ahead_bytes = w->shape.fill_ahead_bytes;
	w->env.slice_bytes = w->shape.slice_bytes;
	w->env.threads = w->shape.threads;
	w->env.sync_seconds = w->shape.sync_seconds;
	if (w->shape.flash_bytes != 0) {
		w->env.meta_free = flash_room;
		w->env.meta_free_ctx = w->disk;
	}
}

static void end_process(struct world *w)
{
	lbs_vdisk_close(w->vdisk);
	w->vdisk = NULL;
	if (w->store != NULL)
		store_abandon(w->store);
	w->store = NULL;
	w->card->ops->close(w->card);
	vfs_sim_free(w->vfs);
}

struct world *world_new(const struct world_shape *shape)
{
	struct world *w = sim_alloc(sizeof(*w));

	pthread_mutex_init(&w->log_lock, NULL);
	w->shape = *shape;
	w->disk = simdisk_new();
	simdisk_capacity(w->disk, SIM_FLASH, shape->flash_bytes);
	w->model = model_new(shape->vdisk_bytes);
	w->boot = 1;
	start_process(w);
	return w;
}

int world_create(struct world *w)
{
	struct lbs_create_options o;

	memset(&o, 0, sizeof(o));
	o.struct_size = sizeof(o);
	o.size_bytes = w->shape.base_bytes + w->shape.vdisk_bytes;
	o.capacity_bytes = w->shape.capacity_bytes;
	o.segment_size_bytes = w->shape.segment_bytes;
	o.chunk_size_bytes = w->shape.chunk_bytes;
	o.freshness = w->shape.freshness;
	o.compress = w->shape.compress;
	o.log = note;
	o.log_ctx = w;
	return store_create_env(&w->env, "/card", &o);
}

struct world *world_clone(const struct world *src)
{
	struct world *w = sim_alloc(sizeof(*w));

	pthread_mutex_init(&w->log_lock, NULL);
	w->shape = src->shape;
	w->disk = simdisk_clone(src->disk);
	w->model = model_clone(src->model);
	w->run = src->run;
	w->boot = src->boot;
	start_process(w);
	return w;
}

struct world *world_elsewhere(const struct world *w)
{
	struct world *v = world_clone(w);

	world_cut(v, SIM_KEEP_ALL, 0);
	v->boot = (uint8_t)(w->boot + 100);
	memset(v->env.boot_id, v->boot, sizeof(v->env.boot_id));
	return v;
}

void world_free(struct world *w)
{
	if (w == NULL)
		return;
	end_process(w);
	simdisk_free(w->disk);
	model_free(w->model);
	pthread_mutex_destroy(&w->log_lock);
	free(w);
}

int world_open(struct world *w, unsigned flags)
{
	struct lbs_open_options o;
	int rc;

	memset(&o, 0, sizeof(o));
	o.struct_size = sizeof(o);
	o.flags = flags;
	/* The least: such small disks need no more, and tables take time. */
	o.map_limit_bytes = 4u << 20;
	o.log = note;
	o.log_ctx = w;
	w->log_code = 0;
	w->log_text[0] = '\0';
	w->rdonly = (flags & LBS_RDONLY) != 0;
	rc = store_open_env(&w->env, &o, &w->store);
	if (rc != 0)
		w->store = NULL;
	else
		rc = lbs_vdisk_open(w->store, NULL, &w->vdisk);
	/* A refused opening leaves no handle behind, as lbs_store_open does. */
	if (rc != 0) {
		end_process(w);
		start_process(w);
	}
	return rc;
}

int world_close(struct world *w)
{
	int rc;

	lbs_vdisk_close(w->vdisk);
	w->vdisk = NULL;
	rc = lbs_store_close(w->store);
	w->store = NULL;
	/* A clean close is a flush, of a store that could be written. */
	if (rc == 0 && !w->rdonly)
		model_flushed(w->model);
	w->card->ops->close(w->card);
	vfs_sim_free(w->vfs);
	start_process(w);
	return rc;
}

/* Nothing of what ending the process does may reach the disk. */
static void stop_process(struct world *w)
{
	simdisk_power_off(w->disk);
	end_process(w);
}

/* Another boot. The run page was never synced: it may be lost. */
static void lose_boot(struct world *w, uint64_t seed)
{
	w->boot++;
	model_lost_power(w->model);
	if (seed % 2 == 1)
		memset(&w->run, 0, sizeof(w->run));
}

void world_cut(struct world *w, enum sim_variant v, uint64_t seed)
{
	stop_process(w);
	simdisk_power_cycle(w->disk, v, seed);
	if (v != SIM_KEEP_ALL)
		lose_boot(w, seed);
	start_process(w);
}

void world_cut_sides(struct world *w, const enum sim_variant v[SIM_SIDES],
		     uint64_t seed)
{
	stop_process(w);
	simdisk_lose_power(w->disk, v, seed);
	lose_boot(w, seed);
	start_process(w);
}

void world_reboot(struct world *w)
{
	simdisk_shut_down(w->disk);
	w->boot++;
	memset(w->env.boot_id, w->boot, sizeof(w->env.boot_id));
}

/* A request longer than is atomic was refused, perhaps with a part of it done. */
static int refused_midway(struct world *w, uint64_t offset, size_t len)
{
	uint8_t *got = sim_alloc(len);
	int rc = lbs_vdisk_read(w->vdisk, got, len, w->shape.base_bytes + offset);

	if (rc == 0 && model_refused_midway(w->model, got, NULL) < 0)
		rc = 1;
	free(got);
	return rc;
}

static int answered(struct world *w, int rc, uint64_t offset, size_t len,
		    unsigned flags)
{
	if (rc == LBS_ENOSPC && model_is_long(w->model))
		rc = refused_midway(w, offset, len) ? 1 : rc;
	else if (rc == LBS_ENOSPC)
		model_refused(w->model);
	if (rc != 0)
		return rc;
	model_acked(w->model);
	if (flags & LBS_FUA)
		model_flushed(w->model);
	return 0;
}

int world_write(struct world *w, uint64_t offset, size_t len, unsigned flags)
{
	uint64_t op = model_issue(w->model, MODEL_WRITE, offset, len);
	uint8_t *buf = sim_alloc(len);
	int rc;

	model_fill(op, offset, buf, len);
	rc = lbs_vdisk_write(w->vdisk, buf, len, w->shape.base_bytes + offset,
			     flags);
	free(buf);
	return answered(w, rc, offset, len, flags);
}

int world_zero(struct world *w, uint64_t offset, size_t len, unsigned flags)
{
	int rc;

	model_issue(w->model, MODEL_ZERO, offset, len);
	rc = lbs_vdisk_write_zeroes(w->vdisk, len, w->shape.base_bytes + offset,
				    flags);
	return answered(w, rc, offset, len, flags);
}

int world_discard(struct world *w, uint64_t offset, size_t len, unsigned flags)
{
	int rc;

	model_issue(w->model, MODEL_DISCARD, offset, len);
	rc = lbs_vdisk_discard(w->vdisk, len, w->shape.base_bytes + offset,
			       flags);
	return answered(w, rc, offset, len, flags);
}

int world_flush(struct world *w)
{
	int rc = lbs_vdisk_flush(w->vdisk);

	if (rc == 0)
		model_flushed(w->model);
	return rc;
}

int world_read(struct world *w, uint64_t offset, size_t len)
{
	uint8_t *got = sim_alloc(len), *want = sim_alloc(len);
	int rc;

	rc = lbs_vdisk_read(w->vdisk, got, len, w->shape.base_bytes + offset);
	model_read(w->model, want, len, offset);
	if (rc == 0 && memcmp(got, want, len) != 0)
		rc = 1;
	free(got);
	free(want);
	return rc;
}

static int read_vdisk(void *ctx, void *buf, size_t len, uint64_t offset)
{
	struct world *w = ctx;

	return lbs_vdisk_read(w->vdisk, buf, len, w->shape.base_bytes + offset);
}

/* FORMAT.md section 9, "Live counts": 0, or what differs. */
static int check_live(lbs_store *s, char *why, size_t why_len)
{
	struct mapstore_region region = { .entries = map_scratch(s->map) };
	uint32_t *live = sim_alloc(s->geometry.segment_count * sizeof(*live));
	uint32_t layer = 1;
	uint64_t number = 0;
	int more, rc = 0;

	pthread_mutex_lock(&s->checkpointing);
	store_db_lock(s);
	while ((more = mapstore_next_region(s->meta, &layer, &number)) > 0) {
		more = mapstore_region_load(s->meta, layer, number++, &region);
		if (more < 0)
			break;
		for (uint32_t i = 0; i < MAP_REGION_BLOCKS; i++)
			if (region.entries[i])
				live[position_segment(region.entries[i])]++;
	}
	for (uint32_t i = 0; i < s->geometry.segment_count && rc == 0; i++) {
		struct segment_info info;

		segtab_info(s->segtab, i, &info);
		if (more == 0 && live[i] == (info.used ? info.live : 0))
			continue;
		snprintf(why, why_len, "segment %u counts %u live blocks, the "
			 "map %u (reading it: %d)", i, info.live, live[i], more);
		rc = -1;
	}
	store_db_unlock(s);
	pthread_mutex_unlock(&s->checkpointing);
	free(live);
	return rc;
}

int world_check(struct world *w, char *why, size_t why_len)
{
	int rc = model_check(w->model, read_vdisk, w, why, why_len);

	return rc < 0 ? rc : check_live(w->store, why, why_len) ? -1 : rc;
}

uint64_t world_stat(struct world *w, enum lbs_stat stat)
{
	uint64_t values[LBS_STAT_COUNT];

	lbs_store_stat(w->store, values);
	return values[stat];
}
