/*
 * check.c - see check.h. Works on an opened store: what opening itself refuses
 * is a finding of lbsck's already. Only reads.
 */
#include "recovery/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recovery/card.h"
#include "recovery/survey.h"

void
check_report(struct checker *c, int severity, const char *code,
	     const char *format, ...)
{
	struct finding f = { .code = code, .severity = severity };
	char sentence[512];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof sentence, format, args);
	va_end(args);
	f.sentence = sentence;
	c->fn(c->ctx, &f);
}

void
check_report_range(struct checker *c, const char *code, const char *vdisk,
		   uint64_t offset, uint64_t len, const char *words)
{
	struct finding f = { .code = code,
			     .severity = FINDING_ERROR,
			     .vdisk = vdisk,
			     .offset_bytes = offset,
			     .len_bytes = len };
	char sentence[512];

	snprintf(sentence, sizeof sentence,
		 "vdisk %s, offset %llu, %llu bytes (sectors %llu to %llu): %s",
		 vdisk, (unsigned long long)offset, (unsigned long long)len,
		 (unsigned long long)offset / 512,
		 (unsigned long long)(offset + len - 1) / 512, words);
	f.sentence = sentence;
	c->fn(c->ctx, &f);
}

static void
report_lost(void *ctx, const struct meta_vdisk *vdisk, uint64_t lba,
	    uint64_t count)
{
	struct checker *c = ctx;
	uint64_t offset = lba * BLOCK_BYTES, len = count * BLOCK_BYTES;

	if (offset + len > vdisk->size_bytes)
		len = vdisk->size_bytes - offset;
	if (!c->scrub_follows)
		check_report_range(c, "block-lost", vdisk->name, offset, len,
				   "nobody knows where it lies, reads give an "
				   "error; restore what lies there from a "
				   "backup");
}

/* A count that is too small is just wrong. One that is too large may be all that
 * is left of entries that the map has lost: that is not to be forgotten unasked. */
static void
report_counts(struct checker *c, const struct survey *survey)
{
	lbs_store *s = c->store;
	uint32_t wrong = 0, first = 0;
	uint64_t missing = 0;
	struct segment_info info;

	for (uint32_t i = 0; i < s->geometry.segment_count; i++) {
		segtab_info(s->segtab, i, &info);
		if (!info.used || info.live == survey->live[i])
			continue;
		if (info.live > survey->live[i])
			missing += info.live - survey->live[i];
		else if (!wrong++)
			first = i;
	}
	if (wrong)
		check_report(c, FINDING_REPAIRABLE, "live-count",
			     "the count of live blocks is too small for %u "
			     "segment%s, first segment %u: -p counts them again",
			     wrong, wrong == 1 ? "" : "s", first);
	if (missing)
		check_report(c, FINDING_QUESTION, "map-short",
			     "the map names %llu blocks fewer than were counted: "
			     "if it has lost them, they read as zeroes or as what "
			     "was there before; compare the disk with a backup; "
			     "-y takes the map's word",
			     (unsigned long long)missing);
}

static const struct {
	const char *code;
	int severity;
	const char *one, *many;		/* what is so of it, or of them */
	const char *then;
} faults[] = {
	[SEGMENT_UNKNOWN] = { "segment-unknown", FINDING_REPAIRABLE,
			      "is not known to be in use",
			      "are not known to be in use",
			      "-p keeps that place out of use until those blocks "
			      "are written anew" },
	[SEGMENT_IO] = { "card-io", FINDING_ERROR, "cannot be read",
			 "cannot be read", "check the card" },
	[SEGMENT_HEADER] = { "segment-header", FINDING_REPAIRABLE,
			     "has a damaged header", "have damaged headers",
			     "-p writes the blocks that can be read elsewhere" },
	[SEGMENT_OLDER] = { "segment-older", FINDING_ERROR, "is an older copy",
			    "are older copies",
			    "--scrub lists the blocks that cannot be read" },
	[SEGMENT_NEWER] = { "segment-newer", FINDING_ERROR,
			    "was written by a newer metadata file",
			    "were written by a newer metadata file",
			    "--scrub lists the blocks that cannot be read" },
	[SEGMENT_INDEX] = { "segment-index", FINDING_REPAIRABLE,
			    "has an index that is damaged or names fewer",
			    "have indexes that are damaged or name fewer",
			    "-p writes the blocks that can be read elsewhere" },
};

/* Segments one after the other with the same fault: a chunk file has hundreds.
 * What holds nothing does not part them. */
