/*
 * oracle.c - see oracle.h, which has the rules in words.
 */
#include "tests/sim/oracle.h"
#include "tests/lab/simimage.h"
#include "tests/sim/history.h"
#include "tests/sim/pieces.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void oracle_begin(struct oracle *o, struct world *w)
{
	uint64_t size = w->shape.vdisk_bytes;

	memset(o, 0, sizeof(*o));
	o->w = w;
	o->blocks = (uint32_t)((size + MODEL_BLOCK - 1) / MODEL_BLOCK);
	o->history = history_new(o->blocks, MODEL_BLOCK,
				 (size_t)((size - 1) % MODEL_BLOCK + 1));
	o->unknown = sim_alloc(o->blocks);
}

void oracle_end(struct oracle *o)
{
	history_free(o->history);
	free(o->unknown);
}

int oracle_broken(struct oracle *o, const char *label, const char *format, ...)
{
	va_list args;
	size_t n;

	if (o->label[0] != '\0')
		return -1;
	snprintf(o->label, sizeof(o->label), "%s", label);
	va_start(args, format);
	vsnprintf(o->why, sizeof(o->why), format, args);
	va_end(args);
	n = strlen(o->why);
	if (o->w->log_text[0] != '\0' && n < sizeof(o->why))
		snprintf(o->why + n, sizeof(o->why) - n, " [%s]",
			 o->w->log_text);
	return -1;
}

static void add_damage(struct oracle *o, uint32_t blocks)
{
	if (blocks == ANY_NUMBER || o->may_be_damaged == ANY_NUMBER)
		o->may_be_damaged = ANY_NUMBER;
	else
		o->may_be_damaged += blocks;
}

void oracle_hurt(struct oracle *o, unsigned hurt, uint32_t blocks)
{
	o->hurt |= hurt;
	o->branched |= (hurt & HURT_OLD_FLASH) != 0;
	add_damage(o, blocks);
}

void oracle_issued(struct oracle *o, uint64_t offset, uint64_t len)
{
	uint64_t b, end = (offset + len + MODEL_BLOCK - 1) / MODEL_BLOCK;
	uint8_t block[MODEL_BLOCK];

	for (b = offset / MODEL_BLOCK; b < end; b++) {
		memset(block, 0, sizeof(block));
		model_read(o->w->model, block, MODEL_BLOCK, b * MODEL_BLOCK);
		history_add(o->history, (uint32_t)b, block);
	}
}

static uint32_t may_be_damaged(const struct oracle *o)
{
	return o->evicted ? ANY_NUMBER : o->may_be_damaged;
}

/* How much of len bytes lies in the block of the first of them. */
static size_t piece_of_block(uint64_t offset, size_t len)
{
	size_t n = MODEL_BLOCK - (size_t)(offset % MODEL_BLOCK);

	return n < len ? n : len;
}

/* ---- reading --------------------------------------------------------------- */

/* LBS_EIO means that a medium has just failed; a file that is gone for good is
 * damage like another. */
static int read_once(struct oracle *o, lbs_vdisk *v, void *buf, size_t len,
		     uint64_t offset)
{
	uint64_t struck = simdisk_fault_hits(o->w->disk);
	struct iovec iov[PIECES_MAX];
	int count = pieces_of(buf, len, offset, iov), rc;

	offset += o->w->shape.base_bytes;
	if (count == 1)
		rc = lbs_vdisk_read(v, buf, len, offset);
	else
		rc = lbs_vdisk_readv(v, iov, count, offset);
	o->scattered += count > 1;
	if (rc == LBS_EIO && o->lacks_files && !o->card_dead &&
	    simdisk_fault_hits(o->w->disk) == struck)
		rc = LBS_EDAMAGED;
	return rc;
}

/* Once more when a fault that was to come struck: it is spent. */
static int read_again(struct oracle *o, lbs_vdisk *v, void *buf, size_t len,
		      uint64_t offset)
{
	uint64_t struck = simdisk_fault_hits(o->w->disk);
	int rc = read_once(o, v, buf, len, offset);

	if (rc == LBS_EIO && simdisk_fault_hits(o->w->disk) != struck)
		rc = read_once(o, v, buf, len, offset);
	return rc;
}

/* As it is with the last request, or without it. */
static int is_either(const uint8_t *got, const uint8_t *with,
		     const uint8_t *without, size_t len)
{
	return memcmp(got, with, len) == 0 || memcmp(got, without, len) == 0;
}

