/*
 * lbsck - tells the truth about a store, and mends what can be mended without
 * losing anything. Exit codes of fsck(8). Never changes anything without -p, -y
 * or --accept-loss; never loses anything without --accept-loss.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recovery/check.h"
#include "tools/common/keyopt.h"
#include "tools/common/options.h"
#include "tools/common/progress.h"
#include "tools/common/size.h"

enum {
	CK_CLEAN = 0, CK_CORRECTED = 1, CK_ERRORS_LEFT = 4, CK_OPERATIONAL = 8,
	CK_USAGE = 16, CK_CANCELLED = 32
};

struct ck {
	struct report report;
	int no, preen, yes, scrub, accept_loss;
	const char *data_dir;
	json_t *findings;
	int errors, repairable, repaired;
	int open_failed;	/* the code that opening gave, once told */
	uint64_t scrubbed;
};

enum { OPT_NO, OPT_PREEN, OPT_YES, OPT_SCRUB, OPT_LOSS, OPT_DATA, OPT_KEYS };

static const struct option_spec options[] = {
	{ "no", 'n', NULL, "change nothing, only tell (the default)" },
	{ "preen", 'p', NULL, "mend what loses nothing" },
	{ "yes", 'y', NULL, "mend, answering every question with yes" },
	{ "scrub", 0, NULL, "read and authenticate every live block" },
	{ "accept-loss", 0, NULL,
	  "list what is lost, then go on without it" },
	{ "data", 'd', "DIR", "where the card is, if not where it was" },
	KEYOPT_SPECS,
	{ NULL, 0, NULL, NULL },
};

static const struct command_spec spec = {
	.usage = "[-n | -p | -y] [--scrub] [--accept-loss] [--json] STORE",
	.about = "Checks a store: the metadata, the log on the card and the block map\n"
		 "against each other. A store that was cut off needs no lbsck: it rolls\n"
		 "forward by itself when it is opened.",
	.options = options,
	.epilogue = "--accept-loss is for a store that is refused as stale or missing data, and asks\n"
		    "first on a terminal. With -n it only lists what would be lost.\n\n"
		    "Exit codes: 0 clean, 1 errors corrected, 4 errors left, 8 operational\n"
		    "error (also: in use), 16 usage, 32 cancelled.",
};

static int
set(void *ctx, int option, const char *value)
{
	struct ck *ck = ctx;

	switch (option) {
	case OPT_NO:
		ck->no = 1;
		break;
	case OPT_PREEN:
		ck->preen = 1;
		break;
	case OPT_YES:
		ck->yes = 1;
		break;
	case OPT_SCRUB:
		ck->scrub = 1;
		break;
	case OPT_LOSS:
		ck->accept_loss = 1;
		break;
	case OPT_DATA:
		ck->data_dir = value;
		break;
	default:
		keyopt_refuse(&ck->report, options[option].name);
		return CK_OPERATIONAL;
	}
	return OPTIONS_GO;
}

/* ---- findings ------------------------------------------------------------ */

static const char *
severity_name(int severity)
{
	return severity == FINDING_NOTE	       ? "note"
	       : severity == FINDING_REPAIRABLE ? "repairable"
						: "error";
}

static void
take_finding(void *ctx, const struct finding *f)
{
	struct ck *ck = ctx;
	json_t *o;

	ck->errors += f->severity == FINDING_ERROR;
	ck->repairable += f->severity == FINDING_REPAIRABLE;
	if (!ck->report.json) {
		printf("%s: %s [%s]\n", ck->report.store, f->sentence, f->code);
		return;
	}
	o = json_pack("{s:s,s:s,s:s}", "code", f->code, "severity",
		      severity_name(f->severity), "sentence", f->sentence);
	if (f->vdisk) {
		json_object_set_new(o, "vdisk", json_string(f->vdisk));
		json_object_set_new(o, "offset_bytes",
				    json_integer((json_int_t)f->offset_bytes));
		json_object_set_new(o, "len_bytes",
				    json_integer((json_int_t)f->len_bytes));
	}
	json_array_append_new(ck->findings, o);
}

