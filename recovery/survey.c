/*
 * survey.c - see survey.h. Only reads.
 *
 * A segment row with serial 0 is a place that was never written: lbsck gives one
 * to entries that lead nowhere, so that they count, give errors, and go away as
 * their blocks are written anew (FORMAT.md section 8).
 */
#include "recovery/survey.h"

#include <stdlib.h>
#include <string.h>

const struct meta_vdisk *
survey_vdisk(lbs_store *s, uint32_t layer)
{
	for (int i = 0; i < s->vdisk_count; i++)
		if (s->vdisks[i].layer == layer)
			return &s->vdisks[i];
	return NULL;
}

int
survey_regions(lbs_store *s, survey_region_fn *fn, void *ctx)
{
	struct mapstore_region *region = calloc(1, sizeof *region);
	uint32_t layer = 1;
	uint64_t number = 0;
	int more = region ? 0 : LBS_ENOMEM;

	if (!region)
		return more;
	region->entries = map_scratch(s->map);
	pthread_mutex_lock(&s->checkpointing);
	store_db_lock(s);
	while ((more = mapstore_next_region(s->meta, &layer, &number)) > 0) {
		more = mapstore_region_load(s->meta, layer, number, region);
		if (more == 0)
			more = fn(ctx, layer, number, region);
		if (more)
			break;
		number++;
	}
	store_db_unlock(s);
	pthread_mutex_unlock(&s->checkpointing);
	free(region);
	return more;
}

/* ---- the map ------------------------------------------------------------ */

struct walk {
	lbs_store *s;
	struct survey *out;
	survey_lost_fn *lost;
	void *ctx;
	const struct meta_vdisk *vdisk; /* of the open stretch */
	uint64_t at, count;	/* the open stretch of lost blocks */
};

static void
end_stretch(struct walk *w)
{
	if (w->count && w->lost)
		w->lost(w->ctx, w->vdisk, w->at, w->count);
	w->count = 0;
}

static void
add_lost(struct walk *w, const struct meta_vdisk *vdisk, uint64_t lba)
{
	if (w->count && (w->vdisk != vdisk || w->at + w->count != lba))
		end_stretch(w);
	if (!w->count) {
		w->vdisk = vdisk;
		w->at = lba;
	}
	w->count++;
}

static void
walk_entry(struct walk *w, uint32_t layer, uint64_t lba, uint64_t position)
{
	const struct meta_vdisk *v = survey_vdisk(w->s, layer);
	uint32_t segment = position_segment(position);
	uint32_t offset = position_offset(position);
	struct segment_info info;

	/* As checkpoints count: every entry, whatever it leads to. */
	w->out->live[segment]++;
	segtab_info(w->s->segtab, segment, &info);
	if (!info.used)
		w->out->fault[segment] = SEGMENT_UNKNOWN;
	if (!v) {
		w->out->orphan_layer = layer;
		w->out->orphan_blocks = lba + 1;
	} else if (lba >= survey_blocks(v)) {
		w->out->beyond++;
	} else if (!info.used || !info.serial ||
		   offset < SEGMENT_HEADER_BYTES ||
		   offset + FRAME_BYTES > w->s->geometry.segment_bytes) {
		add_lost(w, v, lba);
	}
}

static int
walk_region(void *ctx, uint32_t layer, uint64_t region, struct mapstore_region *r)
{
	for (uint32_t i = 0; i < MAP_REGION_BLOCKS; i++)
		if (r->entries[i])
			walk_entry(ctx, layer, region * MAP_REGION_BLOCKS + i,
				   r->entries[i]);
	return 0;
}

/* ---- segments ----------------------------------------------------------- */

struct use {
	uint64_t serial;
	uint32_t segment;
};

static int
by_serial(const void *a, const void *b)
{
	const struct use *x = a, *y = b;

	return x->serial < y->serial ? -1 : x->serial > y->serial;
}