/* What was read is what it should be. */
static int is_right(struct oracle *o, const uint8_t *got, size_t len,
		    uint64_t offset)
{
	uint8_t *with = sim_alloc(len), *without;
	size_t at, n;
	int right;

	model_read(o->w->model, with, len, offset);
	right = memcmp(got, with, len) == 0;
	if (!right && o->limbo) {
		without = sim_alloc(len);
		model_read_acked(o->w->model, without, len, offset);
		right = 1;
		for (at = 0; at < len && right; at += n) {
			n = len - at;
			if (model_is_long(o->w->model))
				n = piece_of_block(offset + at, n);
			right = is_either(got + at, with + at, without + at, n);
		}
		free(without);
	}
	free(with);
	return right;
}

/* Some block does not authenticate: the others must. */
static int read_around(struct oracle *o, lbs_vdisk *v, uint8_t *buf, size_t len,
		       uint64_t offset, uint32_t *damaged)
{
	size_t at, n;
	int rc;

	for (at = 0; at < len; at += n) {
		n = piece_of_block(offset + at, len - at);
		rc = read_again(o, v, buf + at, n, offset + at);
		if (rc == LBS_EDAMAGED) {
			++*damaged;
			continue;
		}
		if (rc != 0)
			return oracle_broken(o, "read-error",
					     "reading around damage at %llu gave %s",
					     (unsigned long long)(offset + at),
					     lbs_error_word(rc));
		if (!is_right(o, buf + at, n, offset + at))
			return oracle_broken(o, "wrong-data",
					     "%zu bytes at %llu are not what was "
					     "written, beside damage", n,
					     (unsigned long long)(offset + at));
	}
	return 0;
}

int oracle_read(struct oracle *o, lbs_vdisk *v, uint64_t offset, size_t len,
		uint32_t *damaged)
{
	uint64_t struck = simdisk_fault_hits(o->w->disk);
	uint8_t *buf = sim_alloc(len);
	int rc;

	*damaged = 0;
	rc = read_once(o, v, buf, len, offset);
	if (rc == LBS_EDAMAGED && may_be_damaged(o) > 0) {
		rc = read_around(o, v, buf, len, offset, damaged);
		if (rc == 0 && *damaged > may_be_damaged(o))
			rc = oracle_broken(o, "damage",
					   "%u blocks do not authenticate, %u "
					   "may", *damaged, may_be_damaged(o));
	} else if (rc == LBS_EIO &&
		   (o->card_dead || simdisk_fault_hits(o->w->disk) != struck)) {
		rc = 0;
	} else if (rc != 0) {
		rc = oracle_broken(o, "read-error", "reading %zu bytes at %llu "
				   "gave %s", len, (unsigned long long)offset,
				   lbs_error_word(rc));
	} else if (!is_right(o, buf, len, offset)) {
		rc = oracle_broken(o, "wrong-data", "%zu bytes at %llu are not "
				   "what was written", len,
				   (unsigned long long)offset);
	}
	free(buf);
	return rc;
}

/* Of a long request that failed: what is there now. */
static int look_midway(struct oracle *o, lbs_vdisk *v, uint64_t offset,
		       size_t len, uint32_t *damaged)
{
	uint8_t *got = sim_alloc(len);
	uint8_t *unreadable = sim_alloc(len / MODEL_BLOCK + 2);
	size_t at, n, i;
	int rc = 0;

	for (at = i = 0; at < len && rc == 0; at += n, i++) {
		n = piece_of_block(offset + at, len - at);
		rc = read_again(o, v, got + at, n, offset + at);
		unreadable[i] = rc != 0;
		*damaged += rc == LBS_EDAMAGED;
		if (rc == LBS_EDAMAGED || (rc == LBS_EIO && o->card_dead))
			rc = 0;
	}
	if (rc != 0)
		rc = oracle_broken(o, "read-error", "reading what a long request "
				   "left gave %s", lbs_error_word(rc));
	else if (*damaged > may_be_damaged(o))
		rc = oracle_broken(o, "damage", "%u blocks do not authenticate, %u "
				   "may", *damaged, may_be_damaged(o));
	else
		rc = model_refused_midway(o->w->model, got, unreadable);
	if (rc < 0)
		rc = oracle_broken(o, "wrong-data", "a request of %zu bytes at "
				   "%llu failed, and what it left is not its first "
				   "blocks", len, (unsigned long long)offset);
	free(unreadable);
	free(got);
	return rc < 0 ? -1 : rc > 0;
}

int oracle_refused(struct oracle *o, lbs_vdisk *v, uint64_t offset, size_t len,
		   uint32_t *damaged)
{
	*damaged = 0;
	if (model_is_long(o->w->model))
		return look_midway(o, v, offset, len, damaged);
	model_refused(o->w->model);
	return oracle_read(o, v, offset, len, damaged);
}

