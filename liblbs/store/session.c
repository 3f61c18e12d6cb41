/*
 * session.c - what the log's stream asks of the store: where the log begins, what
 * was applied, what failed.
 */
#include "liblbs/store/internal.h"

#include <string.h>

/* The card says from now on that this session wrote to it: a metadata file that
 * does not know of that is an old copy (DESIGN.md condition 7). */
static int
announce(lbs_store *s)
{
	struct card_sealed now = { s->session, atomic_load(&s->checkpoint),
				   s->session };
	int err = card_file_write(&s->sealer, s->env.card, &now);

	if (!err)
		return 0;
	store_event(s, LBS_EVENT_CARD_GONE);
	return store_fail(s, LBS_EIO, "the card failed (%s): check it and open the "
			  "store again", strerror(-err));
}

static int
hook_begin(void *ctx, uint32_t segment, uint64_t serial,
	   const uint8_t salt[SALT_BYTES], uint64_t first_recno)
{
	lbs_store *s = ctx;
	struct meta_piece piece = { .first_recno = first_recno,
				    .segment = segment,
				    .offset = SEGMENT_HEADER_BYTES,
				    .serial = serial };
	int rc;

	memcpy(piece.salt, salt, SALT_BYTES);
	if (s->recovering) {
		/* Becomes part of the log with recovery's one commit. */
		s->recovery_piece = piece;
		return 0;
	}
	store_db_lock(s);
	rc = s->piece_count < PIECES_MAX ? 0 : LBS_EINTERNAL;
	if (rc == 0)
		rc = meta_begin(s->meta);
	if (rc == 0) {
		s->pieces[s->piece_count++] = piece;
		rc = meta_pieces_set(s->meta, s->pieces, s->piece_count);
		if (rc == 0)
			rc = meta_commit(s->meta);
		else
			meta_rollback(s->meta);
	}
	store_db_unlock(s);
	if (rc)
		return store_fail(s, rc, "that the log begins could not be noted: "
				  "make internal flash work and open the store "
				  "again");
	return announce(s);
}

static void
hook_applied(void *ctx, const struct map_change *changes, int n,
	     const struct log_position *behind)
{
	lbs_store *s = ctx;

	if (!s->recovering)
		map_apply(s->map, changes, n, behind);
	else if (map_replay(s->map, changes, n, behind))
		store_fail(s, LBS_ENOMEM, "out of memory");
	/* Recovery's rewriting is not part of the log before its commit: if the
	 * process dies until then, the old numbers are what was acknowledged. */
	if (s->env.run && !s->recovering)
		__atomic_store_n(&s->env.run->acked_record, behind->recno,
				 __ATOMIC_RELEASE);
}

void
store_stream_failed(void *ctx, int code)
{
	if (code == LBS_ENOMEM) {
		store_fail(ctx, code, "out of memory");
		return;
	}
	store_event(ctx, LBS_EVENT_CARD_GONE);
	store_fail(ctx, code, "the card failed while the log was written: check "
		   "the card and open the store again");
}

void
store_stream_known(void *ctx, uint64_t *durable_to, uint64_t *checkpoint)
{
	lbs_store *s = ctx;

	*durable_to = atomic_load(&s->durable_recno);
	*checkpoint = atomic_load(&s->checkpoint);
}

int
store_stream_start(lbs_store *s)
{
	struct append_hooks hooks = {
		.ctx = s,
		.next_segment = store_next_segment,
		.begin = hook_begin,
		.applied = hook_applied,
		.failed = store_stream_failed,
		.known = store_stream_known,
	};

	s->stream = stream_new(&s->sealer, &s->geometry, s->env.card, s->segtab,
			       &hooks, s->session, STREAM_LOG);
	return s->stream ? 0 : fail(&s->log, LBS_ENOMEM, "out of memory");
}
