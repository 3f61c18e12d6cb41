/*
 * replay.c - opening: rolls the log forward from the checkpoint, has it judged
 * (judge.c), and made durable (resume.c). FORMAT.md section 11, "Replay".
 *
 * Who wins: the log says what the data is; the metadata's anchor says how far
 * the log must reach. Nothing is written anywhere before the verdict.
 */
#include "liblbs/store/replay.h"

#include <stdlib.h>
#include <string.h>

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

/* One change of the group that is being read. Whatever rewrite_tail makes of the
 * group has no more changes than this counts. */
static int
take_change(struct replay *r, uint32_t segment, const struct index_entry *e)
{
	r->group_blocks += e->kind == RECORD_DATA ? e->extent.count_blocks : 1;
	if (r->group_blocks > GROUP_BLOCKS_MAX)
		return LBS_EDAMAGED; /* authentic, yet no group is so long */
	r->group[r->group_len++] = (struct map_change){
		e->extent, e->kind == RECORD_DATA
				   ? position_make(segment, e->offset)
				   : 0
	};
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
	r->group_blocks = 0;
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
		rc = take_change(r, segment, e);
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

/* Record by record, every frame, up to end_recno (0: as far as it goes). DESIGN.md
 * promise 3: in order, and no further than the first that is not there. */
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
		for (uint32_t i = 0; i < sc.entry_count && rc == 0; i++)
			rc = take_change(r, segment, &sc.entries[i]);
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

/* What cannot be read is taken for not there, and remembered. */
static int
or_none(struct replay *r, int rc)
{
	if (rc != LBS_EIO)
		return rc;
	r->io = 1;
	return SCAN_NONE;
}

/* A piece of the log, as far as it lies in one segment. */
struct stretch {
	uint32_t segment, from;
	uint64_t expected;	/* its first record, then the one behind it */
	uint64_t serial;
	uint8_t salt[SALT_BYTES];
};

/* Is the segment's index enough? With loss accepted the last record must be found
 * itself: it becomes the anchor. */
static int
is_index_enough(const struct replay *r, const struct meta_piece *piece,
		const struct stretch *at, const struct index_head *index)
{
	return !r->s->accept_loss && index->last_recno <= r->anchor.recno &&
	       (!piece->end_recno || index->last_recno <= piece->end_recno) &&
	       index->last_recno + 1 >= at->expected;
}

/* Replays one stretch and makes it the next one. 0; or what ends the piece. */
enum { PIECE_WHOLE = 1, PIECE_STOPPED = 2 };

static int
replay_stretch(struct replay *r, const struct meta_piece *piece,
	       struct stretch *at, uint32_t *stopped_at)
{
	struct segtab *segtab = r->s->segtab;
	struct index_entry *entries = NULL;
	struct segment_sealed header;
	struct segment_info known;
	struct index_head index;
	uint8_t salt[SALT_BYTES];
	const uint8_t *key;
	int rc, indexed;

	*stopped_at = at->from;
	segtab_info(segtab, at->segment, &known);
	/* The header must be this use's own; if not, nothing behind it was ever
	 * durable, or it was replaced. */
	rc = or_none(r, scan_header(&r->src, at->segment, salt, &header));
	if (rc < 0)
		return rc;
	segtab_use(segtab, at->segment, at->serial, at->salt, at->expected - 1);
	if (rc || memcmp(salt, at->salt, SALT_BYTES))
		return PIECE_STOPPED;
	at->serial = header.serial;
	segtab_use(segtab, at->segment, at->serial, at->salt, RECNO_OPEN);
	/* An older metadata file has a row of the use before this one. */
	if (memcmp(known.salt, at->salt, SALT_BYTES))
		segtab_set_in_metadata(segtab, at->segment, 0);
	key = segtab_key(segtab, at->segment);
	rc = or_none(r, scan_index(&r->src, at->segment, key, &index, &entries));
	if (rc < 0)
		return rc;
	indexed = rc == SCAN_OK && index.serial == at->serial;
	if (indexed && is_index_enough(r, piece, at, &index)) {
		rc = replay_index(r, at->segment, at->from, &index, entries);
		at->expected = index.last_recno + 1;
	} else {
		rc = replay_records(r, at->segment, key, at->from, &at->expected,
				    piece->end_recno, stopped_at);
	}
	free(entries);
	segtab_set_last_recno(segtab, at->segment, at->expected - 1);
	rc = or_none(r, rc);
	if (rc < 0)
		return rc;
	if (piece->end_recno && at->expected > piece->end_recno)
		return PIECE_WHOLE;
	if (!indexed || at->expected != index.last_recno + 1)
		return PIECE_STOPPED;
	/* On to the successor that the index names. */
	at->segment = index.next_segment;
	memcpy(at->salt, index.next_salt, SALT_BYTES);
	at->from = SEGMENT_HEADER_BYTES;
	/* Not less than this; its header says it exactly. */
	at->serial++;
	return 0;
}

/* One piece of the log. 0: reached its end (or, open, as far as it goes: stopped). */
static int
replay_piece(struct replay *r, const struct meta_piece *piece)
{
	struct stretch at = { piece->segment, piece->offset, piece->first_recno,
			      piece->serial, { 0 } };
	uint32_t stopped_at;
	int rc;

	memcpy(at.salt, piece->salt, SALT_BYTES);
	do
		rc = replay_stretch(r, piece, &at, &stopped_at);
	while (rc == 0);
	if (rc < 0)
		return rc;
	if (rc == PIECE_STOPPED) {
		r->stopped = 1;
		r->stop_segment = at.segment;
		r->stop_offset = stopped_at;
		r->stop_end = piece->end_recno;
	}
	return 0;
}

/* All pieces, from the checkpoint on. */
static int
replay_log(struct replay *r)
{
	lbs_store *s = r->s;
	int rc = 0;

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
	return rc < 0 ? fail(&s->log, rc, "the log could not be read: check the "
			     "card")
		      : 0;
}

/* 0 if the store may be used as it is, or as what is left of it. */
static int
judge(struct replay *r)
{
	int rc = replay_judge(r);

	if (rc || !r->missing)
		return rc;
	rc = replay_verdict(r);
	if (!r->s->accept_loss)
		return rc;
	warn(&r->s->log, rc, "with the loss accepted the store goes on at record %llu%s",
	     (unsigned long long)r->end,
	     rc == LBS_ESTALEMETA
		     ? "; all that was written after this copy of the metadata "
		       "was taken is given up, and cannot be listed without the "
		       "newer one"
		     : "");
	return 0;
}

static uint64_t
largest(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Beyond every session that either side has seen; with the loss accepted, beyond
 * every checkpoint, too. */
static void
number_session(struct replay *r)
{
	lbs_store *s = r->s;

	s->session = largest(largest(r->state.session, r->card.session),
			     largest(r->newest.session, r->end >> 32)) + 1;
	if (s->accept_loss)
		r->state.checkpoint =
			largest(largest(r->state.checkpoint, r->card.checkpoint),
				largest(r->newest.checkpoint, r->checkpoint));
	atomic_store(&s->checkpoint, r->state.checkpoint);
	atomic_store(&s->checkpoint_recno, r->state.checkpoint_recno);
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
		       r->s->rdonly  ? " (nothing was written: read-only)"
		       : r->tail_len ? " and were made durable"
				     : "");
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
	if (rc == 0)
		rc = replay_log(r);
	if (rc == 0)
		rc = judge(r);
	if (rc == 0) {
		number_session(r);
		tell(r);
	}
	if (rc == 0 && !s->rdonly)
		rc = store_stream_start(s);
	if (rc == 0 && !s->rdonly)
		rc = replay_resume(r);
	free(r->tail);
	free(r);
	return rc;
}
