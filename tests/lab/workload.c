/*
 * workload.c - see workload.h.
 */
#include "tests/lab/workload.h"
#include "liblbs/format/layout.h"
#include "tests/lab/simimage.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KIB 1024u
#define MIB (1024u * KIB)
#define STEPS 110
#define SEGMENTS_KNOWN 112

const struct world_shape workload_shape = {
	.vdisk_bytes = 1280 * KIB + 3 * 512,
	.capacity_bytes = 102 * 64 * KIB,
	.segment_bytes = 64 * KIB,
	.chunk_bytes = 1 * MIB,
	.checkpoint_log_bytes = 384 * KIB,
	.slice_bytes = 40, /* less than a region has: folds are cut midway */
	.sync_bytes = 160 * KIB,
	.fill_ahead_bytes = 192 * KIB,
};

const struct world_shape workload_wide_shape = {
	.vdisk_bytes = 1280 * KIB + 3 * 512,
	.capacity_bytes = 200 * 64 * KIB,
	.segment_bytes = 64 * KIB,
	.chunk_bytes = 1 * MIB,
	.checkpoint_log_bytes = 64 * MIB, /* nothing is freed before all is used */
	.slice_bytes = 40,
	.sync_bytes = 64 * KIB,
	.fill_ahead_bytes = 64 * KIB,
};

int workload_spread(struct world *w)
{
	uint64_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < 260; i++)
		rc = world_write(w, i * 7 % 300 * MODEL_BLOCK, 11 * MODEL_BLOCK,
				 0);
	return rc;
}

/* The salt of a segment header lies at a fixed place (FORMAT.md section 5). */
struct salts {
	uint8_t salt[SEGMENTS_KNOWN][SALT_BYTES];
	int known[SEGMENTS_KNOWN];
};

struct run {
	struct world *w;
	uint64_t rng;
	struct workload_seen *seen;
	struct salts salts;
	char *why;
	size_t why_len;
};

