/*
 * ck_run.c - see ck.h. Looks, changes what it may, and looks again: only the
 * last look decides what is left.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "recovery/card.h"
#include "tools/ck.h"

/* What one look came to. */
struct sight {
	int verdict;		/* LBS_E... that opening gave, or 0 */
	int corrupt;		/* the metadata cannot be relied on */
	int card_file_gone;	/* and nothing else */
};

/* What the library says while a store is opened and read. Quiet while blocks
 * are read: the scrub itself names what is damaged. */
struct log_switch {
	struct ck *ck;
	int quiet;
};

static void
take_log(void *ctx, int level, int code, const char *sentence)
{
	struct log_switch *l = ctx;

	if (l->quiet)
		return;
	if (level == LBS_LOG_ERROR)
		snprintf(l->ck->report.sentence, sizeof l->ck->report.sentence,
			 "%s", sentence);
	else
		ck_note(l->ck, FINDING_NOTE,
			level == LBS_LOG_INFO ? "roll-forward"
					      : lbs_error_word(code), sentence);
}

static int
open_store(struct ck *ck, struct log_switch *log, uint32_t flags,
	   lbs_store **store)
{
	struct lbs_open_options o = { .struct_size = sizeof o,
				      .flags = flags,
				      .data_dir = ck->data_dir,
				      .owner = "lbsck",
				      .log = take_log,
				      .log_ctx = log };

	*log = (struct log_switch){ .ck = ck };
	ck->report.sentence[0] = '\0';
	return lbs_store_open(ck->report.store, &o, store);
}

/* What is wrong with the store, as opposed to what keeps one from looking. */
static int
is_verdict(int rc)
{
	return rc == LBS_ESTALECARD || rc == LBS_EDATAMISSING ||
	       rc == LBS_ESTALEMETA || rc == LBS_EDAMAGED ||
	       rc == LBS_ECARDMISSING || rc == LBS_ECORRUPT;
}

/* Told apart: no card, only its small file gone, or a chunk file. */
static int
look_for_card(struct ck *ck, struct sight *out)
{
	enum card_absence absence;
	int rc = card_absence(ck->report.store, ck->data_dir, &absence);

	if (rc)
		return rc;
	if (absence == CARD_ABSENT)
		return LBS_ECARDMISSING;
	if (absence == CARD_NO_FILE) {
		out->verdict = 0;
		out->card_file_gone = 1;
		ck_note(ck, FINDING_REPAIRABLE, "card-file",
			"card.lbs is missing or damaged; no data is in it, and "
			"the log decides without it: -p makes it anew");
	}
	return 0;
}

/* Opening did not find out, as it reads no free segments; serving would, when it came
 * to write there. */
static void
find_newer(struct ck *ck, struct sight *out)
{
	out->verdict = LBS_ESTALEMETA;
	snprintf(ck->report.sentence, sizeof ck->report.sentence,
		 "the metadata is older than the card, as the header of a segment "
		 "tells: use the newest metadata file, or run lbsck -n "
		 "--accept-loss to see what is lost, and without -n to go on "
		 "without it");
	ck_note(ck, FINDING_ERROR, lbs_error_word(out->verdict),
		ck->report.sentence);
}

static int
look(struct ck *ck, uint32_t flags, int scrub, struct sight *out)
{
	struct checker c = { .fn = ck_take, .ctx = ck,
			     .data_dir = ck->data_dir,
			     .scrub_follows = ck->scrub };
	struct log_switch log;
	int rc, closed;

	*out = (struct sight){ 0 };
	ck->look++;
	rc = open_store(ck, &log, LBS_RDONLY | flags, &c.store);
	if (is_verdict(rc)) {
		out->verdict = rc;
		rc = rc == LBS_ECARDMISSING ? look_for_card(ck, out) : 0;
		if (rc == 0 && out->verdict)
			ck_note(ck, FINDING_ERROR, lbs_error_word(out->verdict),
				ck->report.sentence);
		return rc;
	}
	if (rc)
		return rc;
	rc = check_store(&c);
	out->corrupt = c.corrupt;
	if (rc == 0 && c.newer)
		find_newer(ck, out);
	log.quiet = 1;
	if (rc == 0 && flags & LBS_ACCEPT_LOSS)
		rc = check_lost_writes(&c);
	if (rc == 0 && scrub)
		rc = ck_scrub(ck, &c);
	closed = lbs_store_close(c.store);
	return rc ? rc : closed;
}

