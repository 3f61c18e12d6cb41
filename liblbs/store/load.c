/*
 * load.c - opening: everything small that the metadata says, into memory; is what
 * it calls room really on the card? The map is loaded on demand.
 */
#include "liblbs/store/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"

static int
load_segment(void *ctx, const struct meta_segment *row)
{
	lbs_store *s = ctx;

	segtab_use(s->segtab, row->segment, row->serial, row->salt, 0);
	segtab_set_in_metadata(s->segtab, row->segment, 1);
	return 0;
}

/* Why a chunk file that counts as room is not what it should be: a code and what to
 * do. err: of opening it; else it has size of want bytes. */
static int
chunk_verdict(lbs_store *s, const char *name, int err, uint64_t size, uint64_t want)
{
	if (err && err != -ENOENT)
		return fail(&s->log, code_of_errno(err),
			    "the chunk file %s cannot be opened (%s): check the "
			    "card", name,
			    err == -EINVAL ? "not a regular file"
					   : strerror(-err));
	/* The newer metadata has given it back. */
	if (s->card_newer)
		return fail(&s->log, LBS_ESTALEMETA,
			    "the metadata is older than the card, and the chunk "
			    "file %s is not there any more: use the newest "
			    "metadata file, or " CONSENT, name);
	if (s->card_older)
		return fail(&s->log, LBS_ESTALECARD,
			    "the card is an older copy of this store's card, "
			    "without all of the chunk file %s: insert the newest "
			    "card, or " CONSENT, name);
	if (err)
		return fail(&s->log, LBS_ECARDMISSING,
			    "the chunk file %s is missing from the card: insert "
			    "the right card, or copy the file back", name);
	return fail(&s->log, LBS_EDATAMISSING,
		    "the chunk file %s has %llu of %llu bytes: the card "
		    "lost data; copy the file back or run lbsck", name,
		    (unsigned long long)size, (unsigned long long)want);
}

/* A chunk that counts as room must be there in its full length. */
static int
load_chunk(void *ctx, uint32_t chunk, uint32_t filled)
{
	lbs_store *s = ctx;
	struct medium *card = s->env.card;
	uint64_t size = 0, want = (uint64_t)filled * s->geometry.segment_bytes;
	uint32_t first = chunk * s->geometry.segments_per_chunk;
	char name[MEDIUM_NAME_BYTES];
	int err;

	medium_file_name(chunk, name);
	err = card->ops->open(card, chunk, s->rdonly ? MEDIUM_OPEN_RDONLY : 0);
	/* No room in it; but what an accepted loss left is still read. */
	if (!filled)
		return 0;
	if (!err)
		err = card->ops->size(card, chunk, &size);
	if (err || size < want) {
		if (!s->accept_loss || (err && err != -ENOENT))
			return chunk_verdict(s, name, err, size, want);
		/* What is gone is no room; its blocks are errors when read. */
		filled = (uint32_t)(size / s->geometry.segment_bytes);
		warn(&s->log, LBS_EDATAMISSING,
		     "the chunk file %s lacks what lay behind its byte %llu",
		     name, (unsigned long long)size);
	}
	for (uint32_t i = first; i < first + filled; i++)
		if (i < s->geometry.segment_count)
			segtab_fill(s->segtab, i);
	return 0;
}

static int
load_vdisk(void *ctx, const struct meta_vdisk *row)
{
	lbs_store *s = ctx;

	if (s->vdisk_count == VDISKS_MAX)
		return fail(&s->log, LBS_EVERSION,
			    "the store has more vdisks than this LBS can open");
	s->vdisks[s->vdisk_count++] = *row;
	return 0;
}

static int
load_live(lbs_store *s)
{
	uint32_t live[META_LIVE_GROUP], n = s->geometry.segment_count;
	struct segment_info info;
	int rc = 0;

	for (uint32_t g = 0; g * META_LIVE_GROUP < n && rc == 0; g++) {
		rc = meta_live_get(s->meta, g, live);
		for (uint32_t i = 0; i < META_LIVE_GROUP && rc == 0; i++) {
			uint32_t segment = g * META_LIVE_GROUP + i;

			if (segment >= n)
				break;
			segtab_info(s->segtab, segment, &info);
			if (info.used)
				segtab_live_set(s->segtab, segment, live[i]);
		}
	}
	return rc;
}

int
store_load_tables(lbs_store *s)
{
	const struct meta_store *row = meta_store_row(s->meta);
	int rc;

	s->freshness = row->freshness;
	s->sealer.cipher = row->cipher;
	s->sealer.segment_bytes = row->segment_size;
	if (meta_compress(row)) {
		s->sealer.zip = zip_new(meta_compress(row));
		if (!s->sealer.zip)
			return fail(&s->log, LBS_ENOMEM, "out of memory");
	}
	memcpy(s->sealer.store_id, row->store_id, STORE_ID_BYTES);
	s->geometry = (struct geometry){
		row->segment_size,
		(uint32_t)(row->chunk_size / row->segment_size),
		row->capacity_segments
	};
	s->data_key = secret_alloc(DATA_KEY_BYTES);
	if (!s->data_key)
		return fail(&s->log, LBS_ENOMEM, "out of memory");
	s->sealer.data_key = s->data_key;
	rc = meta_data_key(s->meta, s->data_key);
	if (rc)
		return rc;
	s->sync_bytes = store_sync_bytes(
		s->env.sync_bytes,
		(uint64_t)row->capacity_segments * row->segment_size);
	s->reserve_segments =
		store_reserve_segments(s->sync_bytes, row->segment_size);
	s->segment_blocks = room_segment_blocks(row->segment_size);
	s->clean_batch = room_clean_batch(row->capacity_segments,
					  row->segment_size);
	s->checkpoint_log_bytes = s->env.checkpoint_log_bytes
					  ? s->env.checkpoint_log_bytes
					  : CHECKPOINT_LOG_BYTES;
	s->fill_ahead_bytes = s->env.fill_ahead_bytes ? s->env.fill_ahead_bytes
						      : FILL_AHEAD_BYTES;
	s->segtab = segtab_new(&s->sealer, row->capacity_segments);
	s->flush.chunks = calloc(geometry_chunks(&s->geometry), 1);
	if (!s->segtab || !s->flush.chunks)
		return fail(&s->log, LBS_ENOMEM, "out of memory");
	return 0;
}

int
store_load_state(lbs_store *s, const struct card_sealed *on_card)
{
	struct meta_state state;
	int rc = meta_state_get(s->meta, &state);

	s->card_older = rc == 0 && on_card->session &&
			on_card->session < state.session;
	s->card_newer = rc == 0 && (on_card->session > state.session ||
				    on_card->checkpoint > state.checkpoint);
	if (rc == 0)
		rc = meta_segment_each(s->meta, load_segment, s);
	if (rc == 0)
		rc = load_live(s);
	if (rc == 0)
		rc = meta_chunk_each(s->meta, load_chunk, s);
	if (rc == 0)
		rc = meta_vdisk_each(s->meta, load_vdisk, s);
	if (rc == 0)
		rc = meta_total_get(s->meta, &s->before);
	s->saved = s->before;
	if (rc == 0)
		rc = meta_anchor_get(s->meta, &s->anchor);
	if (rc == 0)
		rc = meta_pieces_get(s->meta, s->pieces, PIECES_MAX,
				     &s->piece_count);
	return rc;
}