int oracle_hole(struct oracle *o, uint64_t offset, uint64_t len)
{
	uint8_t *zeroes = sim_alloc((size_t)len);
	int rc = 0;

	if (!is_right(o, zeroes, (size_t)len, offset))
		rc = oracle_broken(o, "wrong-hole", "%llu bytes at %llu are said "
				   "to be a hole, and are not zeroes",
				   (unsigned long long)len,
				   (unsigned long long)offset);
	free(zeroes);
	return rc;
}

/* ---- the whole disk -------------------------------------------------------- */

static int is_data(void *ctx, uint64_t offset, uint64_t len, int data)
{
	(void)offset;
	(void)len;
	*(int *)ctx |= data;
	return 0;
}

/* Nobody writes there. */
static int look_before(struct oracle *o)
{
	uint64_t struck = simdisk_fault_hits(o->w->disk);
	int data = 0, rc;

	rc = lbs_vdisk_extents(o->w->vdisk, o->w->shape.base_bytes, 0, is_data,
			       &data);
	if (rc != 0 && simdisk_fault_hits(o->w->disk) == struck)
		return oracle_broken(o, "extents", "extents gave %s without a "
				     "cause", lbs_error_word(rc));
	return data ? oracle_broken(o, "wrong-hole", "there is data where nobody "
				    "wrote") : 0;
}

int oracle_look(struct oracle *o, uint32_t *damaged)
{
	uint64_t size = o->w->shape.vdisk_bytes, at, n;
	uint32_t some;

	*damaged = 0;
	if (look_before(o) < 0)
		return -1;
	for (at = 0; at < size; at += n) {
		n = size - at < 65536 ? size - at : 65536;
		if (oracle_read(o, o->w->vdisk, at, (size_t)n, &some) < 0)
			return -1;
		*damaged += some;
	}
	if (*damaged > may_be_damaged(o))
		return oracle_broken(o, "damage", "%u blocks do not authenticate, "
				     "%u may", *damaged, may_be_damaged(o));
	return 0;
}

struct reading {
	struct oracle *o;
	int error;		/* other than that blocks are damaged */
};

static int read_some(void *ctx, void *buf, size_t len, uint64_t offset)
{
	struct reading *r = ctx;
	int rc = read_again(r->o, r->o->w->vdisk, buf, len, offset);

	if (rc != 0 && rc != LBS_EDAMAGED)
		r->error = rc;
	return rc;
}

/* The same for the model, which is not to judge blocks that are unknown. */
static int read_known(void *ctx, void *buf, size_t len, uint64_t offset)
{
	struct reading *r = ctx;
	uint64_t b, end = (offset + len + MODEL_BLOCK - 1) / MODEL_BLOCK;

	for (b = offset / MODEL_BLOCK; b < end; b++)
		if (r->o->unknown[b])
			return LBS_EDAMAGED;
	return read_some(r, buf, len, offset);
}

static uint32_t count_marked(const uint8_t *marks, uint32_t n)
{
	uint32_t i, count = 0;

	for (i = 0; i < n; i++)
		count += marks[i] != 0;
	return count;
}

static size_t block_len(const struct oracle *o, uint64_t at)
{
	return piece_of_block(at, (size_t)(o->w->shape.vdisk_bytes - at));
}

/* Reads a block into the disk that will be the beginning: a state of some time, or it
 * is unknown and taken as the model has it. */
static int take_block(struct reading *r, uint8_t *disk, uint64_t at)
{
	struct oracle *o = r->o;
	uint32_t block = (uint32_t)(at / MODEL_BLOCK);
	size_t n = block_len(o, at);

	o->unknown[block] = read_some(r, disk + at, n, at) != 0;
	if (r->error != 0)
		return oracle_broken(o, "read-error", "reading the block at %llu "
				     "gave %s", (unsigned long long)at,
				     lbs_error_word(r->error));
	if (o->unknown[block])
		model_read(o->w->model, disk + at, n, at);
	else if (!history_has(o->history, block, disk + at))
		return oracle_broken(o, "made-up-data", "the block at %llu has a "
				     "state that it never had",
				     (unsigned long long)at);
	return 0;
}

/* What is known of blocks that were not. */
static int settle_unknown(struct oracle *o)
{
	uint8_t *disk = sim_alloc((size_t)o->blocks * MODEL_BLOCK);
	struct reading r = { .o = o };
	uint32_t b;
	int rc = 0;

	model_read(o->w->model, disk, (size_t)o->w->shape.vdisk_bytes, 0);
	for (b = 0; b < o->blocks && rc == 0; b++)
		if (o->unknown[b])
			rc = take_block(&r, disk, (uint64_t)b * MODEL_BLOCK);
	if (rc == 0)
		model_adopt(o->w->model, disk);
	free(disk);
	return rc;
}

