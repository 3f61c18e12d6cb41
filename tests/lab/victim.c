/*
 * victim.c - see victim.h.
 */
#include "tests/lab/victim.h"
#include "crypto/kdf.h"
#include "liblbs/store/internal.h"
#include "tests/lab/medium_sim.h"
#include "tests/lab/simimage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB 1024u

/* Small enough that every byte of what is in use can be flipped, large enough that
 * the cleaner has nothing to do: it would make durable what a test has not. */
static const struct world_shape shape = {
	.vdisk_bytes = 320 * KIB,
	.capacity_bytes = 6 * 1024 * KIB,
	.segment_bytes = 64 * KIB,
	.chunk_bytes = 256 * KIB,
	.checkpoint_log_bytes = 64 * 1024 * KIB,
	.sync_bytes = 1024 * KIB,
	.fill_ahead_bytes = 64 * KIB,
};

static void must(const struct world *w, int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "victim: %s gave %s [%s]\n", what,
		rc > 0 ? "wrong bytes" : lbs_error_word(rc), w->log_text);
	exit(1);
}

static void put(struct world *w, uint64_t block, unsigned count)
{
	must(w, world_write(w, block * MODEL_BLOCK, count * MODEL_BLOCK, 0),
	     "writing");
}

/* Blocks here and there, some twice, some together, some not whole; holes. */
static void work(struct world *w, uint64_t seed, unsigned requests)
{
	uint64_t last = w->shape.vdisk_bytes / MODEL_BLOCK;
	unsigned i;

	for (i = 0; i < requests; i++) {
		uint64_t at = sim_mix(seed, i) % (last - 6);

		if (i % 9 == 4)
			must(w, world_discard(w, at * MODEL_BLOCK,
					      3 * MODEL_BLOCK, 0), "discarding");
		else if (i % 9 == 7)
			must(w, world_write(w, at * MODEL_BLOCK + 512, 5120, 0),
			     "writing");
		else
			put(w, at, i % 5 == 0 ? 4 : 1);
		if (i % 4 == 3)
			must(w, world_flush(w), "flushing");
	}
	must(w, world_flush(w), "flushing");
}

static void remember(struct victim *v)
{
	v->old[v->old_count++] = simdisk_copy(v->w->disk, SIM_CARD);
}

/* Fills and empties the disk until segments are written anew. */
static void churn(struct world *w, uint64_t seed)
{
	unsigned i;

	for (i = 0; i < 6; i++) {
		must(w, world_discard(w, 0, w->shape.vdisk_bytes, 0),
		     "discarding");
		must(w, lbs_store_checkpoint(w->store), "a checkpoint");
		put(w, sim_mix(seed, i) % 8, 64);
		put(w, 8, 64);
	}
	must(w, world_flush(w), "flushing");
}

static void live(struct victim *v, enum victim_state state, uint64_t seed)
{
	struct world *w = v->w;

	must(w, world_create(w), "creating");
	must(w, world_open(w, 0), "opening");
	work(w, seed, 12);
	remember(v);
	churn(w, seed);
	must(w, world_close(w), "closing");
	remember(v);
	must(w, world_open(w, 0), "opening");
	churn(w, seed + 1);
	must(w, world_discard(w, 0, w->shape.vdisk_bytes, 0), "discarding");
	work(w, seed + 2, 12);
	must(w, lbs_store_checkpoint(w->store), "a checkpoint");
	work(w, seed + 3, 6);
	remember(v);
	work(w, seed + 4, 14);
	remember(v);
	work(w, seed + 5, 5);
	if (state == VICTIM_CLOSED) {
		must(w, world_close(w), "closing");
		return;
	}
	world_cut(w, SIM_KEEP_ALL, 0);
	w->boot++;
	memset(w->env.boot_id, w->boot, sizeof(w->env.boot_id));
}

