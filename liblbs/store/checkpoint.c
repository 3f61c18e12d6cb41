/*
 * checkpoint.c - makes the map in the metadata file agree with the log up to a
 * record, and frees what died. FORMAT.md section 9.
 *
 *   1. freeze the map's changes at a log position R (writers go on);
 *   2. flush: all that the frozen changes name is durable, the anchor is >= R;
 *   3. write the changes region by region in small transactions ("slices"),
 *      each with the live counts it changes and the newest anchor: a crash
 *      between slices leaves a map that replay from the old position brings to
 *      the same end, because replay repeats every change since then in order;
 *   4. one last transaction moves the log position to R, drops the pieces of
 *      the log before it, and frees segments (DESIGN.md conditions 8 and 9);
 *   5. forget the frozen changes; freed segments become room.
 */
#include "liblbs/store/internal.h"

#include <stdlib.h>
#include <string.h>

#include "liblbs/map/memtable.h"
#include "liblbs/meta/mapstore.h"

/* A slice ends when it has written about this much: what a flush may wait for. */
#define SLICE_BYTES (256u << 10)
/* A region's deltas are folded in when they reach a sixth of its pages, which
 * costs at most seven times their bytes and keeps reads to few rows. */
#define MERGE_MIN_BYTES (32u << 10)
#define MERGE_SHARE 6u
#define MERGE_ROWS 32u

struct slice {
	lbs_store *s;
	size_t bytes;		/* written in the open transaction; 0: none */
	int open;
	uint8_t *groups;	/* groups of live counts changed in it */
	uint32_t group_count;
};

static int
slice_begin(struct slice *sl)
{
	int rc;

	if (sl->open)
		return 0;
	pthread_mutex_lock(&sl->s->db);
	rc = meta_begin(sl->s->meta);
	if (rc)
		pthread_mutex_unlock(&sl->s->db);
	else
		sl->open = 1;
	sl->bytes = 0;
	return rc;
}

static int
write_live(struct slice *sl)
{
	uint32_t live[META_LIVE_GROUP];
	struct segment_info info;
	int rc = 0;

	for (uint32_t g = 0; g < sl->group_count && rc == 0; g++) {
		if (!sl->groups[g])
			continue;
		memset(live, 0, sizeof live);
		for (uint32_t i = 0; i < META_LIVE_GROUP; i++) {
			uint32_t seg = g * META_LIVE_GROUP + i;

			if (seg >= sl->s->geometry.segment_count)
				break;
			segtab_info(sl->s->segtab, seg, &info);
			live[i] = info.used ? info.live : 0;
		}
		rc = meta_live_put(sl->s->meta, g, live);
		sl->groups[g] = 0;
	}
	return rc;
}

/* Segments that the map names, or will: their salts must be known when the map
 * is read without replay. */
static int
write_segments(struct slice *sl)
{
	lbs_store *s = sl->s;
	struct segment_info info;
	int rc = 0;

	for (uint32_t i = 0; i < s->geometry.segment_count && rc == 0; i++) {
		segtab_info(s->segtab, i, &info);
		if (!info.used || info.in_metadata || !segtab_key(s->segtab, i))
			continue;
		struct meta_segment row = { i, info.serial, { 0 } };

		memcpy(row.salt, info.salt, SALT_BYTES);
		rc = meta_segment_put(s->meta, &row);
		segtab_set_in_metadata(s->segtab, i, 1);
	}
	return rc;
}

static int
slice_end(struct slice *sl)
{
	lbs_store *s = sl->s;
	struct meta_anchor before = s->anchor;
	struct cut cut;
	int rc;

	if (!sl->open)
		return 0;
	/* Each slice carries the anchor: a flush that waits for db behind it
	 * finds its work done (DESIGN.md condition 8). */
	pthread_mutex_lock(&s->synced_lock);
	cut = s->synced;
	pthread_mutex_unlock(&s->synced_lock);
	rc = write_live(sl);
	if (rc == 0)
		rc = store_anchor_in(s, &cut);
	if (rc)
		meta_rollback(s->meta);
	else
		rc = meta_commit(s->meta);
	if (rc) /* a flush that waits for db must not take it for committed */
		s->anchor = before;
	sl->open = 0;
	pthread_mutex_unlock(&s->db);
	return rc;
}

static void
change_live(struct slice *sl, uint64_t position, int32_t by)
{
	uint32_t segment = position_segment(position);

	segtab_live_add(sl->s->segtab, segment, by);
	sl->groups[segment / META_LIVE_GROUP] = 1;
}

/* Lays a run over a region's entries, keeping the live counts. from is where
 * the region begins. 1 if anything changed. */
