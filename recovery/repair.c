/*
 * repair.c - mends what loses nothing, and on a yes what nobody can read anyway.
 * Must never make a hole of a block that a guest can ask for, nor write a place
 * on the card a second time under its key: what has a damaged header or index
 * is written elsewhere, as the guest would, and dies by itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "recovery/card.h"
#include "recovery/survey.h"

/* ---- segments ------------------------------------------------------------- */

/* Gives segments that only dangling entries point to a row with a salt under
 * which nothing was ever sealed. */
static int
keep_out(lbs_store *s, const struct survey *survey)
{
	struct meta_segment row = { .serial = 0 };
	int rc = 0;

	for (uint32_t i = 0; i < s->geometry.segment_count && rc == 0; i++) {
		if (survey->fault[i] != SEGMENT_UNKNOWN)
			continue;
		row.segment = i;
		secret_random(row.salt, SALT_BYTES);
		rc = meta_segment_put(s->meta, &row);
		if (rc == 0) {
			segtab_use(s->segtab, i, 0, row.salt, 0);
			segtab_set_in_metadata(s->segtab, i, 1);
		}
	}
	return rc;
}

static int
write_live(lbs_store *s, const uint32_t *live)
{
	uint32_t group[META_LIVE_GROUP], n = s->geometry.segment_count;
	int rc = 0;

	for (uint32_t g = 0; g * META_LIVE_GROUP < n && rc == 0; g++) {
		memset(group, 0, sizeof group);
		for (uint32_t i = 0; i < META_LIVE_GROUP; i++)
			if (g * META_LIVE_GROUP + i < n)
				group[i] = live[g * META_LIVE_GROUP + i];
		rc = meta_live_put(s->meta, g, group);
	}
	return rc;
}

/* Rows for what was unknown, and counts as the map has them, but not smaller
 * than they were without a yes: one commit. */
static int
mend_table(lbs_store *s, struct survey *survey, int yes)
{
	struct segment_info info;
	int rc;

	for (uint32_t i = 0; i < s->geometry.segment_count; i++) {
		segtab_info(s->segtab, i, &info);
		if (!yes && info.used && info.live > survey->live[i])
			survey->live[i] = info.live;
	}
	pthread_mutex_lock(&s->checkpointing);
	store_db_lock(s);
	rc = meta_begin(s->meta);
	if (rc == 0) {
		rc = keep_out(s, survey);
		if (rc == 0)
			rc = write_live(s, survey->live);
		if (rc == 0)
			rc = meta_commit(s->meta);
		else
			meta_rollback(s->meta);
	}
	for (uint32_t i = 0; i < s->geometry.segment_count && rc == 0; i++)
		segtab_live_set(s->segtab, i, survey->live[i]);
	store_db_unlock(s);
	pthread_mutex_unlock(&s->checkpointing);
	return rc;
}

/* ---- writing elsewhere ---------------------------------------------------- */

struct block {
	uint32_t layer;
	uint64_t lba;
};

struct evacuation {
	lbs_store *s;
	const struct survey *survey;
	struct block *blocks;
	size_t count, cap;
};

static int
is_to_leave(const struct survey *survey, uint64_t position)
{
	int fault = survey->fault[position_segment(position)];

	return fault == SEGMENT_HEADER || fault == SEGMENT_INDEX;
}

static int
collect(void *ctx, uint32_t layer, uint64_t region, struct mapstore_region *r)
{
	struct evacuation *e = ctx;

	for (uint32_t i = 0; i < MAP_REGION_BLOCKS; i++) {
		if (!r->entries[i] || !is_to_leave(e->survey, r->entries[i]))
			continue;
		if (e->count == e->cap) {
			size_t cap = e->cap ? 2 * e->cap : 4096;
			struct block *more =
				realloc(e->blocks, cap * sizeof *more);

			if (!more)
				return LBS_ENOMEM;
			e->blocks = more;
			e->cap = cap;
		}
		e->blocks[e->count++] = (struct block){
			layer, region * MAP_REGION_BLOCKS + i
		};
	}
	return 0;
}

