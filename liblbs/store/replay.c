/*
 * replay.c - opening: rolls the log forward from the checkpoint, judges whether
 * what the card has is what was promised, makes what was recovered durable.
 *
 * Who wins: the log says what the data is; the metadata's anchor says how far
 * the log must reach. Nothing is written anywhere before the verdict.
 *
 * DESIGN.md conditions closed here: 1, 3, 4, 5, 7, 17 (DESIGN.md, "Conditions").
 */
#include "liblbs/store/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A record beyond the anchor: to be written anew. */
struct tail_record {
	uint32_t segment, offset;
};

struct replay {
	lbs_store *s;
	struct scan_source src;
	struct meta_state state;
	struct meta_anchor anchor;
	struct card_sealed card;

	uint64_t end;		/* last record of the last complete group */
	struct log_position behind;
	struct map_change group[GROUP_RECORDS_MAX];
	int group_len;
	size_t group_tail;	/* tail records of the open group */
	struct tail_record *tail;
	size_t tail_len, tail_cap;
	uint64_t records;

	/* evidence */
	uint64_t durable_to, checkpoint; /* largest seen in any record */
	int missing;		/* 0, or the verdict */
	struct cut last;	/* where record end lies, if it was read */
	int stopped;		/* an incomplete piece ended the replay */
	uint32_t stop_segment, stop_offset;
	int io;			/* an I/O error ended the replay */
	int anchor_seen;	/* its record was read in full on the way */
};

static int
add_tail(struct replay *r, uint32_t segment, uint32_t offset)
{
	if (r->tail_len == r->tail_cap) {
		size_t cap = r->tail_cap ? r->tail_cap * 2 : 256;
		struct tail_record *t = realloc(r->tail, cap * sizeof *t);

		if (!t)
			return LBS_ENOMEM;
		r->tail = t;
		r->tail_cap = cap;
	}
	r->tail[r->tail_len++] = (struct tail_record){ segment, offset };
	return 0;
}

/* One change of a record; continues: its group goes on. */
static int
take_change(struct replay *r, const struct extent *extent, uint64_t position)
{
	if (r->group_len == (int)GROUP_RECORDS_MAX)
		return LBS_EDAMAGED; /* authentic, yet no group is so long */
	r->group[r->group_len++] = (struct map_change){ *extent, position };
	return 0;
}

static int
end_group(struct replay *r, uint64_t recno, uint32_t segment, uint32_t offset)
{
	int rc;

	r->behind = (struct log_position){ recno, segment, offset };
	r->end = recno;
	r->group_tail = r->tail_len;
	if (r->last.recno != recno)
		r->last.recno = 0;
	rc = map_replay(r->s->map, r->group, r->group_len, &r->behind);
	r->group_len = 0;
	return rc;
}

/* A segment closed at or before the anchor: its index says it all. */
static int
replay_index(struct replay *r, uint32_t segment, uint32_t from,
	     const struct index_head *head, const struct index_entry *entries)
{
	int rc = 0;

	for (uint32_t i = 0; i < head->entry_count && rc == 0; i++) {
		const struct index_entry *e = &entries[i];

		if (e->offset < from)
			continue;
		rc = take_change(r, &e->extent,
				 e->kind == RECORD_DATA
					 ? position_make(segment, e->offset)
					 : 0);
		if (rc == 0 && !(e->flags & RECORD_GROUP_CONTINUES))
			rc = end_group(r, head->last_recno, segment,
				       r->s->geometry.segment_bytes);
	}
	if (rc == 0) {
		r->records += head->last_recno + 1 - head->first_recno;
		r->behind = (struct log_position){
			head->last_recno, segment, r->s->geometry.segment_bytes
		};
		if (!r->group_len)
			r->end = head->last_recno;
	}
	return rc;
}