static int
lay_run(struct slice *sl, struct mapstore_region *region, uint64_t from,
	const struct memtable_run *run)
{
	uint64_t at = run->key - from;
	int changed = 0;

	for (uint64_t i = 0; i < run->count; i++) {
		uint64_t *e = &region->entries[at + i];
		uint64_t value = run->value ? position_next(run->value, i) : 0;

		if (*e == value)
			continue;
		if (*e)
			change_live(sl, *e, -1);
		if (value)
			change_live(sl, value, 1);
		*e = value;
		region->dirty[(at + i) / MAP_PAGE_BLOCKS] = 1;
		changed = 1;
	}
	return changed;
}

/* Writes the runs [run, end) that lie in one region. */
static int
write_region(struct slice *sl, uint32_t layer, uint64_t number,
	     const struct memtable_run *run, const struct memtable_run *end)
{
	lbs_store *s = sl->s;
	uint64_t from = map_key(layer, number * MAP_REGION_BLOCKS);
	struct mapstore_region region = { .entries = map_scratch(s->map) };
	struct runs_writer w;
	int rc, changed = 0;

	rc = mapstore_region_load(s->meta, layer, number, &region);
	if (rc)
		return rc;
	runs_begin(&w, __builtin_ctz(s->geometry.segment_bytes / POSITION_UNIT));
	for (; run < end; run++) {
		changed |= lay_run(sl, &region, from, run);
		runs_put(&w, run->key - from, run->count, run->value);
		/* No page is loaded while db is held, so none is loaded stale;
		 * until the thaw readers see the frozen change first. */
		map_persisted(s->map, run);
	}
	if (runs_end(&w))
		return LBS_ENOMEM;
	if (!changed) { /* say, holes discarded again */
		free(w.buf);
		return 0;
	}
	if (region.delta_rows >= MERGE_ROWS ||
	    (region.delta_bytes + w.len >= MERGE_MIN_BYTES &&
	     region.delta_bytes + w.len >= region.base_bytes / MERGE_SHARE)) {
		rc = mapstore_region_merge(s->meta, layer, number, &region);
		sl->bytes += region.base_bytes + region.delta_bytes;
	} else {
		rc = mapstore_delta_add(s->meta, layer, number,
					region.delta_rows, w.buf, w.len);
	}
	sl->bytes += w.len;
	free(w.buf);
	return rc;
}

/* The part of a run before key end; the rest stays in run. */
static struct memtable_run
cut_run(struct memtable_run *run, uint64_t end)
{
	struct memtable_run part = *run;

	part.count = end - run->key;
	run->key = end;
	run->count -= part.count;
	if (run->value)
		run->value = position_next(run->value, part.count);
	return part;
}

/* A long hole changes nothing where the map has no row: moves it on to the next
 * region that has one, or leaves nothing of it. A discard of terabytes then
 * costs what was mapped, not what could be. */
static int
skip_regions(struct slice *sl, struct memtable_run *run)
{
	uint32_t layer = (uint32_t)(run->key >> 40), found = layer;
	uint64_t region = (run->key & LBA_MAX) / MAP_REGION_BLOCKS;
	uint64_t at = UINT64_MAX;
	int rc = slice_begin(sl);

	if (rc == 0)
		rc = mapstore_next_region(sl->s->meta, &found, &region);
	if (rc < 0)
		return rc;
	if (rc && found == layer)
		at = map_key(layer, region * MAP_REGION_BLOCKS);
	if (at >= run->key + run->count) {
		run->count = 0;
	} else if (at > run->key) {
		run->count -= at - run->key;
		run->key = at;
	}
	return 0;
}

static int
write_map(struct slice *sl, struct memtable_run *runs, size_t n)
{
	size_t i = 0, j;
	int rc = 0;

	while (rc == 0 && i < n) {
		if (!runs[i].value && runs[i].count >= MAP_REGION_BLOCKS) {
			rc = skip_regions(sl, &runs[i]);
			if (rc || !runs[i].count) {
				i++;
				continue;
			}
		}

		uint32_t layer = (uint32_t)(runs[i].key >> 40);
		uint64_t number = (runs[i].key & LBA_MAX) / MAP_REGION_BLOCKS;
		uint64_t end = map_key(layer, (number + 1) * MAP_REGION_BLOCKS);
		struct memtable_run rest = { 0 };

		for (j = i; j < n && runs[j].key < end; j++)
			if (runs[j].key + runs[j].count > end) {
				rest = runs[j];
				runs[j] = cut_run(&rest, end);
			}
		rc = slice_begin(sl);
		if (rc == 0)
			rc = write_region(sl, layer, number, &runs[i], &runs[j]);
		i = j;
		if (rest.count)
			runs[--i] = rest;
		if (rc == 0 && sl->bytes >= SLICE_BYTES)
			rc = slice_end(sl);
	}
	return rc;
}

/* ---- the last transaction ---------------------------------------------- */

/* The pieces that are left to replay when everything up to behind is in the
 * map. db is held. */
static int
pieces_behind(lbs_store *s, const struct log_position *behind,
	      struct meta_piece *out)
{
	struct segment_info info;
	int n = 0;

