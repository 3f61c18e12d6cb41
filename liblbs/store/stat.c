/*
 * stat.c - what a store counts and what it is.
 */
#include <string.h>

#include "liblbs/grow.h"
#include "liblbs/store/clean.h"

static const char *const names[LBS_STAT_COUNT] = {
	[LBS_STAT_READ_OPS] = "read_ops",
	[LBS_STAT_READ_BYTES] = "read_bytes",
	[LBS_STAT_WRITE_OPS] = "write_ops",
	[LBS_STAT_WRITE_BYTES] = "write_bytes",
	[LBS_STAT_FLUSH_OPS] = "flush_ops",
	[LBS_STAT_DISCARD_OPS] = "discard_ops",
	[LBS_STAT_DISCARD_BYTES] = "discard_bytes",
	[LBS_STAT_ZERO_OPS] = "zero_ops",
	[LBS_STAT_ZERO_BYTES] = "zero_bytes",
	[LBS_STAT_RECORDS] = "records",
	[LBS_STAT_CARD_LOG_BYTES] = "card_log_bytes",
	[LBS_STAT_CARD_CLEAN_BYTES] = "card_clean_bytes",
	[LBS_STAT_CARD_FILL_BYTES] = "card_fill_bytes",
	[LBS_STAT_CARD_GIVEN_BACK_BYTES] = "card_given_back_bytes",
	[LBS_STAT_CARD_READ_BYTES] = "card_read_bytes",
	[LBS_STAT_CARD_WRITE_CALLS] = "card_write_calls",
	[LBS_STAT_CARD_READ_CALLS] = "card_read_calls",
	[LBS_STAT_CARD_PREFETCH_CALLS] = "card_prefetch_calls",
	[LBS_STAT_CARD_SYNCS] = "card_syncs",
	[LBS_STAT_META_COMMITS] = "meta_commits",
	[LBS_STAT_META_ANCHORS] = "meta_anchors",
	[LBS_STAT_META_BYTES] = "meta_bytes",
	[LBS_STAT_META_ANCHOR_BYTES] = "meta_anchor_bytes",
	[LBS_STAT_META_SYNCS] = "meta_syncs",
	[LBS_STAT_CHECKPOINTS] = "checkpoints",
	[LBS_STAT_INTEGRITY_ERRORS] = "integrity_errors",
	[LBS_STAT_IO_ERRORS] = "io_errors",
	[LBS_STAT_MAP_PAGE_HITS] = "map_page_hits",
	[LBS_STAT_MAP_PAGE_LOADS] = "map_page_loads",
	[LBS_STAT_REPLAY_RECORDS] = "replay_records",
	[LBS_STAT_REPLAY_BYTES_READ] = "replay_bytes_read",
	[LBS_STAT_REPLAY_REWRITTEN_RECORDS] = "replay_rewritten_records",
	[LBS_STAT_CLEANED_BLOCKS] = "cleaned_blocks",
	[LBS_STAT_CLEANED_SEGMENTS] = "cleaned_segments",
	[LBS_STAT_COMPRESS_IN_BYTES] = "compress_in_bytes",
	[LBS_STAT_COMPRESS_OUT_BYTES] = "compress_out_bytes",
	[LBS_STAT_SEGMENTS_TOTAL] = "segments_total",
	[LBS_STAT_SEGMENTS_FILLED] = "segments_filled",
	[LBS_STAT_SEGMENTS_FREE] = "segments_free",
	[LBS_STAT_SEGMENTS_RESERVE] = "segments_reserve",
	[LBS_STAT_LIVE_BLOCKS] = "live_blocks",
	[LBS_STAT_LIVE_BLOCKS_MAX] = "live_blocks_max",
	[LBS_STAT_CAPACITY_BYTES] = "capacity_bytes",
	[LBS_STAT_LIVE_BYTES] = "live_bytes",
	[LBS_STAT_DEAD_BYTES] = "dead_bytes",
	[LBS_STAT_FREE_BYTES] = "free_bytes",
	[LBS_STAT_RESERVE_BYTES] = "reserve_bytes",
	[LBS_STAT_MAP_BYTES] = "map_bytes",
	[LBS_STAT_MAP_BYTES_PEAK] = "map_bytes_peak",
	[LBS_STAT_MAP_LIMIT_BYTES] = "map_limit_bytes",
	[LBS_STAT_UNSYNCED_BYTES] = "unsynced_bytes",
	[LBS_STAT_LAST_RECORD] = "last_record",
	[LBS_STAT_DURABLE_RECORD] = "durable_record",
	[LBS_STAT_CHECKPOINT_RECORD] = "checkpoint_record",
	[LBS_STAT_FAILED] = "failed",
	[LBS_STAT_READ_ONLY] = "read_only",
	[LBS_STAT_TOTAL_WRITE_BYTES] = "total_write_bytes",
	[LBS_STAT_TOTAL_CARD_LOG_BYTES] = "total_card_log_bytes",
	[LBS_STAT_TOTAL_CARD_CLEAN_BYTES] = "total_card_clean_bytes",
	[LBS_STAT_TOTAL_CARD_FILL_BYTES] = "total_card_fill_bytes",
};

