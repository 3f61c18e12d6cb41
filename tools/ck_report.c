/*
 * ck_report.c - see ck.h. Must never count as mended what the last look found
 * again, nor print a finding twice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ck.h"
#include "tools/common/progress.h"
#include "tools/common/size.h"

struct ck_finding {
	struct ck_finding *next;
	char *code, *vdisk, *sentence;
	int severity;
	uint32_t subject, subject_end;
	uint64_t offset_bytes, len_bytes;
	int first, last;	/* looks that met it */
};

static const char *
severity_name(int severity)
{
	static const char *const names[] = { "note", "repairable", "question",
					     "error" };

	return names[severity];
}

static char *
copy(const char *text)
{
	char *p = text ? strdup(text) : NULL;

	if (text && !p) {
		fputs("lbsck: out of memory [no-memory]\n", stderr);
		exit(CK_OPERATIONAL);
	}
	return p;
}

static struct ck_finding *
add(struct ck *ck, const struct finding *f)
{
	struct ck_finding *k = calloc(1, sizeof *k);

	if (!k)
		(void)copy("");
	else
		*k = (struct ck_finding){ NULL,
					  copy(f->code),
					  copy(f->vdisk),
					  copy(f->sentence),
					  f->severity,
					  f->subject,
					  f->subject_end,
					  f->offset_bytes,
					  f->len_bytes,
					  ck->look,
					  ck->look };
	if (!ck->findings_end)
		ck->findings_end = &ck->findings;
	*ck->findings_end = k;
	ck->findings_end = &k->next;
	return k;
}

/* The words may change as things get better; notes are nothing but words. */
static int
is_same(const struct ck_finding *k, const struct finding *f)
{
	return k->subject == f->subject && k->offset_bytes == f->offset_bytes &&
	       k->len_bytes == f->len_bytes && !strcmp(k->code, f->code) &&
	       (f->severity != FINDING_NOTE || !strcmp(k->sentence, f->sentence));
}

/* The finding if it was met before. Looks meet them in the same order, so the
 * search goes on where the last one ended. */
static struct ck_finding *
met_before(struct ck *ck, const struct finding *f)
{
	struct ck_finding *from = ck->cursor ? ck->cursor->next : NULL, *k;

	for (k = from; k; k = k->next)
		if (is_same(k, f))
			return k;
	for (k = ck->findings; k != from; k = k->next)
		if (is_same(k, f))
			return k;
	return NULL;
}

void
ck_take(void *ctx, const struct finding *f)
{
	struct ck *ck = ctx;
	/* Within a look no stretch comes twice. */
	struct ck_finding *k = ck->look > 1 || !f->vdisk ? met_before(ck, f)
							 : NULL;
	int is_news = !k || strcmp(k->sentence, f->sentence) != 0;

	if (!k)
		k = add(ck, f);
	k->last = ck->look;
	k->severity = f->severity;
	k->subject_end = f->subject_end;
	ck->cursor = k;
	if (is_news) {
		free(k->sentence);
		k->sentence = copy(f->sentence);
	}
	if (is_news && !ck->report.json && ck->bar)
		progress_wipe(ck->bar);
	if (is_news && !ck->report.json)
		printf("%s: %s [%s]\n", ck->report.store, f->sentence, f->code);
}

void
ck_note(struct ck *ck, int severity, const char *code, const char *sentence)
{
	struct finding f = { .code = code, .severity = severity,
			     .sentence = sentence };

	ck_take(ck, &f);
}

void
ck_keep_ranges(struct ck *ck)
{
	for (struct ck_finding *k = ck->findings; k; k = k->next)
		if (k->vdisk && k->severity == FINDING_ERROR &&
		    k->last == ck->look - 1)
			k->last = ck->look;
}

int
ck_count(const struct ck *ck, int severity)
{
	int n = 0;

	for (const struct ck_finding *k = ck->findings; k; k = k->next)
		n += k->last == ck->look && k->severity == severity;
	return n;
}

/* The last look found the same in other stretches of these segments. */
static int
is_told_anew(const struct ck *ck, const struct ck_finding *k)
{
	const struct ck_finding *x = ck->findings;

	if (!k->subject || k->last == ck->look)
		return 0;
	while (x && (x->last < ck->look || strcmp(x->code, k->code) ||
		     x->subject >= k->subject_end ||
		     k->subject >= x->subject_end))
		x = x->next;
	return x != NULL;
}

