/*
 * clean_now.c - cleaning by hand: lbs_store_clean. Must stop by itself, when
 * nothing is to be gained any more.
 */
#include "liblbs/store/clean.h"

/* By hand a segment is cleaned when an eighth of it is dead: beyond that more is
 * written than is won. */
#define WORTH_SHARE 8u

static struct clean_worth
worth(const lbs_store *s)
{
	return (struct clean_worth){
		.max_live = s->segment_blocks - s->segment_blocks / WORTH_SHARE - 1,
		.wins = 1,
	};
}

/* Segments that a round could take: what progress is measured against. */
static uint64_t
candidates(lbs_store *s)
{
	struct segment_info info;
	uint64_t n = 0;

	for (uint32_t i = 0; i < s->geometry.segment_count; i++) {
		segtab_info(s->segtab, i, &info);
		n += info.used && !info.stuck && info.live &&
		     info.live <= worth(s).max_live;
	}
	return n;
}

API int
lbs_store_clean(lbs_store *s, unsigned flags, lbs_progress_fn *progress,
		void *ctx)
{
	uint64_t before = atomic_load(&s->stat[LBS_STAT_CLEANED_SEGMENTS]);
	uint64_t total, done = 0;
	int rc = store_may_write(s);

	if (flags & ~(unsigned)LBS_CLEAN_SHRINK)
		return LBS_EINVAL;
	/* The counts are those of the last checkpoint. */
	if (rc == 0)
		rc = store_checkpoint(s);
	if (rc)
		return rc;
	total = candidates(s);
	/* Writers may make more of them meanwhile: that is their cleaner's. */
	while (done < total || done == 0) {
		if (progress && progress(ctx, done * s->geometry.segment_bytes,
					 total * s->geometry.segment_bytes))
			return LBS_ECANCELLED;
		rc = clean_round(s, worth(s));
		if (rc <= 0)
			break;
		done = atomic_load(&s->stat[LBS_STAT_CLEANED_SEGMENTS]) - before;
	}
	if (rc >= 0 && flags & LBS_CLEAN_SHRINK)
		rc = store_shrink(s, progress, ctx);
	if (rc >= 0 && progress)
		progress(ctx, total * s->geometry.segment_bytes,
			 total * s->geometry.segment_bytes);
	return rc < 0 ? rc : 0;
}