API const char *
lbs_stat_name(int stat)
{
	return stat >= 0 && stat < LBS_STAT_COUNT ? names[stat] : NULL;
}

void
store_totals(lbs_store *s, struct meta_total *out)
{
	struct stream_stats log = { 0 }, cold = { 0 };

	if (s->stream)
		stream_stats(s->stream, &log);
	if (s->cleaner)
		stream_stats(s->cleaner->stream, &cold);
	*out = s->before;
	out->guest_bytes += atomic_load(&s->stat[LBS_STAT_WRITE_BYTES]);
	out->log_bytes += log.page_bytes;
	out->clean_bytes += cold.page_bytes;
	out->fill_bytes += atomic_load(&s->stat[LBS_STAT_CARD_FILL_BYTES]);
}

/* Where the capacity is. What is open counts as dead where it is not written. */
static void
space(lbs_store *s, uint64_t v[LBS_STAT_COUNT])
{
	uint64_t segment = s->geometry.segment_bytes, used = 0, kept, free;

	for (uint32_t i = 0; i < s->geometry.segment_count; i++) {
		struct segment_info info;

		segtab_info(s->segtab, i, &info);
		v[LBS_STAT_LIVE_BLOCKS] += info.used ? info.live : 0;
		used += (uint64_t)info.used;
	}
	kept = store_room_kept(s, ROOM_ORDINARY);
	free = s->geometry.segment_count - used;
	if (kept > free)
		kept = free;
	v[LBS_STAT_LIVE_BLOCKS_MAX] = room_live_max(
		atomic_load(&s->card_full) ? (uint32_t)v[LBS_STAT_SEGMENTS_FILLED]
					   : s->geometry.segment_count,
		s->reserve_segments, s->geometry.segment_bytes);
	v[LBS_STAT_CAPACITY_BYTES] = s->geometry.segment_count * segment;
	v[LBS_STAT_LIVE_BYTES] = v[LBS_STAT_LIVE_BLOCKS] * FRAME_BYTES;
	if (v[LBS_STAT_LIVE_BYTES] > used * segment)
		v[LBS_STAT_LIVE_BYTES] = used * segment;
	v[LBS_STAT_DEAD_BYTES] = used * segment - v[LBS_STAT_LIVE_BYTES];
	v[LBS_STAT_FREE_BYTES] = (free - kept) * segment;
	v[LBS_STAT_RESERVE_BYTES] = kept * segment;
}

static void
read_all(lbs_store *s, uint64_t v[LBS_STAT_COUNT])
{
	struct meta_counters meta;
	struct stream_stats st = { 0 };
	struct log_position behind;
	struct map_stats map;
	struct meta_total total;
	uint32_t filled, free;

	for (int i = 0; i < LBS_STAT_COUNT; i++)
		v[i] = atomic_load(&s->stat[i]);
	/* In this order, so that none is beyond the next: what is durable was
	 * applied before, and what a checkpoint knows was durable. */
	v[LBS_STAT_CHECKPOINT_RECORD] = atomic_load(&s->checkpoint_recno);
	v[LBS_STAT_DURABLE_RECORD] = atomic_load(&s->durable_recno);
	map_position(s->map, &behind);
	v[LBS_STAT_LAST_RECORD] = behind.recno;
	if (s->stream) {
		stream_stats(s->stream, &st);
		v[LBS_STAT_RECORDS] = st.records;
		v[LBS_STAT_COMPRESS_IN_BYTES] = st.plain_bytes;
		v[LBS_STAT_COMPRESS_OUT_BYTES] = st.stored_bytes;
		v[LBS_STAT_CARD_LOG_BYTES] = st.page_bytes;
		v[LBS_STAT_CARD_WRITE_CALLS] = st.write_calls;
		v[LBS_STAT_UNSYNCED_BYTES] = st.unsynced_bytes;
	}
	store_db_lock(s);
	meta_counters(s->meta, &meta);
	v[LBS_STAT_META_ANCHORS] = s->anchor_commits;
	v[LBS_STAT_META_ANCHOR_BYTES] = s->anchor_bytes;
	store_db_unlock(s);
	v[LBS_STAT_META_COMMITS] = meta.commits;
	v[LBS_STAT_META_BYTES] = meta.bytes;
	v[LBS_STAT_META_SYNCS] = meta.syncs;
	map_stats(s->map, &map);
	v[LBS_STAT_MAP_PAGE_HITS] = map.page_hits;
	v[LBS_STAT_MAP_PAGE_LOADS] = map.page_loads;
	v[LBS_STAT_MAP_BYTES] = map.bytes;
	v[LBS_STAT_MAP_BYTES_PEAK] = map.peak_bytes;
	v[LBS_STAT_MAP_LIMIT_BYTES] = map.limit_bytes;
	segtab_room(s->segtab, &filled, &free);
	v[LBS_STAT_SEGMENTS_TOTAL] = s->geometry.segment_count;
	v[LBS_STAT_SEGMENTS_FILLED] = filled;
	v[LBS_STAT_SEGMENTS_FREE] = free;
	v[LBS_STAT_SEGMENTS_RESERVE] = s->reserve_segments;
	space(s, v);
	store_totals(s, &total);
	v[LBS_STAT_CARD_CLEAN_BYTES] = total.clean_bytes - s->before.clean_bytes;
	v[LBS_STAT_TOTAL_WRITE_BYTES] = total.guest_bytes;
	v[LBS_STAT_TOTAL_CARD_LOG_BYTES] = total.log_bytes;
	v[LBS_STAT_TOTAL_CARD_CLEAN_BYTES] = total.clean_bytes;
	v[LBS_STAT_TOTAL_CARD_FILL_BYTES] = total.fill_bytes;
	v[LBS_STAT_FAILED] = atomic_load(&s->failed) != 0;
	v[LBS_STAT_READ_ONLY] = (uint64_t)s->rdonly;
}