static void
add(struct ck *ck, int severity, const char *code, const char *sentence)
{
	struct finding f = { .code = code, .severity = severity,
			     .sentence = sentence };

	take_finding(ck, &f);
}

/* What the library says while a store is opened and read. */
static void
log_opening(void *ctx, int level, int code, const char *sentence)
{
	struct ck *ck = ctx;

	if (level == LBS_LOG_ERROR)
		snprintf(ck->report.sentence, sizeof ck->report.sentence, "%s",
			 sentence);
	else
		add(ck, FINDING_NOTE,
		    level == LBS_LOG_INFO ? "roll-forward"
					  : lbs_error_word(code), sentence);
}

/* While blocks are read: the scrub itself names what is damaged. */
static void
log_nothing(void *ctx, int level, int code, const char *sentence)
{
	(void)ctx;
	(void)level;
	(void)code;
	(void)sentence;
}

struct log_switch {
	lbs_log_fn *fn;
	struct ck *ck;
};

static void
log_through(void *ctx, int level, int code, const char *sentence)
{
	struct log_switch *l = ctx;

	l->fn(l->ck, level, code, sentence);
}

/* ---- the work ------------------------------------------------------------ */

static int
open_store(struct ck *ck, struct log_switch *log, uint32_t flags,
	   lbs_store **store)
{
	struct lbs_open_options o = { .struct_size = sizeof o,
				      .flags = flags,
				      .data_dir = ck->data_dir,
				      .owner = "lbsck",
				      .log = log_through,
				      .log_ctx = log };

	log->fn = log_opening;
	log->ck = ck;
	ck->report.sentence[0] = '\0';
	return lbs_store_open(ck->report.store, &o, store);
}

/* What stops a check altogether, as opposed to what is wrong with a store. */
static int
is_operational(int rc)
{
	return rc == LBS_EBUSY || rc == LBS_ENOENT || rc == LBS_ENOMEM ||
	       rc == LBS_EINVAL || rc == LBS_EROFS || rc == LBS_EIO ||
	       rc == LBS_ENOTSUP || rc == LBS_EVERSION ||
	       rc == LBS_ENOTSTORE || rc == LBS_EINTERNAL ||
	       rc == LBS_EMETAFULL;
}

static int
is_loss(int rc)
{
	return rc == LBS_ESTALECARD || rc == LBS_EDATAMISSING ||
	       rc == LBS_ESTALEMETA || rc == LBS_EDAMAGED ||
	       rc == LBS_ECARDMISSING; /* of a chunk file */
}

static int
check(struct ck *ck, lbs_store *store, struct log_switch *log, int scrub)
{
	struct checker c = { .store = store, .fn = take_finding, .ctx = ck };
	struct progress bar;
	int rc = check_store(&c);

	if (rc == 0 && scrub) {
		log->fn = log_nothing;
		progress_begin(&bar, "scrubbing", ck->report.quiet, 1);
		rc = check_scrub(&c, progress_step, &bar, &ck->scrubbed);
		progress_end(&bar);
		log->fn = log_opening;
	}
	return rc;
}

static int
repair(struct ck *ck, struct log_switch *log)
{
	struct checker c = { .fn = take_finding, .ctx = ck };
	int rc = open_store(ck, log, 0, &c.store), closed;

	if (rc)
		return rc;
	rc = check_repair(&c);
	closed = lbs_store_close(c.store);
	rc = rc ? rc : closed;
	if (rc == 0) {
		ck->repaired += ck->repairable;
		ck->repairable = 0;
	}
	return rc;
}

/* Asks on a terminal; the option itself is the consent elsewhere. */
static int
consent(struct ck *ck)
{
	char answer[16] = "";

	if (ck->yes || !isatty(STDIN_FILENO) || ck->report.json)
		return 1;
	fprintf(stderr, "%s: go on without what is listed above? [y/N] ",
		ck->report.store);
	return fgets(answer, sizeof answer, stdin) &&
	       (answer[0] == 'y' || answer[0] == 'Y');
}

/* The card failed freshness: list what is lost, then, with consent, make the
 * store go on at what is there. */
