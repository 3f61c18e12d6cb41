/*
 * check.c - see check.h. Works on an opened store: what opening itself refuses
 * is a finding of lbsck's already.
 */
#include "recovery/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "liblbs/meta/mapstore.h"
#include "liblbs/store/internal.h"

static void
report(struct checker *c, int severity, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void
report(struct checker *c, int severity, const char *code, const char *format, ...)
{
	struct finding f = { .code = code, .severity = severity };
	char sentence[512];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof sentence, format, args);
	va_end(args);
	f.sentence = sentence;
	c->repairable += severity == FINDING_REPAIRABLE;
	c->fn(c->ctx, &f);
}

/* ---- the map ------------------------------------------------------------ */

struct walk {
	struct checker *c;
	uint32_t *live;		/* per segment, counted from the map */
	uint64_t bad, beyond;	/* map entries that make no sense */
};

static const struct meta_vdisk *
vdisk_of_layer(lbs_store *s, uint32_t layer)
{
	for (int i = 0; i < s->vdisk_count; i++)
		if (s->vdisks[i].layer == layer)
			return &s->vdisks[i];
	return NULL;
}

static void
walk_entry(struct walk *w, uint32_t layer, uint64_t lba, uint64_t position)
{
	lbs_store *s = w->c->store;
	const struct meta_vdisk *v = vdisk_of_layer(s, layer);
	uint32_t segment = position_segment(position);
	uint32_t offset = position_offset(position);

	if (segment >= s->geometry.segment_count ||
	    offset < SEGMENT_HEADER_BYTES ||
	    offset + FRAME_BYTES > s->geometry.segment_bytes ||
	    !segtab_key(s->segtab, segment) ||
	    !segtab_is_filled(s->segtab, segment)) {
		w->bad++;
		return;
	}
	w->live[segment]++;
	if (!v || lba >= (v->size_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES)
		w->beyond++;
}

/* The persisted map, region by region. */
static int
walk_map(struct walk *w)
{
	lbs_store *s = w->c->store;
	struct mapstore_region region = { .entries = map_scratch(s->map) };
	uint32_t layer = 1;
	uint64_t number = 0;
	int more;

	pthread_mutex_lock(&s->checkpointing);
	pthread_mutex_lock(&s->db);
	while ((more = mapstore_next_region(s->meta, &layer, &number)) > 0) {
		more = mapstore_region_load(s->meta, layer, number, &region);
		if (more)
			break;
		for (uint32_t i = 0; i < MAP_REGION_BLOCKS; i++)
			if (region.entries[i])
				walk_entry(w, layer,
					   number * MAP_REGION_BLOCKS + i,
					   region.entries[i]);
		number++;
	}
	pthread_mutex_unlock(&s->db);
	pthread_mutex_unlock(&s->checkpointing);
	return more;
}

static int
check_map(struct checker *c)
{
	lbs_store *s = c->store;
	uint32_t n = s->geometry.segment_count, wrong = 0, first = 0;
	struct walk w = { .c = c, .live = calloc(n, sizeof *w.live) };
	struct segment_info info;
	int rc = w.live ? walk_map(&w) : LBS_ENOMEM;

	for (uint32_t i = 0; i < n && rc == 0; i++) {
		segtab_info(s->segtab, i, &info);
		if ((info.used ? info.live : 0) == w.live[i])
			continue;
		if (!wrong++)
			first = i;
	}
	if (wrong)
		report(c, FINDING_REPAIRABLE, "live-count",
		       "the count of live blocks is wrong for %u segments, first "
		       "segment %u: -p counts them again", wrong, first);
	if (w.bad)
		report(c, FINDING_ERROR, "map-position",
		       "%llu map entries point to where no block can be: those "
		       "blocks cannot be read; restore the metadata file from a "
		       "backup", (unsigned long long)w.bad);
	if (w.beyond)
		report(c, FINDING_ERROR, "map-beyond-end",
		       "%llu map entries lie beyond the end of their vdisk or in "
		       "no vdisk: restore the metadata file from a backup",
		       (unsigned long long)w.beyond);
	free(w.live);
	return rc;
}

/* ---- segments ----------------------------------------------------------- */

/* A segment that holds live blocks must bear the header of this very use. */
static int
check_segment(struct checker *c, uint32_t segment)
{
	lbs_store *s = c->store;
	struct scan_source src = { &s->sealer, &s->geometry, s->env.card, 0 };
	char name[MEDIUM_NAME_BYTES];
	struct segment_sealed header;
	struct segment_info info;
	struct index_entry *entries = NULL;
	struct index_head index;
	uint8_t salt[SALT_BYTES];
	uint64_t blocks = 0;
	int rc;

	segtab_info(s->segtab, segment, &info);
	if (!info.used || !info.live)
		return 0;
	medium_file_name(geometry_chunk(&s->geometry, segment), name);
	rc = scan_header(&src, segment, salt, &header);
	if (rc < 0) {
		report(c, FINDING_ERROR, "card-io",
		       "segment %u in %s cannot be read: check the card", segment,
		       name);
		return 0;
	}
	if (rc == SCAN_NONE || memcmp(salt, info.salt, SALT_BYTES)) {
		report(c, FINDING_ERROR,
		       rc == SCAN_NONE		       ? "segment-header"
		       : header.serial < info.serial ? "segment-older"
						     : "segment-newer",
		       "segment %u in %s, which holds %u live blocks, %s: "
		       "--scrub lists the blocks that cannot be read",
		       segment, name, info.live,
		       rc == SCAN_NONE		       ? "has a damaged header"
		       : header.serial < info.serial ? "is an older copy"
						     : "was written by a newer "
						       "metadata file");
		return 0;
	}
	rc = scan_index(&src, segment, segtab_key(s->segtab, segment), &index,
			&entries);
	for (uint32_t i = 0; rc == SCAN_OK && i < index.entry_count; i++)
		if (entries[i].kind == RECORD_DATA)
			blocks += entries[i].extent.count_blocks;
	/* The last segment of a session has no index: it was never closed. */
	if (rc == SCAN_OK && index.serial == info.serial && blocks < info.live)
		report(c, FINDING_ERROR, "segment-index",
		       "segment %u in %s holds %llu blocks by its index, but the "
		       "map counts %u there: run --scrub", segment, name,
		       (unsigned long long)blocks, info.live);
	free(entries);
	return rc == LBS_ENOMEM ? rc : 0;
}

static int
check_segments(struct checker *c)
{
	uint32_t n = c->store->geometry.segment_count;
	int rc = 0;

	for (uint32_t i = 0; i < n && rc == 0; i++)
		rc = check_segment(c, i);
	return rc;
}

int
check_store(struct checker *c)
{
	lbs_store *s = c->store;
	char text[256];
	int rc;

	pthread_mutex_lock(&s->db);
	rc = meta_integrity(s->meta, text, sizeof text);
	pthread_mutex_unlock(&s->db);
	if (rc) {
		report(c, FINDING_ERROR, "metadata-integrity",
		       "SQLite finds the metadata file damaged (%s): restore it "
		       "from a backup", text);
		return 0;
	}
	rc = check_map(c);
	return rc ? rc : check_segments(c);
}

/* ---- repair -------------------------------------------------------------- */

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

int
check_repair(struct checker *c)
{
	lbs_store *s = c->store;
	uint32_t n = s->geometry.segment_count;
	struct walk w = { .c = c, .live = calloc(n, sizeof *w.live) };
	int rc = w.live ? walk_map(&w) : LBS_ENOMEM;

	if (rc == 0) {
		pthread_mutex_lock(&s->checkpointing);
		pthread_mutex_lock(&s->db);
		rc = meta_begin(s->meta);
		if (rc == 0) {
			rc = write_live(s, w.live);
			if (rc == 0)
				rc = meta_commit(s->meta);
			else
				meta_rollback(s->meta);
		}
		for (uint32_t i = 0; i < n && rc == 0; i++)
			segtab_live_set(s->segtab, i, w.live[i]);
		pthread_mutex_unlock(&s->db);
		pthread_mutex_unlock(&s->checkpointing);
	}
	free(w.live);
	return rc;
}