/* Keys, segments in use, and the truth, by opening it once untouched. */
static void learn(struct victim *v)
{
	struct world *w = v->w;
	struct log_position end;
	uint32_t i, k;

	must(w, world_open(w, LBS_RDONLY), "opening for reading");
	v->sealer = w->store->sealer;
	memcpy(v->data_key, v->sealer.data_key, sizeof(v->data_key));
	v->sealer.data_key = v->data_key;
	if (v->sealer.zip != NULL) /* the store's own goes with it */
		v->sealer.zip = zip_new(w->shape.compress);
	v->geometry = w->store->geometry;
	v->live = sim_alloc(v->geometry.segment_count * sizeof(*v->live));
	v->segments = sim_alloc(v->geometry.segment_count *
				sizeof(*v->segments));
	for (i = 0; i < v->geometry.segment_count; i++) {
		struct victim_segment *s = &v->segments[v->segment_count];
		struct segment_info info;

		segtab_info(w->store->segtab, i, &info);
		if (!info.used)
			continue;
		s->segment = i;
		memcpy(s->salt, info.salt, SALT_BYTES);
		kdf_segment_key(v->data_key, v->sealer.store_id, i, s->salt,
				s->key);
		v->live[v->segment_count++] = 0;
	}
	map_position(w->store->map, &end);
	v->last_segment = end.segment;
	for (i = 0; i < v->blocks; i++)
		must(w, world_read(w, (uint64_t)i * MODEL_BLOCK, MODEL_BLOCK),
		     "reading");
	must(w, lbs_vdisk_read(w->vdisk, v->truth, w->shape.vdisk_bytes, 0),
	     "reading");
	must(w, map_lookup(w->store->map, 1, 0, v->blocks, v->positions, NULL,
			   NULL), "the map");
	for (i = 0; i < v->blocks; i++)
		for (k = 0; k < v->segment_count && v->positions[i] != 0; k++)
			v->live[k] += v->segments[k].segment ==
				      position_segment(v->positions[i]);
	must(w, world_close(w), "closing");
}

struct victim *victim_new(enum victim_state state, uint64_t seed)
{
	return victim_new_zip(state, seed, LBS_COMPRESS_NONE);
}

struct victim *victim_new_zip(enum victim_state state, uint64_t seed,
			      int compress)
{
	struct victim *v = sim_alloc(sizeof(*v));
	struct world_shape own = shape;

	own.compress = compress;
	v->w = world_new(&own);
	v->blocks = (uint32_t)(shape.vdisk_bytes / MODEL_BLOCK);
	v->truth = sim_alloc(shape.vdisk_bytes);
	v->positions = sim_alloc(v->blocks * sizeof(*v->positions));
	live(v, state, seed);
	learn(v);
	return v;
}

void victim_free(struct victim *v)
{
	uint32_t i;

	if (v == NULL)
		return;
	for (i = 0; i < v->old_count; i++)
		sim_copy_free(v->old[i]);
	world_free(v->w);
	zip_free(v->sealer.zip);
	free(v->truth);
	free(v->positions);
	free(v->segments);
	free(v->live);
	free(v);
}

/* ---- looking ---------------------------------------------------------------- */

static void read_all(struct world *w, const uint8_t *truth, uint32_t blocks,
		     struct looked *l)
{
	uint8_t buf[MODEL_BLOCK];
	uint32_t i;
	int rc;

	for (i = 0; i < blocks; i++) {
		memset(buf, 0xee, sizeof(buf));
		rc = lbs_vdisk_read(w->vdisk, buf, sizeof(buf),
				    (uint64_t)i * MODEL_BLOCK);
		if (rc == LBS_EDAMAGED) {
			if (l->errors++ == 0)
				l->first_error = i;
		} else if (rc != 0 || memcmp(buf, truth + (size_t)i * MODEL_BLOCK,
					     sizeof(buf)) != 0) {
			l->wrong++;
		}
	}
}

/* world_open with the smallest map: most of the time goes into making it. */
static int open_lean(struct world *w)
{
	struct lbs_open_options o = { .struct_size = sizeof(o),
				      .flags = LBS_RDONLY,
				      .map_limit_bytes = MAP_LIMIT_MIN };
	int rc = store_open_env(&w->env, &o, &w->store);

	if (rc != 0)
		w->store = NULL;
	return rc != 0 ? rc : lbs_vdisk_open(w->store, NULL, &w->vdisk);
}

struct looked victim_look(struct victim *v)
{
	struct looked l = { 0, 0, 0, 0 };
	uint64_t ticks = simdisk_ticks(v->w->disk);