static int
is_mended(const struct ck *ck, const struct ck_finding *k)
{
	return k->severity != FINDING_NOTE && k->last < ck->look &&
	       !is_told_anew(ck, k);
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

static json_t *
findings_json(const struct ck *ck)
{
	json_t *list = json_array();

	for (const struct ck_finding *k = ck->findings; k; k = k->next) {
		json_t *o;

		if (is_told_anew(ck, k))
			continue;
		o = json_pack("{s:s,s:s,s:o}", "code", k->code, "severity",
			      severity_name(k->severity), "sentence",
			      report_text(k->sentence));
		if (k->severity != FINDING_NOTE)
			json_object_set_new(o, "mended",
					    json_boolean(is_mended(ck, k)));
		if (k->vdisk) {
			json_object_set_new(o, "vdisk", report_text(k->vdisk));
			json_object_set_new(
				o, "offset_bytes",
				json_integer((json_int_t)k->offset_bytes));
			json_object_set_new(
				o, "len_bytes",
				json_integer((json_int_t)k->len_bytes));
		}
		json_array_append_new(list, o);
	}
	return list;
}

static int
outcome(const struct ck *ck, int rc, int *mended)
{
	int left = ck_count(ck, FINDING_ERROR) +
		   ck_count(ck, FINDING_REPAIRABLE) +
		   ck_count(ck, FINDING_QUESTION);

	*mended = 0;
	for (const struct ck_finding *k = ck->findings; k; k = k->next)
		*mended += is_mended(ck, k);
	return rc == LBS_ECANCELLED ? CK_CANCELLED
	       : rc		    ? CK_OPERATIONAL
	       : left		    ? CK_ERRORS_LEFT
	       : *mended	    ? CK_CORRECTED
				    : CK_CLEAN;
}

static json_t *
outcome_json(struct ck *ck, int code, int mended)
{
	json_t *o = json_pack("{s:o,s:s,s:i,s:i,s:o}", "store",
			      report_text(ck->report.store), "verdict", verdict_name(code),
			      "exit", code, "repaired", mended, "findings",
			      findings_json(ck));

	if (ck->scrubs)
		json_object_set_new(o, "scrubbed_bytes",
				    json_integer((json_int_t)ck->scrubbed));
	if (ck->salvaged)
		json_object_set_new(o, "salvaged", ck->salvaged);
	ck->salvaged = NULL;
	return o;
}

static void
print_text(struct ck *ck, int code)
{
	char size[SIZE_TEXT_BYTES];

	for (const struct ck_finding *k = ck->findings; k; k = k->next)
		if (is_mended(ck, k))
			printf("%s: mended [%s]\n", ck->report.store, k->code);
	if (ck->scrubs && !ck->report.quiet)
		printf("%s: %s of live data read\n", ck->report.store,
		       size_format(ck->scrubbed, size));
	if (!ck->report.quiet)
		printf("%s: %s%s\n", ck->report.store,
		       code == CK_ERRORS_LEFT ? "errors left"
		       : code == CK_CANCELLED ? "cancelled, what was found so far "
						"stands above"
					      : verdict_name(code),
		       /* What was not read cannot be called whole. */
		       code == CK_CLEAN && !ck->scrubs
			       ? "; data was not read (--scrub reads it)" : "");
}

static void
forget(struct ck *ck)
{
	while (ck->findings) {
		struct ck_finding *k = ck->findings;

		ck->findings = k->next;
		free(k->code);
		free(k->vdisk);
		free(k->sentence);
		free(k);
	}
}

int
ck_finish(struct ck *ck, int rc)
{
	int mended, code = outcome(ck, rc, &mended);

	if (code == CK_OPERATIONAL) {
		report_failure(&ck->report, rc);
	} else if (ck->report.json) {
		if (report_json(&ck->report, outcome_json(ck, code, mended)))
			code = CK_OPERATIONAL;
	} else {
		print_text(ck, code);
		if (report_done(&ck->report))
			code = CK_OPERATIONAL;
	}
	forget(ck);
	return code;
}

void
ck_finish_new(struct ck *ck, struct ck *salvaged, int rc)
{
	int mended, code;

	/* What keeps it from being opened is a finding, too. */
	if (rc && rc != LBS_ECANCELLED) {
		ck_note(salvaged, FINDING_ERROR, lbs_error_word(rc),
			salvaged->report.sentence);
		rc = 0;
	}
	code = outcome(salvaged, rc, &mended);
	if (ck->report.json)
		ck->salvaged = outcome_json(salvaged, code, mended);
	else
		print_text(salvaged, code);
	forget(salvaged);
}