/* A segment of the log was closed if the next use of its session is known: the
 * log went on there. The last one of a session has no index, rightly. */
static int
was_closed(struct scan_source *src, const struct use *uses, size_t n,
	   const struct segment_sealed *header)
{
	struct use next = { header->serial + 1, 0 };
	const struct use *found = bsearch(&next, uses, n, sizeof *uses,
					  by_serial);
	struct segment_sealed other;
	uint8_t salt[SALT_BYTES];

	return found && header->stream == STREAM_LOG &&
	       scan_header(src, found->segment, salt, &other) == SCAN_OK &&
	       other.serial == next.serial && other.stream == STREAM_LOG;
}

/* A segment that holds live blocks must bear the header of this very use, and
 * once closed an index that names at least as many. */
static int
look_at_segment(lbs_store *s, const struct use *uses, size_t n, uint32_t segment,
		uint32_t live, uint8_t *fault)
{
	struct scan_source src = { &s->sealer, &s->geometry, s->env.card, 0 };
	struct segment_sealed header;
	struct segment_info info;
	struct index_entry *entries = NULL;
	struct index_head index;
	uint8_t salt[SALT_BYTES];
	uint64_t blocks = 0;
	int rc;

	segtab_info(s->segtab, segment, &info);
	if (!info.used || !live || !info.serial)
		return 0;
	rc = scan_header(&src, segment, salt, &header);
	if (rc < 0) {
		*fault = SEGMENT_IO;
		return rc == LBS_ENOMEM ? rc : 0;
	}
	if (rc == SCAN_NONE || memcmp(salt, info.salt, SALT_BYTES)) {
		*fault = rc == SCAN_NONE	       ? SEGMENT_HEADER
			 : header.serial < info.serial ? SEGMENT_OLDER
						       : SEGMENT_NEWER;
		return 0;
	}
	rc = scan_index(&src, segment, segtab_key(s->segtab, segment), &index,
			&entries);
	if (rc == SCAN_OK && index.serial == info.serial) {
		for (uint32_t i = 0; i < index.entry_count; i++)
			if (entries[i].kind == RECORD_DATA)
				blocks += entries[i].extent.count_blocks;
		if (blocks < live)
			*fault = SEGMENT_INDEX;
	} else if (rc != LBS_ENOMEM && was_closed(&src, uses, n, &header)) {
		*fault = SEGMENT_INDEX;
	}
	free(entries);
	return rc == LBS_ENOMEM ? rc : 0;
}

static int
look_at_segments(lbs_store *s, struct survey *out)
{
	uint32_t count = s->geometry.segment_count;
	struct use *uses = calloc(count, sizeof *uses);
	struct segment_info info;
	size_t n = 0;
	int rc = uses ? 0 : LBS_ENOMEM;

	for (uint32_t i = 0; i < count && rc == 0; i++) {
		segtab_info(s->segtab, i, &info);
		if (info.used && info.serial)
			uses[n++] = (struct use){ info.serial, i };
	}
	if (rc == 0)
		qsort(uses, n, sizeof *uses, by_serial);
	for (uint32_t i = 0; i < count && rc == 0; i++)
		rc = look_at_segment(s, uses, n, i, out->live[i],
				     &out->fault[i]);
	free(uses);
	return rc;
}

int
survey_make(lbs_store *s, survey_lost_fn *lost, void *ctx, struct survey *out)
{
	uint32_t n = s->geometry.segment_count;
	struct walk w = { .s = s, .out = out, .lost = lost, .ctx = ctx };
	int rc = LBS_ENOMEM;

	*out = (struct survey){ .live = calloc(n, sizeof *out->live),
				.fault = calloc(n, 1) };
	if (out->live && out->fault)
		rc = survey_regions(s, walk_region, &w);
	end_stretch(&w);
	return rc ? rc : look_at_segments(s, out);
}

void
survey_free(struct survey *survey)
{
	free(survey->live);
	free(survey->fault);
}