/* Record by record, every frame, up to end_recno (0: as far as it goes). */
static int
replay_records(struct replay *r, uint32_t segment, const uint8_t *key,
	       uint32_t from, uint64_t *expected, uint64_t end_recno,
	       uint32_t *stopped_at)
{
	struct record_desc desc;
	struct scanner sc;
	uint32_t offset;
	int rc = scanner_begin(&sc, &r->src, segment, key, from);

	while (rc == 0 && !(end_recno && *expected > end_recno)) {
		rc = scanner_next(&sc, *expected, &desc, &offset);
		if (rc)
			break;
		if (desc.durable_to > r->durable_to)
			r->durable_to = desc.durable_to;
		if (desc.checkpoint > r->checkpoint)
			r->checkpoint = desc.checkpoint;
		if (desc.recno == r->anchor.recno)
			r->anchor_seen = 1;
		if (desc.recno > r->anchor.recno)
			rc = add_tail(r, segment, offset);
		uint32_t at = offset + record_frames_at(desc.extent_count);

		for (uint32_t i = 0; i < desc.extent_count && rc == 0; i++) {
			rc = take_change(r, &desc.extents[i],
					 desc.kind == RECORD_DATA
						 ? position_make(segment, at)
						 : 0);
			if (desc.kind == RECORD_DATA)
				at += desc.extents[i].count_blocks * FRAME_BYTES;
		}
		if (rc == 0 && !(desc.flags & RECORD_GROUP_CONTINUES)) {
			r->last = (struct cut){ desc.recno, segment, offset };
			rc = end_group(r, desc.recno, segment, sc.cursor);
		}
		(*expected)++;
		r->records++;
	}
	*stopped_at = sc.cursor;
	scanner_end(&sc);
	return rc;
}

/* One piece of the log. 0: reached its end (or, open, as far as it goes). */
static int
replay_piece(struct replay *r, const struct meta_piece *piece)
{
	lbs_store *s = r->s;
	uint32_t segment = piece->segment, from = piece->offset, stopped;
	uint64_t expected = piece->first_recno, serial = piece->serial;
	uint8_t salt[SALT_BYTES], found_salt[SALT_BYTES];
	struct segment_sealed header;
	int rc;

	memcpy(salt, piece->salt, SALT_BYTES);
	for (;;) {
		struct index_entry *entries = NULL;
		struct index_head index;
		const uint8_t *key;
		int indexed, by_index;

		/* The header must be this use's own; if not, nothing behind it
		 * was ever durable, or it was replaced. */
		rc = scan_header(&r->src, segment, found_salt, &header);
		r->io |= rc == LBS_EIO;
		if (rc < 0 && rc != LBS_EIO)
			return rc;
		segtab_use(s->segtab, segment, serial, salt, expected - 1);
		stopped = from;
		if (rc || memcmp(found_salt, salt, SALT_BYTES))
			break;
		serial = header.serial;
		segtab_use(s->segtab, segment, serial, salt, RECNO_OPEN);
		key = segtab_key(s->segtab, segment);
		rc = scan_index(&r->src, segment, key, &index, &entries);
		r->io |= rc == LBS_EIO;
		if (rc < 0 && rc != LBS_EIO)
			return rc;
		indexed = rc == SCAN_OK && index.serial == serial;
		/* With loss accepted the last record must be found itself: it
		 * becomes the anchor. */
		by_index = indexed && !s->accept_loss && index.last_recno <= r->anchor.recno &&
			   (!piece->end_recno ||
			    index.last_recno <= piece->end_recno) &&
			   index.last_recno + 1 >= expected;
		if (by_index) {
			rc = replay_index(r, segment, from, &index, entries);
			expected = index.last_recno + 1;
		} else {
			rc = replay_records(r, segment, key, from, &expected,
					    piece->end_recno, &stopped);
		}
		free(entries);
		segtab_set_last_recno(s->segtab, segment, expected - 1);
		r->io |= rc == LBS_EIO;
		if (rc < 0 && rc != LBS_EIO)
			return rc;
		if (piece->end_recno && expected > piece->end_recno)
			return 0;
		if (!indexed || expected != index.last_recno + 1)
			break;
		/* On to the successor that the index names. */
		segment = index.next_segment;
		memcpy(salt, index.next_salt, SALT_BYTES);
		from = SEGMENT_HEADER_BYTES;
		/* Not less than this; its header says it exactly. */
		serial++;
	}
	r->stopped = 1;
	r->stop_segment = segment;
	r->stop_offset = stopped;
	return 0;
}

/* ---- judging ----------------------------------------------------------- */

