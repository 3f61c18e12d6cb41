/*
 * survey.h - the persisted map and the segment table laid side by side: what
 * lbsck tells and what it mends are read off the same survey.
 */
#ifndef LBS_RECOVERY_SURVEY_H
#define LBS_RECOVERY_SURVEY_H

#include "liblbs/meta/mapstore.h"
#include "liblbs/store/internal.h"

/* What is wrong with a segment that the map points to. */
enum segment_fault {
	SEGMENT_SOUND,
	SEGMENT_UNKNOWN,	/* the metadata has no key for it */
	SEGMENT_IO,		/* cannot be read */
	SEGMENT_HEADER,		/* no authentic header */
	SEGMENT_OLDER,		/* another use: an older one, */
	SEGMENT_NEWER,		/* or one of a newer metadata file */
	SEGMENT_INDEX		/* closed, but no authentic index */
};

struct survey {
	uint32_t *live;		/* per segment: entries of the persisted map */
	uint8_t *fault;		/* per segment: enum segment_fault */
	uint64_t beyond;	/* entries beyond the end of their vdisk */
	uint32_t orphan_layer;	/* a layer of no vdisk, or 0 */
	uint64_t orphan_blocks;	/* where its last entry ends */
};

/* A stretch of blocks of a vdisk that are known to be lost without reading them:
 * the map points to where no block can be. */
typedef void survey_lost_fn(void *ctx, const struct meta_vdisk *vdisk,
			    uint64_t lba, uint64_t count);

/* Makes the survey; survey_free releases it, also after an error. lost may be
 * NULL. LBS_ECORRUPT: a row of the map makes no sense. */
int survey_make(lbs_store *s, survey_lost_fn *lost, void *ctx,
		struct survey *out);
void survey_free(struct survey *survey);

/* Calls fn for each region of the persisted map, in order, under the locks that
 * keep it still; fn must not call into the store. The entries are valid during
 * the call. */
typedef int survey_region_fn(void *ctx, uint32_t layer, uint64_t region,
			     struct mapstore_region *r);
int survey_regions(lbs_store *s, survey_region_fn *fn, void *ctx);

/* The vdisk that writes to a layer, or NULL. */
const struct meta_vdisk *survey_vdisk(lbs_store *s, uint32_t layer);
static inline uint64_t
survey_blocks(const struct meta_vdisk *v)
{
	return (v->size_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
}

#endif
