/* report.c - see report.h. */
#include "tools/common/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lbs.h"

/* What to do about a failure; NULL where the sentence itself must say it. */
static const char *
advice(int err)
{
	switch (err) {
	case LBS_EIO:
		return "look at the kernel's log, check the card and the disk";
	case LBS_ENOSPC:
		return "make room on the card or discard inside the guest";
	case LBS_EMETAFULL:
		return "make room where the metadata file is";
	case LBS_EROFS:
		return "make it writable or open it read-only";
	case LBS_EBUSY:
		return "stop the other program first";
	case LBS_ENOENT:
		return "check the name";
	case LBS_EEXIST:
		return "choose another name; nothing was changed";
	case LBS_ENOTSTORE:
		return "check the name; a store is made by 'lbs create'";
	case LBS_EVERSION:
		return "use a newer version of this program; nothing was "
		       "changed";
	case LBS_ECORRUPT:
		return "run 'lbsck'; keep the file and any copy of it";
	case LBS_ECARDMISSING:
		return "put in the card, or say where it is with --data";
	case LBS_EOTHERCARD:
		return "put in this store's card, or say where it is with "
		       "--data";
	case LBS_ESTALECARD:
	case LBS_EDATAMISSING:
	case LBS_ESTALEMETA:
		return "look for the newer copy first; 'lbsck -n "
		       "--accept-loss' lists what is lost, without -n it goes "
		       "on without it";
	case LBS_EDAMAGED:
		return "run 'lbsck --scrub' to learn what is damaged";
	case LBS_EFAILED:
		return "stop the server and start it again";
	case LBS_EINTERNAL:
		return "this is a bug: please report it";
	default:
		return NULL;
	}
}

/* Text before the sentence: "lbs create: corp.lbs: ", the path left out where
 * the sentence begins with it. */
static void
print_prefix(const struct report *report, const char *sentence)
{
	fflush(stdout);
	fprintf(stderr, "%s: ", report->program);
	if (report->store &&
	    strncmp(sentence, report->store, strlen(report->store)) != 0)
		fprintf(stderr, "%s: ", report->store);
}

json_t *
report_text(const char *text)
{
	json_t *string = json_string(text);
	char *plain = string ? NULL : strdup(text);

	for (char *p = plain; p && *p; p++)
		if (*p & 0x80)
			*p = '?';
	if (plain)
		string = json_string(plain);
	free(plain);
	return string;
}

static void
emit_error(struct report *report, const char *word, const char *message)
{
	print_prefix(report, message);
	fprintf(stderr, "%s [%s]\n", message, word);
	if (report->json)
		report_json(report, json_pack("{s:{s:s,s:o}}", "error", "code",
					      word, "message",
					      report_text(message)));
}

void
report_log(void *ctx, int level, int code, const char *sentence)
{
	struct report *report = ctx;

	(void)code;
	if (level == LBS_LOG_ERROR) {
		/* The first is the cause, later ones are its consequences. */
		if (!report->sentence[0])
			snprintf(report->sentence, sizeof(report->sentence),
				 "%s", sentence);
		return;
	}
	if (level == LBS_LOG_INFO && report->quiet)
		return;
	print_prefix(report, sentence);
	fprintf(stderr, "%s%s\n", level == LBS_LOG_WARNING ? "warning: " : "",
		sentence);
}

int
report_failure(struct report *report, int err)
{
	const char *what =
		report->sentence[0] ? report->sentence : lbs_strerror(err);
	const char *todo = advice(err);
	size_t len = strlen(what);
	char message[1400];

	if (len > 0 && what[len - 1] == '.')
		len--;
	/* A sentence with a colon of its own already says what to do. */
	if (todo && !strstr(what, ": "))
		snprintf(message, sizeof(message), "%.*s: %s", (int)len, what,
			 todo);
	else
		snprintf(message, sizeof(message), "%.*s", (int)len, what);
	emit_error(report, lbs_error_word(err), message);
	report->sentence[0] = '\0';
	return EXIT_FAILED;
}

int
report_error(struct report *report, const char *word, const char *format, ...)
{
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	emit_error(report, word, message);
	return EXIT_FAILED;
}

int
report_usage(struct report *report, const char *format, ...)
{
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	emit_error(report, lbs_error_word(LBS_EINVAL), message);
	fprintf(stderr, "Try '%s --help'.\n", report->program);
	return EXIT_USAGE;
}

int
report_json(struct report *report, json_t *object)
{
	json_t *whole = json_pack("{s:i}", "schema", REPORT_SCHEMA);
	char *text = NULL;

	if (object && whole && json_object_update(whole, object) == 0)
		text = json_dumps(whole, JSON_INDENT(2));
	json_decref(object);
	json_decref(whole);
	if (!text) {
		fprintf(stderr, "%s: out of memory [no-memory]\n",
			report->program);
		return EXIT_FAILED;
	}
	puts(text);
	free(text);
	return report_done(report);
}

int
report_done(struct report *report)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_DONE;
	fprintf(stderr, "%s: standard output cannot be written: %s [io]\n",
		report->program, strerror(errno));
	return EXIT_FAILED;
}