/* DESIGN.md condition 17: is there an authentic later record behind the place where
 * replay stopped? Its durable_to tells whether what is missing was promised. */
static int
search_behind(struct replay *r, int *later, uint64_t *durable_to)
{
	const uint8_t *key = segtab_key(r->s->segtab, r->stop_segment);
	struct record_desc desc;
	struct scanner sc;
	uint32_t offset;
	int rc;

	*later = 0;
	*durable_to = 0;
	if (!r->stopped || !key)
		return 0;
	rc = scanner_begin(&sc, &r->src, r->stop_segment, key, r->stop_offset);
	while (rc == 0) {
		rc = scanner_search(&sc, r->end + 1, &desc, &offset);
		if (rc == SCAN_OK) {
			*later = 1;
			if (desc.durable_to > *durable_to)
				*durable_to = desc.durable_to;
		}
	}
	scanner_end(&sc);
	/* Only evidence: what cannot be read here was not promised by it. */
	return rc == LBS_ENOMEM ? rc : 0;
}

/* What lies where this use of a segment should: -1 an older use, 1 a newer one
 * that the metadata does not know, 0 neither. */
static int
other_use(struct replay *r, uint32_t segment)
{
	struct segment_sealed header;
	struct segment_info known;
	uint8_t salt[SALT_BYTES];

	segtab_info(r->s->segtab, segment, &known);
	if (scan_header(&r->src, segment, salt, &header) != SCAN_OK ||
	    memcmp(salt, known.salt, SALT_BYTES) == 0)
		return 0;
	return header.serial > known.serial ||
			       header.checkpoint > r->state.checkpoint
		       ? 1
		       : -1;
}

/* Turns "missing" into what it is, by what lies there instead. */
static int
missing_because(struct replay *r, uint32_t segment)
{
	int other = other_use(r, segment);

	return other > 0   ? LBS_ESTALEMETA
	       : other < 0 ? LBS_ESTALECARD
			   : LBS_EDATAMISSING;
}

/* The last session that the metadata knows to have written. */
static uint64_t
known_begun(const struct replay *r)
{
	uint64_t recno = r->state.checkpoint_recno;

	if (r->anchor.recno > recno)
		recno = r->anchor.recno;
	for (int i = 0; i < r->s->piece_count; i++)
		if (r->s->pieces[i].first_recno > recno)
			recno = r->s->pieces[i].first_recno;
	return recno >> 32;
}

/* DESIGN.md condition 1: the last record at or before the anchor must be there in
 * full, also when nothing is left to replay. */
static int
check_anchor(struct replay *r)
{
	const uint8_t *key;
	struct record_desc desc;
	int rc;

	if (!r->anchor.recno || r->anchor_seen)
		return 0;
	key = segtab_key(r->s->segtab, r->anchor.segment);
	if (!key) {
		r->missing = LBS_EDATAMISSING;
		return 0;
	}
	rc = scan_record(&r->src, r->anchor.segment, key, r->anchor.offset,
			 &desc, NULL);
	if (rc < 0)
		return rc;
	if (rc == SCAN_NONE || desc.recno != r->anchor.recno)
		r->missing = missing_because(r, r->anchor.segment);
	return 0;
}