/* ---- changes -------------------------------------------------------------- */

static int
mend(struct ck *ck)
{
	struct checker c = { .fn = ck_take, .ctx = ck,
			     .data_dir = ck->data_dir };
	struct log_switch log;
	int rc = open_store(ck, &log, 0, &c.store), closed;

	if (rc)
		return rc;
	log.quiet = 1;
	rc = check_repair(&c, ck->yes);
	closed = lbs_store_close(c.store);
	return rc ? rc : closed;
}

/* Asks on a terminal; the option itself is the consent elsewhere. */
static int
consent(struct ck *ck)
{
	char answer[16] = "";

	if (ck->yes || !isatty(STDIN_FILENO) || ck->report.json)
		return 1;
	fflush(stdout);
	fprintf(stderr, "%s: go on without what is listed above? [y/N] ",
		ck->report.store);
	return fgets(answer, sizeof answer, stdin) &&
	       (answer[0] == 'y' || answer[0] == 'Y');
}

/* The card failed freshness: lists what is lost, then, with consent, makes the
 * store go on at what is there. */
static int
accept_loss(struct ck *ck, struct sight *sight)
{
	char verdict[sizeof ck->report.sentence];
	const char *word = lbs_error_word(sight->verdict);
	struct log_switch log;
	lbs_store *store;
	int rc;

	memcpy(verdict, ck->report.sentence, sizeof verdict);
	ck->scrub = 1;
	rc = look(ck, LBS_ACCEPT_LOSS, 1, sight);
	ck_note(ck, FINDING_ERROR, word, verdict);
	if (rc || sight->verdict || sight->corrupt)
		return rc;
	if (ck->no) {
		ck_note(ck, FINDING_NOTE, "dry-run",
			"nothing was changed; without -n the store would go on "
			"without what is listed");
		return 0;
	}
	if (!consent(ck))
		return LBS_ECANCELLED;
	rc = open_store(ck, &log, LBS_ACCEPT_LOSS, &store);
	if (rc == 0)
		rc = lbs_store_close(store);
	if (rc)
		return rc;
	ck_note(ck, FINDING_NOTE, "loss-accepted",
		"the store goes on with what the card has; blocks listed as "
		"damaged stay errors until they are written again");
	rc = look(ck, 0, 0, sight);
	ck_keep_ranges(ck);
	return rc;
}

static int
advise(struct ck *ck)
{
	ck_note(ck, FINDING_NOTE, "salvage",
		"-y salvages what can be read into a new file, and leaves this "
		"one as it is");
	return 0;
}

int
ck_run(struct ck *ck)
{
	int may_mend = ck->preen || ck->yes, scrubbed = 0, mended = 0;
	struct sight sight;
	int rc = look(ck, 0, ck->scrub && !may_mend, &sight);

	if (rc == 0 && sight.card_file_gone && may_mend) {
		rc = card_file_remake(ck->report.store, ck->data_dir);
		if (rc == 0)
			rc = look(ck, 0, 0, &sight);
	}
	if (rc == LBS_ENOTSTORE && ck->yes)
		return ck_salvage_stranger(ck);
	if (rc == LBS_ENOTSTORE)
		snprintf(ck->report.sentence, sizeof ck->report.sentence,
			 "not an LBS store, or one whose first page is damaged: "
			 "check the name; -y tries to salvage it");
	if (rc == 0 && (sight.corrupt || sight.verdict == LBS_ECORRUPT))
		return ck->yes ? ck_salvage(ck) : advise(ck);
	if (rc == 0 && sight.verdict && ck->accept_loss) {
		rc = accept_loss(ck, &sight);
		scrubbed = 1;
	}
	if (rc || sight.verdict || sight.card_file_gone || sight.corrupt)
		return rc;
	if (may_mend && (ck_count(ck, FINDING_REPAIRABLE) ||
			 (ck->yes && ck_count(ck, FINDING_QUESTION)))) {
		rc = mend(ck);
		mended = 1;
	}
	if (rc == 0 && (mended || (ck->scrub && may_mend && !scrubbed))) {
		rc = look(ck, 0, ck->scrub && !scrubbed, &sight);
		if (scrubbed)
			ck_keep_ranges(ck);
	}
	return rc;
}
