/*
 * error.c - the table of error codes: word, errno, sentence.
 */
#include "liblbs/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define API __attribute__((visibility("default")))

static const struct {
	const char *word;
	int err;
	const char *sentence;
} table[] = {
	[-LBS_EINVAL] = { "invalid", EINVAL, "invalid argument" },
	[-LBS_ENOMEM] = { "no-memory", ENOMEM, "out of memory" },
	[-LBS_EIO] = { "io", EIO, "input/output error" },
	[-LBS_ENOSPC] = { "no-space", ENOSPC, "no space left in the store" },
	[-LBS_EMETAFULL] = { "metadata-full", EIO, "internal flash is full" },
	[-LBS_EROFS] = { "read-only", EROFS, "the store is open read-only" },
	[-LBS_EBUSY] = { "busy", EIO, "the store is in use" },
	[-LBS_ENOENT] = { "not-found", EIO, "not found" },
	[-LBS_EEXIST] = { "exists", EIO, "already exists" },
	[-LBS_ENOTSUP] = { "unsupported", EIO, "not supported by this build" },
	[-LBS_ENOTSTORE] = { "not-a-store", EIO, "not an LBS store" },
	[-LBS_EVERSION] = { "newer-format", EIO, "the store needs a newer LBS" },
	[-LBS_ECORRUPT] = { "corrupt-metadata", EIO, "the metadata file is corrupt" },
	[-LBS_ECARDMISSING] = { "card-missing", EIO, "the card is missing" },
	[-LBS_EOTHERCARD] = { "other-card", EIO, "the card belongs to another store" },
	[-LBS_ESTALECARD] = { "stale-card", EIO, "the card is an older copy" },
	[-LBS_EDATAMISSING] = { "data-missing", EIO, "acknowledged data is missing" },
	[-LBS_ESTALEMETA] = { "stale-metadata", EIO, "the metadata is older than the card" },
	[-LBS_EDAMAGED] = { "damaged", EIO, "data on the card is damaged" },
	[-LBS_EFAILED] = { "failed", EIO, "an earlier error stopped writing" },
	[-LBS_EFORK] = { "forked", EIO, "the store was opened by the parent process" },
	[-LBS_EWRONGKEY] = { "wrong-key", EIO, "the key does not fit" },
	[-LBS_EINTERNAL] = { "internal", EIO, "internal error" },
	[-LBS_ECANCELLED] = { "cancelled", EIO, "cancelled" },
};

#define TABLE_LEN (int)(sizeof table / sizeof table[0])

static int
row(int err)
{
	return err < 0 && -err < TABLE_LEN ? -err : -LBS_EINTERNAL;
}

API const char *
lbs_strerror(int err)
{
	return err == 0 ? "success" : table[row(err)].sentence;
}

API const char *
lbs_error_word(int err)
{
	return err == 0 ? "ok" : table[row(err)].word;
}

API int
lbs_errno(int err)
{
	return err == 0 ? 0 : table[row(err)].err;
}

API const char *
lbs_version(void)
{
	return LBS_VERSION;
}

static void
say(const struct logger *log, int level, int code, const char *format,
    va_list args)
{
	char sentence[1024];

	if (!log || !log->fn)
		return;
	vsnprintf(sentence, sizeof sentence, format, args);
	log->fn(log->ctx, level, code, sentence);
}

int
fail(const struct logger *log, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(log, LBS_LOG_ERROR, code, format, args);
	va_end(args);
	return code;
}

void
warn(const struct logger *log, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(log, LBS_LOG_WARNING, code, format, args);
	va_end(args);
}

void
inform(const struct logger *log, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(log, LBS_LOG_INFO, 0, format, args);
	va_end(args);
}

int
code_of_errno(int negative_errno)
{
	switch (negative_errno) {
	case 0:
		return 0;
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		return LBS_ENOSPC;
	case -ENOENT:
		return LBS_ECARDMISSING;
	case -EROFS:
	case -EACCES:
	case -EPERM:
		return LBS_EROFS;
	case -ENOMEM:
		return LBS_ENOMEM;
	case -EBUSY:
		return LBS_EBUSY;
	case -EEXIST:
		return LBS_EEXIST;
	}
	return LBS_EIO;
}