/* 0: written; 1: it cannot be read and stays as it is; or an error. */
static int
move_block(lbs_store *s, const struct block *b, uint8_t *buf)
{
	const struct meta_vdisk *v = survey_vdisk(s, b->layer);
	uint64_t offset = b->lba * BLOCK_BYTES;
	size_t len = BLOCK_BYTES;
	lbs_vdisk *vdisk;
	int rc;

	if (!v || b->lba >= survey_blocks(v))
		return 1;
	if (offset + len > v->size_bytes)
		len = (size_t)(v->size_bytes - offset);
	rc = lbs_vdisk_open(s, v->name, &vdisk);
	if (rc)
		return rc;
	if (lbs_vdisk_read(vdisk, buf, len, offset))
		rc = 1;
	else
		rc = lbs_vdisk_write(vdisk, buf, len, offset, 0);
	lbs_vdisk_close(vdisk);
	return rc;
}

static int
evacuate(struct checker *c, const struct survey *survey)
{
	struct evacuation e = { .s = c->store, .survey = survey };
	uint8_t buf[BLOCK_BYTES];
	size_t moved = 0;
	int rc = survey_regions(c->store, collect, &e);

	for (size_t i = 0; i < e.count && rc >= 0; i++) {
		rc = move_block(c->store, &e.blocks[i], buf);
		moved += rc == 0;
	}
	/* Without room the segment stays as it is, and is told again. */
	if (rc > 0 || rc == LBS_ENOSPC)
		rc = 0;
	if (rc == 0 && moved)
		rc = lbs_store_checkpoint(c->store);
	if (rc == 0 && moved)
		check_report(c, FINDING_NOTE, "blocks-moved",
			     "%zu of %zu blocks were read and written elsewhere",
			     moved, e.count);
	memset(buf, 0, sizeof buf); /* guest data */
	free(e.blocks);
	return rc;
}

/* ---- on a yes ------------------------------------------------------------- */

static int
drop_beyond(void *ctx, uint32_t layer, uint64_t region, struct mapstore_region *r)
{
	lbs_store *s = ctx;
	const struct meta_vdisk *v = survey_vdisk(s, layer);
	uint64_t first = region * MAP_REGION_BLOCKS;
	int changed = 0;

	for (uint32_t i = 0; v && i < MAP_REGION_BLOCKS; i++) {
		if (!r->entries[i] || first + i < survey_blocks(v))
			continue;
		r->entries[i] = 0;
		changed = 1;
	}
	return changed ? mapstore_region_rewrite(s->meta, layer, region,
						 r->entries) : 0;
}

static int
adopt_layer(lbs_store *s, const struct survey *survey)
{
	struct meta_vdisk v = { .layer = survey->orphan_layer,
				.size_bytes = survey->orphan_blocks *
					      BLOCK_BYTES };
	int rc;

	for (int i = 0; i < s->vdisk_count; i++)
		if (s->vdisks[i].id >= v.id)
			v.id = s->vdisks[i].id + 1;
	v.id = v.id ? v.id : 1;
	snprintf(v.name, sizeof v.name, "recovered-%u", v.layer);
	store_db_lock(s);
	rc = meta_begin(s->meta);
	if (rc == 0) {
		rc = meta_vdisk_add(s->meta, &v);
		if (rc == 0)
			rc = meta_commit(s->meta);
		else
			meta_rollback(s->meta);
	}
	store_db_unlock(s);
	return rc;
}

static int
answer_yes(lbs_store *s, const struct survey *survey)
{
	int rc = 0;

	if (survey->beyond)
		rc = survey_regions(s, drop_beyond, s);
	if (rc == 0 && survey->orphan_layer)
		rc = adopt_layer(s, survey);
	return rc;
}

int
check_repair(struct checker *c, int yes)
{
	lbs_store *s = c->store;
	struct survey survey;
	int rc = survey_make(s, NULL, NULL, &survey);

	card_mend(c);
	if (rc == 0 && yes && (survey.beyond || survey.orphan_layer)) {
		rc = answer_yes(s, &survey);
		survey_free(&survey);
		if (rc)
			return rc;
		rc = survey_make(s, NULL, NULL, &survey);
	}
	if (rc == 0)
		rc = mend_table(s, &survey, yes);
	if (rc == 0)
		rc = evacuate(c, &survey);
	survey_free(&survey);
	return rc;
}
