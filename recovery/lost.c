/*
 * lost.c - what a store that goes on without a part of its log gives up: the
 * authentic records on the card beyond the end of what was replayed, as stretches
 * of the vdisks. Only what is still there can be listed; a card that lacks the
 * records themselves cannot say what they were. The cleaner's records, which are
 * numbered apart, are copies: they give up nothing.
 */
#include <stdio.h>
#include <string.h>

#include "crypto/kdf.h"
#include "crypto/secret.h"
#include "recovery/check.h"
#include "recovery/survey.h"

struct lost {
	struct checker *c;
	struct scan_source src;
	uint64_t end;		/* the last record that counts */
	const struct meta_vdisk *vdisk; /* of the open stretch */
	uint64_t at, count;
};

static void
end_stretch(struct lost *l)
{
	struct finding f = { .code = "write-lost", .severity = FINDING_NOTE };
	char sentence[256];
	uint64_t limit;

	if (!l->count)
		return;
	f.vdisk = l->vdisk->name;
	f.offset_bytes = l->at * BLOCK_BYTES;
	f.len_bytes = l->count * BLOCK_BYTES;
	limit = l->vdisk->size_bytes;
	if (f.offset_bytes + f.len_bytes > limit)
		f.len_bytes = limit > f.offset_bytes ? limit - f.offset_bytes : 0;
	snprintf(sentence, sizeof sentence,
		 "vdisk %s, offset %llu, %llu bytes (sectors %llu to %llu): "
		 "written or discarded behind the end of the log that is left; "
		 "that is given up, what was there before comes back",
		 f.vdisk, (unsigned long long)f.offset_bytes,
		 (unsigned long long)f.len_bytes,
		 (unsigned long long)f.offset_bytes / 512,
		 (unsigned long long)(f.offset_bytes + f.len_bytes - 1) / 512);
	f.sentence = sentence;
	l->count = 0;
	l->c->fn(l->c->ctx, &f);
}

static void
add(struct lost *l, const struct extent *e)
{
	const struct meta_vdisk *v = survey_vdisk(l->c->store, e->layer);

	if (!v || e->lba >= survey_blocks(v))
		return;
	if (l->count && (l->vdisk != v || e->lba != l->at + l->count))
		end_stretch(l);
	if (!l->count) {
		l->vdisk = v;
		l->at = e->lba;
	}
	l->count += e->count_blocks;
}

static int
search(struct lost *l, uint32_t segment, const uint8_t *key)
{
	struct record_desc desc;
	struct scanner sc;
	uint32_t offset;
	int rc = scanner_begin(&sc, &l->src, segment, key, SEGMENT_HEADER_BYTES);

	while (rc == 0) {
		rc = scanner_search(&sc, l->end + 1, &desc, &offset);
		if (rc == SCAN_OK && desc.recno & SERIAL_CLEANER)
			break;
		for (uint32_t i = 0; rc == SCAN_OK && i < desc.extent_count; i++)
			add(l, &desc.extents[i]);
	}
	scanner_end(&sc);
	/* What cannot be read cannot be listed. */
	return rc == LBS_ENOMEM ? rc : 0;
}

int
check_lost_writes(struct checker *c)
{
	lbs_store *s = c->store;
	struct lost l = { .c = c,
			  .src = { &s->sealer, &s->geometry, s->env.card, 0 } };
	struct segment_sealed header;
	struct log_position behind;
	uint8_t salt[SALT_BYTES], *key = secret_alloc(AEAD_KEY_BYTES);
	int rc = key ? 0 : LBS_ENOMEM;

	map_position(s->map, &behind);
	l.end = behind.recno;
	for (uint32_t i = 0; i < s->geometry.segment_count && rc == 0; i++) {
		/* Sessions before that of the end have nothing beyond it. */
		if (scan_header(&l.src, i, salt, &header) != SCAN_OK ||
		    header.session < l.end >> 32)
			continue;
		kdf_segment_key(s->data_key, s->sealer.store_id, i, salt, key);
		rc = search(&l, i, key);
	}
	end_stretch(&l);
	secret_free(key);
	return rc;
}