/* The disk is in a state that the promises allow. */
static int settle_promised(struct oracle *o)
{
	uint8_t *unreadable = sim_alloc(o->blocks);
	struct reading r = { .o = o };
	uint32_t unknown = count_marked(o->unknown, o->blocks);
	char why[500];
	int rc;

	rc = model_check_around(o->w->model, read_known, &r, unreadable, why,
				sizeof(why));
	o->found_part = rc == 0 && model_found_part(o->w->model);
	o->met_damaged = count_marked(unreadable, o->blocks) - unknown;
	if (r.error != 0)
		rc = oracle_broken(o, "read-error", "reading the whole disk gave "
				   "%s", lbs_error_word(r.error));
	else if (rc < 0)
		oracle_broken(o, "wrong-state", "%s", why);
	else if (unknown > 0)
		rc = settle_unknown(o);
	o->met_damaged += count_marked(o->unknown, o->blocks);
	if (rc == 0 && o->met_damaged > o->may_be_damaged)
		rc = oracle_broken(o, "damage", "%u blocks do not authenticate, "
				   "%u may", o->met_damaged, o->may_be_damaged);
	free(unreadable);
	return rc;
}

/* Each block is in a state that it once had; this is the new beginning. */
static int settle_anyhow(struct oracle *o)
{
	uint64_t size = o->w->shape.vdisk_bytes, at;
	uint8_t *disk = sim_alloc((size_t)o->blocks * MODEL_BLOCK);
	struct reading r = { .o = o };
	int rc = 0;

	for (at = 0; at < size && rc == 0; at += MODEL_BLOCK)
		rc = take_block(&r, disk, at);
	o->met_damaged = count_marked(o->unknown, o->blocks);
	model_adopt(o->w->model, disk);
	add_damage(o, o->met_damaged);
	free(disk);
	return rc;
}

/* With freshness=checkpoint nobody promised to notice that flushed data is gone
 * which no checkpoint knows. And what tells that internal flash is old lies on
 * the card: hurt in both, a store may look whole. */
static int may_lack_flushed(const struct oracle *o)
{
	unsigned card = o->hurt & ~(unsigned)HURT_OLD_FLASH;

	/* Nobody knows what a block holds that an older card shows again. */
	if (o->hurt & HURT_OLD_CARD && o->may_be_damaged > 0)
		return 1;
	return card != 0 &&
	       (o->w->shape.freshness == LBS_FRESHNESS_CHECKPOINT ||
		o->hurt & HURT_OLD_FLASH);
}

int oracle_settle(struct oracle *o)
{
	int rc;

	o->lacks_files |= o->consented &&
			  (o->hurt & (HURT_LOST | HURT_OLD_CARD)) != 0;
	o->found_part = 0;
	if (o->hurt != 0 && (o->consented || may_lack_flushed(o))) {
		rc = settle_anyhow(o);
	} else {
		if (o->consented)
			model_lost_power(o->w->model);
		rc = settle_promised(o);
	}
	o->consented = 0;
	return rc;
}

void oracle_forget(struct oracle *o)
{
	o->hurt = 0;
	o->may_be_damaged = o->met_damaged;
}

/* ---- refusals --------------------------------------------------------------- */

/* Acknowledged, or failed in its flush alone: the store cannot tell them apart
 * after a failure. */
static int since_flush(const struct oracle *o)
{
	return model_issued(o->w->model) != model_flushed_op(o->w->model);
}

/* Internal flash knows files that an accepted loss has shortened. */
static int knows_lost_files(const struct oracle *o)
{
	return (o->hurt & HURT_OLD_FLASH) != 0 && o->lacks_files;
}

int oracle_may_refuse(const struct oracle *o, int verdict)
{
	unsigned hurt = o->hurt;

	switch (verdict) {
	case LBS_EDATAMISSING:
		return o->consented || knows_lost_files(o) || (hurt & ~(unsigned)HURT_OLD_FLASH) != 0 ||
		       (o->at_risk && since_flush(o));
	case LBS_EDAMAGED:
		return (hurt & (HURT_ROT | HURT_STRAY | HURT_LOST)) != 0 ||
		       (o->at_risk && since_flush(o));
	case LBS_ESTALECARD: /* astray: the header of a use of a segment */
		/* Who died while accepting a loss may hear it in other words. */
		return o->consented ||
		       (hurt & (HURT_LOST | HURT_OLD_CARD | HURT_STRAY)) != 0;
	case LBS_ECARDMISSING:
		return knows_lost_files(o) ||
		       (hurt & (HURT_LOST | HURT_OLD_CARD)) != 0;
	case LBS_ESTALEMETA:
		return hurt != 0 && o->branched;
	default:
		return 0;
	}
}