	l.rc = open_lean(v->w);
	if (l.rc == 0)
		read_all(v->w, v->truth, v->blocks, &l);
	/* Also when opening failed: no handle to the card outlives the look. */
	must(v->w, world_close(v->w), "closing");
	if (simdisk_ticks(v->w->disk) != ticks) {
		fprintf(stderr, "victim: a reader wrote\n");
		exit(1);
	}
	return l;
}

struct looked victim_live_on(struct victim *v)
{
	struct looked l = { 0, 0, 0, 0 };
	struct world *w = world_clone(v->w);
	uint8_t *truth = sim_alloc(v->w->shape.vdisk_bytes);
	uint32_t errors;

	memcpy(truth, v->truth, v->w->shape.vdisk_bytes);
	l.rc = world_open(w, 0);
	if (l.rc != 0)
		goto out;
	read_all(w, truth, v->blocks, &l);
	/* A whole block written over a damaged one heals it. */
	memset(truth + (size_t)l.first_error * MODEL_BLOCK, 0x5a, MODEL_BLOCK);
	must(w, lbs_vdisk_write(w->vdisk, truth + (size_t)l.first_error *
				MODEL_BLOCK, MODEL_BLOCK,
				(uint64_t)l.first_error * MODEL_BLOCK, LBS_FUA),
	     "writing on");
	errors = l.errors ? l.errors - 1 : 0;
	must(w, world_close(w), "closing");
	must(w, world_open(w, 0), "opening again");
	l.errors = 0;
	read_all(w, truth, v->blocks, &l);
	if (l.errors != errors) {
		fprintf(stderr, "victim: %u blocks are damaged after living "
			"on, not %u\n", l.errors, errors);
		l.wrong++;
	}
	must(w, world_close(w), "closing again");
out:
	free(truth);
	world_free(w);
	return l;
}

/* ---- places ------------------------------------------------------------------ */

void victim_where(const struct victim *v, uint32_t segment,
		  char name[MEDIUM_NAME_BYTES], uint64_t *at)
{
	medium_file_name(geometry_chunk(&v->geometry, segment), name);
	*at = geometry_offset(&v->geometry, segment);
}

void victim_get(const struct victim *v, uint32_t segment, uint32_t offset,
		void *buf, size_t len)
{
	char name[MEDIUM_NAME_BYTES];
	uint64_t at;

	victim_where(v, segment, name, &at);
	must(v->w, simdisk_peek(v->w->disk, SIM_CARD, name, buf, len,
				at + offset), "looking at the card");
}

void victim_put(struct victim *v, uint32_t segment, uint32_t offset,
		const void *buf, size_t len)
{
	char name[MEDIUM_NAME_BYTES];
	uint64_t at;

	victim_where(v, segment, name, &at);
	must(v->w, simdisk_poke(v->w->disk, SIM_CARD, name, buf, len,
				at + offset), "changing the card");
}

uint32_t victim_frame_bytes(const struct victim *v, uint32_t segment,
			    uint32_t offset)
{
	int vary = sealer_varies(&v->sealer);
	uint8_t head[NONCE_RANDOM_BYTES + 2];

	victim_get(v, segment, offset, head, sizeof(head));
	return frame_bytes(vary, vary ? get16(head + NONCE_RANDOM_BYTES)
				      : BLOCK_BYTES);
}

int victim_records(struct victim *v, const struct victim_segment *segment,
		   void (*fn)(void *ctx, const struct victim_segment *segment,
			      const struct victim_record *record),
		   void *ctx)
{
	struct medium *card = medium_sim_new(v->w->disk);
	struct scan_source src = { &v->sealer, &v->geometry, card, 0 };
	struct victim_record *r = sim_alloc(sizeof(*r));
	struct scanner *sc = sim_alloc(sizeof(*sc));
	int n = 0;

	card->ops->open(card, geometry_chunk(&v->geometry, segment->segment),
			MEDIUM_OPEN_RDONLY);
	if (scanner_begin(sc, &src, segment->segment, segment->key,
			  SEGMENT_HEADER_BYTES) != 0)
		exit(1);
	while (scanner_next(sc, 0, &r->desc, &r->offset) == SCAN_OK) {
		r->bytes = sc->cursor - r->offset;
		r->entries = sc->entries;
		r->entry_count = sc->entry_count;
		fn(ctx, segment, r);
		n++;
	}
	scanner_end(sc);
	free(sc);
	free(r);
	card->ops->close(card);
	return n;
}
