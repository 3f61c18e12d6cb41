/*
 * slice.c - see slice.h. FORMAT.md section 9, "Checkpoint", step 2.
 */
#include "liblbs/store/slice.h"

#include <stdlib.h>
#include <string.h>

/* A slice ends when it has written about this much: what a flush may wait for. */
#define SLICE_BYTES (256u << 10)
/* Or when it has read so many times as much: that takes a few milliseconds, too. */
#define SLICE_READS 32u

int
slice_init(struct slice *sl, lbs_store *s)
{
	*sl = (struct slice){
		.s = s,
		.max_bytes = s->env.slice_bytes ? s->env.slice_bytes : SLICE_BYTES,
		.group_count = s->geometry.segment_count / META_LIVE_GROUP + 1,
	};
	sl->groups = calloc(sl->group_count, 1);
	return sl->groups ? 0 : LBS_ENOMEM;
}

int
slice_begin(struct slice *sl)
{
	int rc;

	if (sl->open)
		return 0;
	store_db_lock(sl->s);
	rc = meta_begin(sl->s->meta);
	if (rc)
		store_db_unlock(sl->s);
	else
		sl->open = 1;
	sl->bytes = sl->read = 0;
	return rc;
}

int
slice_full(const struct slice *sl)
{
	return sl->bytes >= sl->max_bytes ||
	       sl->read >= SLICE_READS * sl->max_bytes;
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

int
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
	store_db_unlock(s);
	return rc;
}

void
slice_free(struct slice *sl)
{
	if (sl->open) {
		meta_rollback(sl->s->meta);
		store_db_unlock(sl->s);
	}
	free(sl->groups);
}

void
slice_change_live(struct slice *sl, uint64_t position, int32_t by)
{
	uint32_t segment = position_segment(position);

	segtab_live_add(sl->s->segtab, segment, by);
	sl->groups[segment / META_LIVE_GROUP] = 1;
}