API void
lbs_store_stats(lbs_store *s, uint64_t *values, unsigned n)
{
	uint64_t all[LBS_STAT_COUNT] = { 0 };

	/* In a child a lock may be held by a thread that is not there. */
	if (s->forks == store_forks())
		read_all(s, all);
	for (unsigned i = 0; i < n; i++)
		values[i] = i < LBS_STAT_COUNT ? all[i] : 0;
}

API const char *
lbs_store_failure(lbs_store *s)
{
	return atomic_load(&s->failed) ? s->failure : "";
}

static void
fill_info(const struct meta_store *m, const struct meta_state *state,
	  uint32_t vdisks, struct lbs_store_info *info)
{
	info->format_version = m->format_version;
	info->features_must = m->features_must;
	info->features_may = m->features_may;
	memcpy(info->store_id, m->store_id, STORE_ID_BYTES);
	memcpy(info->data_dir, m->data_dir, sizeof info->data_dir);
	info->cipher = m->cipher;
	info->freshness = m->freshness;
	info->compress = meta_compress(m);
	info->block_size = m->block_size;
	info->vdisk_count = vdisks;
	info->segment_size_bytes = m->segment_size;
	info->chunk_size_bytes = m->chunk_size;
	info->capacity_bytes = (uint64_t)m->capacity_segments * m->segment_size;
	info->sessions = state->session;
	info->created_unix = m->created_unix;
}

API int
lbs_store_info(lbs_store *s, struct lbs_store_info *info)
{
	struct meta_state state = { .session = s->session };
	struct lbs_store_info own = { 0 };

	if (!info || info->struct_size < GROW_INFO)
		return LBS_EINVAL;
	if (s->forks != store_forks())
		return LBS_EFORK;
	fill_info(meta_store_row(s->meta), &state, (uint32_t)s->vdisk_count,
		  &own);
	grow_out(info, &own, sizeof own);
	return 0;
}

/* Properly while nobody holds the file; else the constant parts of it as they
 * lie there, without SQLite's log. */
static int
peek(const char *path, const struct logger *log, struct meta_store *store,
     struct meta_state *state)
{
	const struct logger quiet = { NULL, NULL };
	struct meta *m;
	int rc = meta_open(path, NULL, META_RDONLY, &quiet, &m);

	if (rc)
		return meta_peek(path, NULL, log, store, state);
	*store = *meta_store_row(m);
	rc = meta_state_get(m, state);
	meta_abandon(m);
	return rc;
}

API int
lbs_store_peek(const char *path, lbs_log_fn *fn, void *log_ctx,
	       struct lbs_store_info *info)
{
	struct logger log = { fn, log_ctx };
	struct meta_store store;
	struct meta_state state;
	struct lbs_store_info own = { 0 };
	int rc;

	if (!path || !info || info->struct_size < GROW_INFO)
		return LBS_EINVAL;
	rc = store_look(path, &log);
	if (rc == 0)
		rc = peek(path, &log, &store, &state);
	if (rc == 0) {
		fill_info(&store, &state, 1, &own);
		grow_out(info, &own, sizeof own);
	}
	return rc;
}

API int
lbs_store_vdisks(lbs_store *s,
		 int (*fn)(void *ctx, const char *name, uint64_t size_bytes),
		 void *ctx)
{
	if (s->forks != store_forks())
		return LBS_EFORK;
	for (int i = 0; i < s->vdisk_count; i++)
		if (fn(ctx, s->vdisks[i].name, s->vdisks[i].size_bytes))
			break;
	return 0;
}