	for (int i = 0; i < s->piece_count; i++) {
		struct meta_piece p = s->pieces[i];

		if (p.end_recno && p.end_recno <= behind->recno)
			continue;
		if (p.first_recno <= behind->recno) {
			segtab_info(s->segtab, behind->segment, &info);
			p.first_recno = behind->recno + 1;
			p.segment = behind->segment;
			p.offset = behind->offset;
			p.serial = info.serial;
			memcpy(p.salt, info.salt, SALT_BYTES);
		}
		out[n++] = p;
	}
	return n;
}

/* Dead, and neither the log's replay nor the anchor's check needs it (DESIGN.md
 * condition 1). */
static int
is_free_now(lbs_store *s, uint32_t segment, const struct log_position *behind)
{
	struct segment_info info;

	segtab_info(s->segtab, segment, &info);
	return info.used && !info.live && info.last_recno <= behind->recno &&
	       segment != behind->segment &&
	       !(s->anchor.recno && segment == s->anchor.segment);
}

static int
finish(struct slice *sl, const struct log_position *behind, uint8_t *freed)
{
	lbs_store *s = sl->s;
	struct meta_piece pieces[PIECES_MAX];
	struct meta_state state = { s->session,
				    atomic_load(&s->checkpoint) + 1,
				    behind->recno };
	int n = 0, rc = slice_begin(sl);

	if (rc)
		return rc;
	rc = write_segments(sl);
	for (uint32_t i = 0; i < s->geometry.segment_count && rc == 0; i++) {
		freed[i] = (uint8_t)is_free_now(s, i, behind);
		if (freed[i])
			rc = meta_segment_delete(s->meta, i);
	}
	if (rc == 0) {
		n = pieces_behind(s, behind, pieces);
		rc = meta_pieces_set(s->meta, pieces, n);
	}
	if (rc == 0)
		rc = meta_state_set(s->meta, &state);
	if (rc) {
		meta_rollback(s->meta);
		sl->open = 0;
		pthread_mutex_unlock(&s->db);
		return rc;
	}
	/* The mirror moves with the commit, under the same lock. */
	memcpy(s->pieces, pieces, sizeof pieces[0] * (size_t)n);
	s->piece_count = n;
	rc = slice_end(sl);
	if (rc == 0) {
		atomic_store(&s->checkpoint, state.checkpoint);
		atomic_store(&s->checkpoint_recno, behind->recno);
	}
	return rc;
}

static int
write_checkpoint(lbs_store *s, const struct log_position *behind)
{
	uint32_t segments = s->geometry.segment_count;
	struct slice sl = { .s = s,
			    .group_count = segments / META_LIVE_GROUP + 1 };
	uint8_t *freed = calloc(segments, 1);
	struct memtable_run *runs;
	size_t n;
	int rc = LBS_ENOMEM;

	sl.groups = calloc(sl.group_count, 1);
	if (!freed || !sl.groups)
		goto out;
	rc = map_frozen_runs(s->map, &runs, &n);
	if (rc == 0)
		rc = slice_begin(&sl);
	if (rc == 0)
		rc = write_segments(&sl);
	if (rc == 0)
		rc = write_map(&sl, runs, n);
	if (rc == 0)
		rc = slice_end(&sl);
	if (rc == 0)
		rc = finish(&sl, behind, freed);
	if (rc == 0) {
		pthread_mutex_lock(&s->db);
		meta_fold(s->meta);
		pthread_mutex_unlock(&s->db);
	}
	if (rc)
		goto out;
	map_thaw(s->map);
	for (uint32_t i = 0; i < segments; i++)
		if (freed[i])
			segtab_release(s->segtab, i);
	count(s, LBS_STAT_CHECKPOINTS, 1);
out:
	if (sl.open) {
		meta_rollback(s->meta);
		pthread_mutex_unlock(&s->db);
	}
	free(sl.groups);
	free(freed);
	return rc;
}

int
store_checkpoint(lbs_store *s)
{
	struct log_position behind;
	struct stream_stats stats;
	int rc = store_may_write(s);

	if (rc)
		return rc;
	pthread_mutex_lock(&s->checkpointing);
	map_position(s->map, &behind);
	if (behind.recno <= atomic_load(&s->checkpoint_recno) &&
	    map_clean(s->map))
		goto out;
	stream_stats(s->stream, &stats);
	/* Only this function freezes and thaws, under checkpointing. */
	if (!map_freeze(s->map, &behind)) {
		rc = atomic_load(&s->failed) ? LBS_EFAILED : LBS_EINTERNAL;
		goto out;
	}
	rc = store_flush_anchored(s);
	if (rc == 0) {
		rc = write_checkpoint(s, &behind);
		if (rc)
			store_fail(s, rc, "a checkpoint could not be written: "
				   "make internal flash work and open the store "
				   "again");
	}
	atomic_store(&s->log_bytes_at_checkpoint, stats.log_bytes);
	(void)store_meta_has_room(s);
out:
	pthread_mutex_unlock(&s->checkpointing);
	return rc;
}
