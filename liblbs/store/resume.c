/*
 * resume.c - opening, after the verdict: what was recovered is made durable, and
 * a new session begins, in one commit. FORMAT.md section 11, "After the verdict".
 * Must never let a record bear the new session's number before that is committed.
 *
 * DESIGN.md conditions closed here: 4, 5.
 */
#include "liblbs/store/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"

/* Blocks of a record that was read, as they are stored, from one of them on. */
struct read_blocks {
	struct scan_blocks blocks;
	uint32_t first;
};

static const uint8_t *
read_block(void *ctx, uint32_t i, uint32_t *stored)
{
	const struct read_blocks *r = ctx;

	*stored = r->blocks.stored[r->first + i];
	return r->blocks.at + (size_t)(r->first + i) * BLOCK_BYTES;
}

/* Appends what was read of a record, an extent at a time. */
static int
append_again(struct replay *r, const struct record_desc *desc,
	     const struct scan_blocks *blocks)
{
	struct read_blocks from = { *blocks, 0 };
	int rc = 0;

	for (uint32_t e = 0; e < desc->extent_count && rc == 0; e++) {
		struct append_change change = {
			.kind = desc->kind,
			.level = ROOM_RECOVERY,
			.continues = e + 1 < desc->extent_count ||
				     desc->flags & RECORD_GROUP_CONTINUES,
			.extent = desc->extents[e],
			.stored = read_block,
			.ctx = &from,
		};

		rc = stream_append(r->s->stream, &change);
		from.first += desc->extents[e].count_blocks;
	}
	return rc;
}

/* DESIGN.md condition 4: pages of a failed sync look clean, so what lies beyond the
 * anchor is written again, to a new segment, before anyone relies on it. As it is
 * stored: it needs no more room than it had. */
static int
rewrite_tail(struct replay *r)
{
	uint16_t stored[RECORD_BLOCKS_MAX];
	struct scan_blocks blocks = {
		malloc((size_t)RECORD_BLOCKS_MAX * BLOCK_BYTES), stored
	};
	struct record_desc desc;
	int rc = blocks.at ? 0 : LBS_ENOMEM;

	for (size_t i = 0; i < r->tail_len && rc == 0; i++) {
		struct tail_record *t = &r->tail[i];

		rc = scan_record(&r->src, t->segment,
				 segtab_key(r->s->segtab, t->segment),
				 t->offset, &desc, &blocks);
		if (rc > 0) /* it was there a moment ago */
			rc = LBS_EDAMAGED;
		if (rc == 0)
			rc = append_again(r, &desc, &blocks);
	}
	if (blocks.at)
		secret_wipe(blocks.at, (size_t)RECORD_BLOCKS_MAX * BLOCK_BYTES);
	free(blocks.at);
	return rc;
}

/* With loss accepted, only what the card has counts as room. */
static int
note_chunks(lbs_store *s)
{
	uint32_t per = s->geometry.segments_per_chunk;
	int rc = 0;

	for (uint32_t at = 0; at < s->geometry.segment_count && rc == 0;
	     at += per) {
		uint32_t n = 0;

		while (n < per && at + n < s->geometry.segment_count &&
		       segtab_is_filled(s->segtab, at + n))
			n++;
		rc = meta_chunk_put(s->meta, at / per, n);
	}
	return rc;
}

/* The same of the cleaner's segments: judge.c has told the table of those that are
 * not there. Their key stays, for what may be read of them. */
static int
note_cold(lbs_store *s)
{
	struct segment_info info;
	int rc = 0;

	for (uint32_t i = 0; i < s->geometry.segment_count && rc == 0; i++) {
		struct meta_segment row = { .segment = i };

		segtab_info(s->segtab, i, &info);
		if (!info.used || info.in_metadata ||
		    !(info.serial & SERIAL_CLEANER))
			continue;
		memcpy(row.salt, info.salt, SALT_BYTES);
		segtab_use(s->segtab, i, 0, row.salt, info.last_recno);
		segtab_set_in_metadata(s->segtab, i, 1);
		rc = meta_segment_put(s->meta, &row);
	}
	return rc;
}

/* One commit: the old log ends, the rewritten tail follows it, a new session
 * begins. Only now may anything else be written. */
