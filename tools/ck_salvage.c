/*
 * ck_salvage.c - see ck.h. Must never touch the corrupt file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "recovery/salvage.h"
#include "tools/ck.h"

static void
take_log(void *ctx, int level, int code, const char *sentence)
{
	struct ck *ck = ctx;

	(void)code;
	if (level == LBS_LOG_ERROR)
		snprintf(ck->report.sentence, sizeof ck->report.sentence, "%s",
			 sentence);
}

/* The new file lies beside the old one itself, not beside a link to it. */
static const char *
name_of(const struct ck *ck, char real[4096])
{
	char target[1];

	return readlink(ck->report.store, target, sizeof target) >= 0 &&
			       realpath(ck->report.store, real)
		       ? real
		       : ck->report.store;
}

/* The new file by the normal code; it changes nothing. */
static int
look_at_new(struct ck *ck, const char *name)
{
	struct ck *new = calloc(1, sizeof *new);
	char path[4200], text[4 * sizeof path];
	int rc;

	if (!new)
		return LBS_ENOMEM;
	snprintf(path, sizeof path, "%s" SALVAGE_SUFFIX, name);
	snprintf(text, sizeof text,
		 "below is what lbsck says of %s; to use it, move %s and %s-wal "
		 "aside and give it the name %s", path, name, name, name);
	ck_note(ck, FINDING_NOTE, "salvaged", text);
	*new = (struct ck){ .report = ck->report,
			    .no = 1,
			    .scrub = ck->scrub,
			    .scrub_rate = ck->scrub_rate,
			    .data_dir = ck->data_dir };
	new->report.store = path;
	rc = ck_run(new);
	ck_finish_new(ck, new, rc);
	free(new);
	return rc == LBS_ECANCELLED ? rc : 0;
}

static int
salvage(struct ck *ck, int stranger)
{
	char real[4096];
	const char *name = name_of(ck, real);
	const struct logger log = { take_log, ck };
	struct checker c = { .fn = ck_take, .ctx = ck,
			     .data_dir = ck->data_dir };
	int rc;

	ck->report.sentence[0] = '\0';
	rc = salvage_store(name, &log, &c);
	if (rc == LBS_ECORRUPT && stranger) {
		snprintf(ck->report.sentence, sizeof ck->report.sentence,
			 "not an LBS store, or too little is left of it: check "
			 "the name");
		return LBS_ENOTSTORE;
	}
	if (rc == LBS_ECORRUPT || rc == LBS_EEXIST) {
		/* Said of the store, not of this program. */
		ck_note(ck, FINDING_ERROR,
			rc == LBS_EEXIST ? "salvaged" : "salvage-key",
			ck->report.sentence);
		return 0;
	}
	if (rc == 0 && stranger)
		ck_note(ck, FINDING_ERROR, "corrupt-metadata",
			"the first page of the metadata file is damaged");
	return rc ? rc : look_at_new(ck, name);
}

int
ck_salvage(struct ck *ck)
{
	return salvage(ck, 0);
}

int
ck_salvage_stranger(struct ck *ck)
{
	return salvage(ck, 1);
}
