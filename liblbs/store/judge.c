/*
 * judge.c - is what the card has what was promised? DESIGN.md promise 7, FORMAT.md
 * section 11.
 * Must never write anywhere, and never believe the card about how far the log
 * should reach: the anchor, authentic records and this boot's run page say that.
 *
 * DESIGN.md conditions closed here: 1, 3, 7, 17, 19.
 */
#include "liblbs/store/replay.h"

#include <string.h>

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
		/* What lies behind a closed piece was cut off by a recovery. */
		if (rc == SCAN_OK && r->stop_end && desc.recno > r->stop_end)
			continue;
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

/* Within a session the two streams count their serials apart. */
static int
is_larger_serial(uint64_t a, uint64_t b)
{
	return a > b && (a >> 32 != b >> 32 || !((a ^ b) & SERIAL_CLEANER));
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
	return is_larger_serial(header.serial, known.serial) ||
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

uint64_t
replay_known_begun(const struct replay *r)
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
	else
		r->anchor_seen = 1;
	return 0;
}

/* A segment that the cleaner wrote and the persisted map names. */
static int
is_cold(lbs_store *s, uint32_t segment, struct segment_info *info)
{
	segtab_info(s->segtab, segment, info);
	return info->used && info->live && info->serial & SERIAL_CLEANER;
}

/* 1 if its use lies on the card: by its header or, where only that is damaged, by
 * its first record. */
static int
is_there(struct replay *r, uint32_t segment, const struct segment_info *info)
{
	const uint8_t *key = segtab_key(r->s->segtab, segment);
	struct segment_sealed header;
	uint8_t salt[SALT_BYTES];
	struct record_desc desc;
	int rc = scan_header(&r->src, segment, salt, &header);

	if (rc == SCAN_OK && memcmp(salt, info->salt, SALT_BYTES) == 0)
		return 1;
	r->io |= rc == LBS_EIO;
	rc = scan_record(&r->src, segment, key, SEGMENT_HEADER_BYTES, &desc,
			 NULL);
	return rc < 0 && rc != LBS_EIO ? rc : rc == SCAN_OK;
}

/* DESIGN.md condition 19: a session that only cleans moves no anchor. The map's
 * entries for a segment of the cleaner's are never durable before its header is;
 * so the newest of those that hold something must be there. */
static int
check_cleaner(struct replay *r)
{
	lbs_store *s = r->s;
	struct segment_info info, newest = { 0 };
	uint32_t segment = 0;
	int rc;

	for (uint32_t i = 0; i < s->geometry.segment_count; i++) {
		if (!is_cold(s, i, &info))
			continue;
		if (info.serial > newest.serial) {
			newest = info;
			segment = i;
		}
		if (!s->accept_loss)
			continue;
		/* What is lost will not be missed again. */
		rc = is_there(r, i, &info);
		if (rc < 0)
			return rc;
		if (!rc)
			segtab_set_in_metadata(s->segtab, i, 0);
	}
	if (!newest.serial)
		return 0;
	rc = is_there(r, segment, &newest);
	if (rc == 0 && !r->missing)
		r->missing = missing_because(r, segment);
	return rc < 0 ? rc : 0;
}

/* DESIGN.md condition 7: something on the card knows more than the metadata. Of the
 * sessions that began to write only the last one tells: what began before it and is
 * not known any more was cut off by a recovery. */
static int
is_metadata_older(const struct replay *r)
{
	return r->card.session > r->state.session ||
	       r->newest.session > r->state.session ||
	       (r->card.begun >= r->state.session &&
		r->card.begun > replay_known_begun(r)) ||
	       r->checkpoint > r->state.checkpoint ||
	       r->card.checkpoint > r->state.checkpoint ||
	       (r->s->freshness == LBS_FRESHNESS_FLUSH &&
		r->durable_to > r->anchor.recno);
}

int
replay_judge(struct replay *r)
{
	const struct run_page *run = r->s->env.run;
	uint64_t durable_to = 0, promised = r->anchor.recno, durable;
	int later = 0, rc;

	rc = check_anchor(r);
	if (rc == 0)
		rc = check_cleaner(r);
	if (rc == 0)
		rc = search_behind(r, &later, &durable_to);
	if (rc)
		return rc;
	if (durable_to > r->durable_to)
		r->durable_to = durable_to;
	/* Whoever accepts that is not asked again: nothing of what a newer file
	 * left may pass for news later. */
	if (r->s->accept_loss)
		store_newest_on_card(r->s, &r->newest);

	if (is_metadata_older(r)) {
		r->missing = LBS_ESTALEMETA;
		return 0;
	}
	if (r->durable_to > promised)
		promised = r->durable_to;
	durable = promised;
	/* Same boot: the kernel had it all, so nothing acknowledged may lack. */
	if (run && !memcmp(run->boot_id, r->s->env.boot_id, 16) &&
	    !memcmp(run->store_id, r->s->sealer.store_id, STORE_ID_BYTES) &&
	    run->acked_record > promised)
		promised = run->acked_record;
	/* What was acknowledged and never synced may lack even its segment's
	 * header: an older use there does not make it an older card. */
	if (r->end < promised && (!r->missing ||
				  r->missing == LBS_EDATAMISSING))
		r->missing = later ? LBS_EDAMAGED
			     : r->stopped && r->end < durable
				     ? missing_because(r, r->stop_segment)
				     : LBS_EDATAMISSING;
	/* A card that went on without us is one thing, one that never saw our
	 * session another. */
	if (r->missing == LBS_EDATAMISSING && r->card.session &&
	    (r->card.session < r->state.session ||
	     r->card.begun < replay_known_begun(r)))
		r->missing = LBS_ESTALECARD;
	if (r->missing && r->end < promised)
		warn(&r->s->log, r->missing,
		     "the log on the card ends at record %llu, but records up "
		     "to %llu were acknowledged",
		     (unsigned long long)r->end, (unsigned long long)promised);
	return 0;
}

int
replay_verdict(struct replay *r)
{
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
			    "newest metadata file, or " CONSENT);
	case LBS_ESTALECARD:
		return fail(&r->s->log, r->missing,
			    "the card is an older copy of this store's card: "
			    "insert the newest card, or " CONSENT);
	case LBS_EDAMAGED:
		return fail(&r->s->log, r->missing,
			    "a record in the middle of the log is damaged, what "
			    "follows it was acknowledged: copy the card and "
			    "check it, or " CONSENT);
	}
	return fail(&r->s->log, r->missing,
		    "acknowledged data is missing from the card: insert the "
		    "right card (one that keeps what it confirms), or "
		    CONSENT);
}