struct faulty {
	int fault;
	uint32_t first, last, count;
	uint64_t live;
};

static void
report_faulty(struct checker *c, const struct faulty *r)
{
	const struct geometry *g = &c->store->geometry;
	char from[MEDIUM_NAME_BYTES], to[MEDIUM_NAME_BYTES];
	char which[96], sentence[320];
	struct finding f = { .code = faults[r->fault].code,
			     .severity = faults[r->fault].severity,
			     .subject = r->first + 1,
			     .subject_end = r->last + 2,
			     .sentence = sentence };
	int many = r->count > 1;

	medium_file_name(geometry_chunk(g, r->first), from);
	medium_file_name(geometry_chunk(g, r->last), to);
	if (!many)
		snprintf(which, sizeof which, "segment %u", r->first);
	else if (r->count == r->last - r->first + 1)
		snprintf(which, sizeof which, "segments %u to %u", r->first,
			 r->last);
	else
		snprintf(which, sizeof which, "%u segments from %u to %u",
			 r->count, r->first, r->last);
	snprintf(sentence, sizeof sentence,
		 "%s in %s%s%s, which hold%s %llu live block%s, %s: %s", which,
		 from, strcmp(from, to) ? " to " : "",
		 strcmp(from, to) ? to : "", many ? "" : "s",
		 (unsigned long long)r->live, r->live == 1 ? "" : "s",
		 many ? faults[r->fault].many : faults[r->fault].one,
		 faults[r->fault].then);
	c->fn(c->ctx, &f);
}

static void
report_segments(struct checker *c, const struct survey *survey)
{
	struct faulty r = { .fault = SEGMENT_SOUND };

	for (uint32_t i = 0; i < c->store->geometry.segment_count; i++) {
		int fault = survey->fault[i];

		if (fault == SEGMENT_SOUND && !survey->live[i])
			continue;
		if (r.count && fault != r.fault) {
			report_faulty(c, &r);
			r.count = 0;
		}
		if (fault == SEGMENT_SOUND)
			continue;
		if (!r.count)
			r = (struct faulty){ .fault = fault, .first = i };
		r.last = i;
		r.count++;
		r.live += survey->live[i];
	}
	if (r.count)
		report_faulty(c, &r);
}

static int
check_map(struct checker *c)
{
	struct survey survey;
	int rc = survey_make(c->store, report_lost, c, &survey);

	if (rc == LBS_ECORRUPT) {
		c->corrupt = 1;
		check_report(c, FINDING_ERROR, "map-row",
			     "a row of the block map in the metadata file makes "
			     "no sense: -y salvages what can be read into a new "
			     "file");
		rc = 0;
	} else if (rc == 0) {
		report_counts(c, &survey);
		if (survey.beyond)
			check_report(c, FINDING_QUESTION, "map-beyond-end",
				     "%llu map entr%s beyond the end of the "
				     "vdisk, where nobody can read: -y drops "
				     "what is there",
				     (unsigned long long)survey.beyond,
				     survey.beyond == 1 ? "y lies" : "ies lie");
		if (survey.orphan_layer)
			check_report(c, FINDING_QUESTION, "map-orphan",
				     "map layer %u belongs to no vdisk: -y makes "
				     "it the vdisk recovered-%u of %llu bytes",
				     survey.orphan_layer, survey.orphan_layer,
				     (unsigned long long)survey.orphan_blocks *
					     BLOCK_BYTES);
		report_segments(c, &survey);
	}
	survey_free(&survey);
	return rc;
}

int
check_store(struct checker *c)
{
	lbs_store *s = c->store;
	struct newest newest;
	char text[256];
	int rc;

	store_db_lock(s);
	rc = meta_integrity(s->meta, text, sizeof text);
	store_db_unlock(s);
	if (rc) {
		const char *line = strncmp(text, "***", 3) == 0 &&
						   strchr(text, '\n')
					   ? strchr(text, '\n') + 1
					   : text;

		c->corrupt = 1;
		check_report(c, FINDING_ERROR, "metadata-integrity",
			     "SQLite finds the metadata file damaged (%.*s): "
			     "restore it from a backup, or -y salvages what can "
			     "be read into a new file",
			     (int)strcspn(line, "\n"), line);
		return 0;
	}
	card_check(c);
	/* s->session is the first that this metadata does not know; with a loss
	 * accepted it is beyond them all. */
	store_newest_on_card(s, &newest);
	c->newer = newest.session >= s->session;
	return check_map(c);
}