static int
accept_loss(struct ck *ck, struct log_switch *log)
{
	lbs_store *store;
	int rc = open_store(ck, log, LBS_RDONLY | LBS_ACCEPT_LOSS, &store);
	int closed;

	if (rc)
		return rc;
	rc = check(ck, store, log, 1);
	closed = lbs_store_close(store);
	rc = rc ? rc : closed;
	if (rc)
		return rc;
	if (ck->no) {
		add(ck, FINDING_NOTE, "dry-run",
		    "nothing was changed; without -n the store would go on "
		    "without what is listed");
		return 0;
	}
	if (!consent(ck))
		return LBS_ECANCELLED;
	rc = open_store(ck, log, LBS_ACCEPT_LOSS, &store);
	if (rc)
		return rc;
	rc = lbs_store_close(store);
	if (rc == 0) {
		add(ck, FINDING_NOTE, "loss-accepted",
		    "the store goes on with what the card has; blocks listed "
		    "as damaged stay errors until they are written again");
		ck->repaired++;
		ck->errors--; /* the verdict itself */
	}
	return rc;
}

static int
run(struct ck *ck)
{
	struct log_switch log;
	lbs_store *store;
	int rc = open_store(ck, &log, LBS_RDONLY, &store), closed;

	if (rc == 0) {
		rc = check(ck, store, &log, ck->scrub);
		closed = lbs_store_close(store);
		rc = rc ? rc : closed;
		if (rc == 0 && ck->repairable && (ck->preen || ck->yes))
			rc = repair(ck, &log);
	} else if (!is_operational(rc)) {
		ck->open_failed = rc;
		add(ck, FINDING_ERROR, lbs_error_word(rc), ck->report.sentence);
		rc = ck->accept_loss && is_loss(rc) ? accept_loss(ck, &log) : 0;
	}
	return rc;
}

static const char *
verdict_name(int code)
{
	switch (code) {
	case CK_CLEAN:
		return "clean";
	case CK_CORRECTED:
		return "corrected";
	case CK_ERRORS_LEFT:
		return "errors-left";
	case CK_CANCELLED:
		return "cancelled";
	}
	return "failed";
}

static int
finish(struct ck *ck, int rc)
{
	int code = ck->errors || ck->repairable ? CK_ERRORS_LEFT
		   : ck->repaired		? CK_CORRECTED
						: CK_CLEAN;
	char size[SIZE_TEXT_BYTES];

	if (rc == LBS_ECANCELLED)
		code = CK_CANCELLED;
	else if (rc) {
		json_decref(ck->findings);
		report_failure(&ck->report, rc);
		return CK_OPERATIONAL;
	}
	if (ck->report.json) {
		json_t *o = json_pack("{s:s,s:s,s:i,s:i,s:o}", "store",
				      ck->report.store, "verdict",
				      verdict_name(code), "exit", code,
				      "repaired", ck->repaired, "findings",
				      ck->findings);

		if (ck->scrub)
			json_object_set_new(
				o, "scrubbed_bytes",
				json_integer((json_int_t)ck->scrubbed));
		return report_json(&ck->report, o) ? CK_OPERATIONAL : code;
	}
	json_decref(ck->findings);
	if (ck->scrub && !ck->report.quiet)
		printf("%s: %s of live data read and authenticated\n",
		       ck->report.store, size_format(ck->scrubbed, size));
	if (!ck->report.quiet)
		printf("%s: %s\n", ck->report.store,
		       code == CK_ERRORS_LEFT ? "errors left" :
						verdict_name(code));
	return report_done(&ck->report) ? CK_OPERATIONAL : code;
}

int
main(int argc, char **argv)
{
	struct ck ck = { .report = { .program = "lbsck" } };
	int first, rc;

	rc = options_parse(&ck.report, &spec, argc, argv, set, &ck, &first);
	if (rc == OPTIONS_GO)
		rc = options_store(&ck.report, argc, argv, first);
	if (rc != OPTIONS_GO)
		return rc == EXIT_USAGE ? CK_USAGE : rc;
	if (ck.no + ck.preen + ck.yes > 1) {
		report_usage(&ck.report, "-n, -p and -y exclude each other");
		return CK_USAGE;
	}
	ck.findings = json_array();
	return finish(&ck, run(&ck));
}