static int
judge(struct replay *r)
{
	const struct run_page *run = r->s->env.run;
	uint64_t durable_to = 0, promised = r->anchor.recno;
	int later = 0, rc;

	rc = check_anchor(r);
	if (rc == 0)
		rc = search_behind(r, &later, &durable_to);
	if (rc)
		return rc;
	if (durable_to > r->durable_to)
		r->durable_to = durable_to;

	/* A record that knows more than the metadata: an old metadata file. Of
	 * the sessions that began to write only the last one tells: what began
	 * before it and is not known any more was cut off by a recovery. */
	if (r->card.session > r->state.session ||
	    (r->card.begun >= r->state.session &&
	     r->card.begun > known_begun(r)) ||
	    r->checkpoint > r->state.checkpoint ||
	    (r->s->freshness == LBS_FRESHNESS_FLUSH &&
	     r->durable_to > r->anchor.recno)) {
		r->missing = LBS_ESTALEMETA;
		return 0;
	}
	if (r->durable_to > promised)
		promised = r->durable_to;
	/* Same boot: the kernel had it all, so nothing acknowledged may lack. */
	if (run && !memcmp(run->boot_id, r->s->env.boot_id, 16) &&
	    !memcmp(run->store_id, r->s->sealer.store_id, STORE_ID_BYTES) &&
	    run->acked_record > promised)
		promised = run->acked_record;
	if (r->end < promised && (!r->missing ||
				  r->missing == LBS_EDATAMISSING))
		r->missing = later	  ? LBS_EDAMAGED
			     : r->stopped ? missing_because(r, r->stop_segment)
					  : LBS_EDATAMISSING;
	/* A card that went on without us is one thing, one that never saw our
	 * session another. */
	if (r->missing == LBS_EDATAMISSING && r->card.session &&
	    (r->card.session < r->state.session ||
	     r->card.begun < known_begun(r)))
		r->missing = LBS_ESTALECARD;
	if (r->missing && r->end < promised)
		warn(&r->s->log, r->missing,
		     "the log on the card ends at record %llu, but records up "
		     "to %llu were acknowledged",
		     (unsigned long long)r->end, (unsigned long long)promised);
	return 0;
}

static int
verdict(struct replay *r)
{
	const char *consent = "run lbsck -n --accept-loss to see what is lost, "
			      "and without -n to go on without it";

	if (r->missing && r->io && !r->s->accept_loss)
		return fail(&r->s->log, LBS_EIO,
			    "the card cannot be read where the log should be: "
			    "check the card and its contacts and try again");


	switch (r->missing) {
	case 0:
		return 0;
	case LBS_ESTALEMETA:
		return fail(&r->s->log, r->missing,
			    "the metadata is older than the card: use the "
			    "newest metadata file, or %s", consent);
	case LBS_ESTALECARD:
		return fail(&r->s->log, r->missing,
			    "the card is an older copy of this store's card: "
			    "insert the newest card, or %s", consent);
	case LBS_EDAMAGED:
		return fail(&r->s->log, r->missing,
			    "a record in the middle of the log is damaged, what "
			    "follows it was acknowledged: copy the card and "
			    "check it, or %s", consent);
	}
	return fail(&r->s->log, r->missing,
		    "acknowledged data is missing from the card: insert the "
		    "right card (one that keeps what it confirms), or %s",
		    consent);
}

/* ---- making it durable ------------------------------------------------- */

struct plain_blocks {
	const uint8_t *at;
};

static const uint8_t *
plain_block(void *ctx, uint32_t i)
{
	return ((struct plain_blocks *)ctx)->at + (size_t)i * BLOCK_BYTES;
}

/* DESIGN.md condition 4: pages of a failed sync look clean, so what lies beyond the
 * anchor is written again, to a new segment, before anyone relies on it. */
static int
rewrite_tail(struct replay *r)
{
	uint8_t *plain = malloc((size_t)RECORD_BLOCKS_MAX * BLOCK_BYTES);
	struct record_desc desc;
	int rc = plain ? 0 : LBS_ENOMEM;

	for (size_t i = 0; i < r->tail_len && rc == 0; i++) {
		struct tail_record *t = &r->tail[i];
		struct plain_blocks blocks = { plain };

		rc = scan_record(&r->src, t->segment,
				 segtab_key(r->s->segtab, t->segment),
				 t->offset, &desc, plain);
		if (rc > 0) /* it was there a moment ago */
			rc = LBS_EDAMAGED;
		for (uint32_t e = 0; e < desc.extent_count && rc == 0; e++) {
			struct append_change change = {
				.kind = desc.kind,
				.use_reserve = ROOM_RECOVERY,
				.continues =
					e + 1 < desc.extent_count ||
					desc.flags & RECORD_GROUP_CONTINUES,
				.extent = desc.extents[e],
				.block = plain_block,
				.ctx = &blocks,
			};

			rc = stream_append(r->s->stream, &change);
			blocks.at += (size_t)desc.extents[e].count_blocks *
				     BLOCK_BYTES;
		}
	}
	if (plain)
		memset(plain, 0, (size_t)RECORD_BLOCKS_MAX * BLOCK_BYTES);
	free(plain);
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
	} else if (rc == 0 && r->missing) {
		/* Loss was accepted: promise only what there is. */
		struct meta_anchor now = { r->last.recno, r->last.segment,
					   r->last.offset };

		rc = meta_anchor_set(s->meta, &now);
		s->anchor = now;
	}
	if (rc == 0 && s->accept_loss)
		rc = note_chunks(s);
	if (rc == 0)
		return meta_commit(s->meta);
	meta_rollback(s->meta);
	return rc;
}

