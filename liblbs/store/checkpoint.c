/*
 * checkpoint.c - makes the map in the metadata file agree with the log up to a
 * record, and frees what died. FORMAT.md section 9.
 *
 *   1. freeze the map's changes at a log position R (writers go on);
 *   2. flush: all that the frozen changes name is durable, in the cleaner's
 *      segments, too, and the anchor is >= R;
 *   3. write the changes region by region in small transactions ("slices"),
 *      each with the live counts it changes and the newest anchor: a crash
 *      between slices leaves a map that replay from the old position brings to
 *      the same end, because replay repeats every change since then in order;
 *   4. one last transaction moves the log position to R, drops the pieces of
 *      the log before it, and frees segments (DESIGN.md conditions 8 and 9);
 *   5. forget the frozen changes; freed segments become room.
 */
#include "liblbs/store/clean.h"
#include "liblbs/store/slice.h"

#include <stdlib.h>
#include <string.h>

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
		/* One look: it may be begun right after. */
		if (!info.used || info.in_metadata || !info.keyed)
			continue;
		struct meta_segment row = { i, info.serial, { 0 } };

		memcpy(row.salt, info.salt, SALT_BYTES);
		rc = meta_segment_put(s->meta, &row);
		segtab_set_in_metadata(s->segtab, i, 1);
	}
	return rc;
}

/* A checkpoint that wrote more than this has SQLite's log folded into the file and
 * emptied: as much as that may be long anyway (wal_autocheckpoint). */
#define FOLD_BYTES (64u * 4096)

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
	return info.used && !info.live && !info.held &&
	       info.last_recno <= behind->recno &&
	       segment != behind->segment &&
	       !(s->anchor.recno && segment == s->anchor.segment);
}

/* In the transaction of the last slice if that is open: a small checkpoint is one. */
static int
finish(struct slice *sl, const struct log_position *behind,
       const struct meta_total *total, uint8_t *freed)
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
	if (rc == 0)
		rc = meta_total_set(s->meta, total);
	if (rc)
		return rc;
	/* The mirror moves with the commit, under the same lock. */
	memcpy(s->pieces, pieces, sizeof pieces[0] * (size_t)n);
	s->piece_count = n;
	rc = slice_end(sl);
	if (rc == 0) {
		s->saved = *total;
		atomic_store(&s->checkpoint, state.checkpoint);
		atomic_store(&s->checkpoint_recno, behind->recno);
	}
	return rc;
}

static int
write_checkpoint(lbs_store *s, const struct log_position *behind)
{
	uint32_t segments = s->geometry.segment_count;
	struct slice sl;
	uint8_t *freed = calloc(segments, 1);
	struct meta_counters before, after;
	struct memtable_run *runs;
	struct meta_total total;
	size_t n;
	int rc = slice_init(&sl, s);

	/* Takes the streams' locks, which come before db. */
	store_totals(s, &total);
	store_db_lock(s);
	meta_counters(s->meta, &before);
	store_db_unlock(s);
	if (rc == 0 && !freed)
		rc = LBS_ENOMEM;
	if (rc == 0)
		rc = map_frozen_runs(s->map, &runs, &n);
	if (rc == 0)
		rc = slice_begin(&sl);
	if (rc == 0)
		rc = write_segments(&sl);
	if (rc == 0)
		rc = mapwrite(&sl, runs, n);
	if (rc == 0) {
		clean_written(s);
		rc = finish(&sl, behind, &total, freed);
	}
	if (rc == 0) {
		store_db_lock(s);
		meta_counters(s->meta, &after);
		/* Pages that each checkpoint changes go into the file once for
		 * several small ones, as SQLite's log fills up. */
		if (after.bytes - before.bytes > FOLD_BYTES)
			meta_fold(s->meta);
		store_db_unlock(s);
	}
	if (rc)
		goto out;
	store_room_count(s);
	map_thaw(s->map);
	for (uint32_t i = 0; i < segments; i++)
		if (freed[i])
			segtab_release(s->segtab, i);
	count(s, LBS_STAT_CHECKPOINTS, 1);
out:
	slice_free(&sl);
	free(freed);
	return rc;
}

int
store_checkpoint(lbs_store *s)
{
	struct log_position behind;
	struct stream_stats stats;
	int rc = store_may_write(s), freed;

	if (rc)
		return rc;
	pthread_mutex_lock(&s->checkpointing);
	map_position(s->map, &behind);
	freed = s->cleaner && atomic_exchange(&s->cleaner->freed, 0);
	if (behind.recno <= atomic_load(&s->checkpoint_recno) && !freed &&
	    map_clean(s->map))
		goto out;
	stream_stats(s->stream, &stats);
	/* Only this function freezes and thaws, under checkpointing. */
	if (!clean_freeze(s, &behind)) {
		rc = atomic_load(&s->failed) ? LBS_EFAILED : LBS_EINTERNAL;
		goto out;
	}
	rc = store_flush_anchored(s);
	if (rc == 0)
		rc = clean_sync(s);
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