static int
commit_recovery(struct replay *r, const struct cut *cut)
{
	lbs_store *s = r->s;
	struct meta_state state = r->state;
	uint64_t end = r->tail_len ? r->anchor.recno : r->end;
	int rc;

	state.session = s->session;
	/* Old pieces end where the anchor is (what follows is in the new one),
	 * or, when loss was accepted, where the card ends. */
	if (r->end < end)
		end = r->end;
	while (s->piece_count &&
	       s->pieces[s->piece_count - 1].first_recno > end)
		s->piece_count--;
	if (s->piece_count &&
	    (!s->pieces[s->piece_count - 1].end_recno ||
	     s->pieces[s->piece_count - 1].end_recno > end))
		s->pieces[s->piece_count - 1].end_recno = end;
	if (s->recovery_piece.first_recno) {
		if (s->piece_count == PIECES_MAX)
			return fail(&s->log, LBS_EINTERNAL,
				    "the log is in too many pieces");
		s->pieces[s->piece_count++] = s->recovery_piece;
	}
	rc = meta_begin(s->meta);
	if (rc)
		return rc;
	rc = meta_state_set(s->meta, &state);
	if (rc == 0)
		rc = meta_pieces_set(s->meta, s->pieces, s->piece_count);
	if (rc == 0 && cut->recno) {
		rc = store_anchor_in(s, cut);
	} else if (rc == 0 && r->missing &&
		   !(r->anchor_seen && r->anchor.recno <= r->end)) {
		/* Loss was accepted: promise only what there is; but what the
		 * anchor names is there when only the run page missed some. */
		struct meta_anchor now = { r->last.recno, r->last.segment,
					   r->last.offset };

		rc = meta_anchor_set(s->meta, &now);
		s->anchor = now;
	}
	if (rc == 0 && s->accept_loss)
		rc = note_chunks(s);
	if (rc == 0 && s->accept_loss)
		rc = note_cold(s);
	if (rc == 0)
		return meta_commit(s->meta);
	meta_rollback(s->meta);
	return rc;
}

/* A negative errno or 0. */
static int
sync_written(lbs_store *s)
{
	uint32_t chunks = geometry_chunks(&s->geometry);
	uint8_t *dirty = calloc(chunks, 1);
	int err = dirty ? 0 : -ENOMEM;

	if (dirty)
		stream_take_dirty(s->stream, dirty);
	for (uint32_t i = 0; i < chunks && !err; i++)
		if (dirty[i])
			err = s->env.card->ops->sync(s->env.card, i);
	free(dirty);
	return err;
}

int
replay_resume(struct replay *r)
{
	lbs_store *s = r->s;
	struct cut cut = { 0, 0, 0 };
	struct card_sealed now = { s->session, r->state.checkpoint,
				   r->tail_len ? s->session : replay_known_begun(r) };
	uint64_t durable;
	int rc = 0, err = 0;

	if (r->tail_len) {
		struct meta_state state = r->state;

		/* Before anything bears the new session's number. */
		state.session = s->session;
		rc = meta_state_set(s->meta, &state);
		s->recovering = 1;
		if (rc == 0)
			rc = rewrite_tail(r);
		if (rc == 0)
			rc = stream_cut(s->stream, &cut);
		if (rc == 0)
			err = sync_written(s);
		s->recovering = 0;
	}
	if (rc == 0 && !err)
		rc = commit_recovery(r, &cut);
	/* After the commit: a card that names a session which the metadata does
	 * not know means that the metadata is old. */
	if (rc == 0 && !err)
		err = card_file_write(&s->sealer, s->env.card, &now);
	if (err == -ENOMEM)
		rc = fail(&s->log, LBS_ENOMEM, "out of memory");
	else if (err)
		rc = fail(&s->log, LBS_EIO,
			  "the card failed while recovering (%s): check it and "
			  "open the store again", strerror(-err));
	else if (rc == LBS_EDAMAGED || rc == LBS_ENOSPC)
		rc = fail(&s->log, rc, "what was recovered could not be written "
			  "to the card again: check the card and its free space");
	atomic_store(&s->log_bytes_anchored, stream_log_bytes(s->stream));
	/* Records must never claim more than the anchor holds. */
	durable = r->tail_len ? cut.recno : r->end;
	if (durable > s->anchor.recno)
		durable = s->anchor.recno;
	if (rc == 0)
		atomic_store(&s->durable_recno, durable);
	return rc;
}