/* A negative errno or 0. */
static int
sync_written(lbs_store *s)
{
	uint32_t chunks = geometry_chunk(&s->geometry,
					 s->geometry.segment_count) + 1;
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

static int
begin_session(struct replay *r)
{
	lbs_store *s = r->s;
	struct cut cut = { 0, 0, 0 };
	struct card_sealed now = { s->session, r->state.checkpoint,
				   r->tail_len ? s->session : known_begun(r) };
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
	if (err)
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

static void
tell(struct replay *r)
{
	count(r->s, LBS_STAT_REPLAY_RECORDS, r->records);
	count(r->s, LBS_STAT_REPLAY_BYTES_READ, r->src.bytes_read);
	count(r->s, LBS_STAT_REPLAY_REWRITTEN_RECORDS, r->tail_len);
	if (r->records || r->tail_len)
		inform(&r->s->log,
		       "rolled forward %llu record%s from the log (%llu KiB "
		       "read), %llu of which had not been flushed%s",
		       (unsigned long long)r->records, r->records == 1 ? "" : "s",
		       (unsigned long long)r->src.bytes_read >> 10,
		       (unsigned long long)r->tail_len,
		       !r->tail_len   ? ""
		       : r->s->rdonly ? " (nothing was written: read-only)"
				      : " and were made durable");
}

int
store_recover(lbs_store *s, const struct card_sealed *card)
{
	struct replay *r = calloc(1, sizeof *r);
	int rc = r ? 0 : fail(&s->log, LBS_ENOMEM, "out of memory");

	if (rc)
		return rc;
	r->s = s;
	r->src = (struct scan_source){ &s->sealer, &s->geometry, s->env.card,
				       0 };
	r->card = *card;
	r->anchor = s->anchor;
	rc = meta_state_get(s->meta, &r->state);
	if (rc)
		goto out;
	r->end = r->state.checkpoint_recno;
	r->behind.recno = r->state.checkpoint_recno;
	if (s->piece_count) {
		r->behind.segment = s->pieces[0].segment;
		r->behind.offset = s->pieces[0].offset;
	}
	map_position_set(s->map, &r->behind);
	for (int i = 0; i < s->piece_count && rc == 0 && !r->stopped; i++) {
		rc = replay_piece(r, &s->pieces[i]);
		/* A closed piece must be whole; only the last may be open. */
		if (rc == 0 && r->stopped && s->pieces[i].end_recno)
			r->missing = LBS_EDATAMISSING;
	}
	/* Records of a group that never ended are dropped whole (promise 4). */
	r->group_len = 0;
	r->tail_len = r->group_tail;
	if (rc < 0) {
		rc = fail(&s->log, rc, "the log could not be read: check the "
			  "card");
		goto out;
	}
	rc = judge(r);
	if (rc == 0 && r->missing) {
		rc = verdict(r);
		if (s->accept_loss) {
			warn(&s->log, rc,
			     "loss accepted: the store goes on at record %llu%s",
			     (unsigned long long)r->end,
			     rc == LBS_ESTALEMETA
				     ? "; all that was written after this copy "
				       "of the metadata was taken is given up, "
				       "and cannot be listed without the newer one"
				     : "");
			rc = 0;
		}
	}
	if (rc)
		goto out;
	/* Beyond every session that either side has seen. */
	s->session = (r->state.session > card->session ? r->state.session
							: card->session) + 1;
	if (r->end >> 32 >= s->session)
		s->session = (r->end >> 32) + 1;
	tell(r);
	atomic_store(&s->checkpoint, r->state.checkpoint);
	atomic_store(&s->checkpoint_recno, r->state.checkpoint_recno);
out:
	if (rc == 0 && !s->rdonly) {
		rc = store_stream_start(s);
		if (rc == 0)
			rc = begin_session(r);
	}
	free(r->tail);
	free(r);
	return rc;
}