static int failed(struct run *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A request went wrong: because power is off, or really. */
static int failed(struct run *r, const char *format, ...)
{
	va_list args;
	size_t n;

	if (simdisk_is_off(r->w->disk))
		return WORKLOAD_CUT;
	va_start(args, format);
	vsnprintf(r->why, r->why_len, format, args);
	va_end(args);
	n = strlen(r->why);
	if (r->w->log_text[0] != '\0' && n < r->why_len)
		snprintf(r->why + n, r->why_len - n, " [%s]", r->w->log_text);
	return WORKLOAD_FAILED;
}

static uint64_t below(struct run *r, uint64_t limit)
{
	return sim_random(&r->rng) % limit;
}

/* Counts segments whose salt has changed since it was last seen. */
static void look_at_card(struct run *r)
{
	struct world *w = r->w;
	uint64_t per_chunk = w->shape.chunk_bytes / w->shape.segment_bytes;
	uint8_t header[48];
	char name[MEDIUM_NAME_BYTES];
	uint32_t i;

	for (i = 0; i < SEGMENTS_KNOWN; i++) {
		medium_file_name((uint32_t)(i / per_chunk), name);
		if (simdisk_peek(w->disk, SIM_CARD, name, header, sizeof(header),
				 i % per_chunk * w->shape.segment_bytes) < 0)
			break;
		if (memcmp(header, "LBSseg1", 8) != 0 ||
		    (r->salts.known[i] && memcmp(r->salts.salt[i], header + 32,
						 SALT_BYTES) == 0))
			continue;
		r->seen->reuses += (uint64_t)r->salts.known[i];
		memcpy(r->salts.salt[i], header + 32, SALT_BYTES);
		r->salts.known[i] = 1;
	}
}

/* Before a store is closed or killed: what it counted. */
static void account(struct run *r)
{
	struct workload_seen *s = r->seen;

	if (s == NULL || r->w->store == NULL)
		return;
	look_at_card(r);
	s->checkpoints += world_stat(r->w, LBS_STAT_CHECKPOINTS);
	s->cleaned += world_stat(r->w, LBS_STAT_CLEANED_SEGMENTS);
	s->moved += world_stat(r->w, LBS_STAT_CLEANED_BLOCKS);
	s->log_segments += world_stat(r->w, LBS_STAT_CARD_LOG_BYTES) /
			   r->w->shape.segment_bytes;
}

static int reopen(struct run *r, int die)
{
	struct world *w = r->w;
	char why[400];
	int rc;

	account(r);
	if (die && !simdisk_is_off(w->disk)) {
		world_cut(w, SIM_KEEP_ALL, 0);
	} else {
		rc = world_close(w);
		if (rc != 0)
			return failed(r, "closing gave %s", lbs_error_word(rc));
	}
	rc = world_open(w, 0);
	if (rc != 0)
		return failed(r, "reopening gave %s", lbs_error_word(rc));
	if (world_check(w, why, sizeof(why)) < 0)
		return failed(r, "reopened: %s", why);
	if (r->seen != NULL) {
		r->seen->sessions++;
		r->seen->deaths += (uint64_t)die;
	}
	return 0;
}

/* The whole disk, in pieces that count as one request each. */
static int discard_all(struct run *r)
{
	uint64_t size = r->w->shape.vdisk_bytes / MODEL_BLOCK * MODEL_BLOCK;
	uint64_t at, n;
	int rc = 0;

	for (at = 0; rc == 0 && at < size; at += n) {
		n = size - at < MIB ? size - at : MIB;
		rc = world_discard(r->w, at, (size_t)n, 0);
	}
	return rc;
}

static int is_tight(const struct world *w)
{
	return w->shape.capacity_bytes < workload_shape.capacity_bytes;
}

/* A place for len bytes; every other one on a block. */
static uint64_t place(struct run *r, uint64_t len)
{
	uint64_t at = below(r, r->w->shape.vdisk_bytes - len + 1);

	return below(r, 2) ? at : at / MODEL_BLOCK * MODEL_BLOCK;
}

static int step_once(struct run *r, unsigned step)
{
	struct world *w = r->w;
	uint64_t dice = below(r, 100), len, size = w->shape.vdisk_bytes;

	if (step == 12)		/* the largest request that is atomic */
		return world_write(w, 4096 * 7 + 1001, MIB, 0);
	if (step == 50)
		return discard_all(r);
	if (step == 29 || step == 62 || step == 104)
		return lbs_store_clean(w->store, 0, NULL, NULL);
	if (step == 55) {	/* one that is not: two groups, within a block */
		len = MIB + 60 * KIB;
		return world_write(w, place(r, len + MODEL_BLOCK) / MODEL_BLOCK *
				      MODEL_BLOCK + 700, len, 0);
	}
	if (step == 90)
		return world_write(w, place(r, MIB), MIB, LBS_FUA);
	if (dice < 26) {
		len = MODEL_BLOCK * (1 + below(r, 4));
		return world_write(w, place(r, len) / MODEL_BLOCK * MODEL_BLOCK,
				   len, 0);
	}
	if (dice < 40) {
		len = 1 + below(r, MODEL_BLOCK);
		return world_write(w, below(r, size - len + 1), len, 0);
	}
	if (dice < 48) {
		len = 1 + below(r, 40 * KIB);
		return world_write(w, place(r, len), len, 0);
	}
	if (dice < 50) {
		len = 100 * KIB + below(r, 400 * KIB);
		return world_write(w, place(r, len), len, 0);
	}
	if (dice < 57) {
		/* The last block is not whole: discards stay clear of it. */
		len = 1 + below(r, 160 * KIB);
		return world_discard(w, below(r, size - 1536 - len), len, 0);
	}
	if (dice < 64) {
		/* Of whole blocks in every other step: they are freed then. */
		len = 1 + below(r, 60 * KIB);
		if (step % 2 == 0)
			len = (len + MODEL_BLOCK - 1) / MODEL_BLOCK * MODEL_BLOCK;
		return world_zero(w, place(r, len), len, 0);
	}
	if (dice < 76) {
		if (r->seen != NULL)
			r->seen->flushes++;
		return world_flush(w);
	}
	if (dice < 82) {
		len = 1 + below(r, 3 * MODEL_BLOCK);
		return world_write(w, place(r, len), len, LBS_FUA);
	}
	if (dice < 86)
		return world_zero(w, place(r, 6000), 6000, LBS_FUA);
	if (dice < 89)
		return lbs_store_checkpoint(w->store);
	len = 1 + below(r, 64 * KIB);
	return world_read(w, place(r, len), (size_t)len);
}

int workload_run(struct world *w, uint64_t seed, struct workload_seen *seen,
		 char *why, size_t why_len)
{
	struct run r = { .w = w, .rng = sim_mix(seed, 1), .seen = seen,
			 .why = why, .why_len = why_len };
	uint64_t begun = simdisk_ticks(w->disk);
	unsigned step;
	int rc;

	rc = world_open(w, 0);
	if (rc != 0)
		return failed(&r, "the first opening gave %s",
			      lbs_error_word(rc));
	for (step = 0; step < STEPS; step++) {
		if (step % 16 == 15) {
			rc = reopen(&r, step % 32 == 31);
			if (rc != 0)
				return rc;
			continue;
		}
		rc = step_once(&r, step);
		if (rc == LBS_ENOSPC && is_tight(w)) {
			/* Refused whole, and nothing else is wrong. */
			if (seen != NULL)
				seen->refusals++;
			rc = 0;
		}
		if (rc != 0)
			return failed(&r, "step %u gave %s", step,
				      rc == 1 ? "wrong bytes"
					      : lbs_error_word(rc));
		if (seen != NULL)
			look_at_card(&r);
	}
	account(&r);
	rc = world_close(w);
	if (rc != 0)
		return failed(&r, "closing gave %s", lbs_error_word(rc));
	if (seen != NULL) {
		seen->requests = model_issued(w->model);
		seen->ticks = simdisk_ticks(w->disk) - begun;
	}
	return WORKLOAD_DONE;
}

int workload_go_on(struct world *w)
{
	int rc = world_write(w, 3 * MODEL_BLOCK, 2 * MODEL_BLOCK, 0);

	/* On a full store a discard still works, and makes room. */
	if (rc == LBS_ENOSPC && is_tight(w)) {
		rc = world_discard(w, 0, MIB, 0);
		if (rc == 0)
			rc = lbs_store_checkpoint(w->store);
	}
	if (rc == 0)
		rc = world_write(w, 5 * MODEL_BLOCK + 700, 5000, LBS_FUA);
	if (rc == 0)
		rc = world_discard(w, 4 * MODEL_BLOCK - 9, 5000, 0);
	if (rc == 0)
		rc = world_zero(w, 100, 5000, 0);
	return rc == 0 ? world_flush(w) : rc;
}
